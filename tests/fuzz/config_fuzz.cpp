// SPDX-License-Identifier: BSD-3-Clause
// Configuration files: any bytes. What is read keeps its limits, whatever is refused comes with a place, a
// reason and something to do, and reading the same twice says the same.
#include "ssn/hw/config.h"

#include <array>
#include <string>

#include "fuzz_input.h"

namespace {

using namespace ssn;
using test::require;

constexpr std::array<std::string_view, 3> words{"refuse", "wait", "aes-256-gcm"};

void read_device(const hw::ConfigTable& device, std::string& read) {
  const std::int64_t ports = device.integer("port", {1, 65535}, 4443);
  require(ports >= 1 && ports <= 65535, "a number out of its limits was given");
  const std::uint64_t bytes = device.bytes("ring", {4096, 1ULL << 40}, 4096);
  require(bytes >= 4096 && bytes <= 1ULL << 40, "a size out of its limits was given");
  const std::uint64_t rate = device.bit_rate("rate", {1, 1ULL << 50}, 1);
  require(rate >= 1 && rate <= 1ULL << 50, "a rate out of its limits was given");
  using std::chrono::nanoseconds;
  const nanoseconds time = device.duration("time", {nanoseconds(1), std::chrono::hours(1)}, nanoseconds(1));
  require(time >= nanoseconds(1) && time <= std::chrono::hours(1), "a time out of its limits was given");
  const double share = device.real("share", {0, 1}, 0.5);
  require(share >= 0 && share <= 1, "a fraction out of its limits was given");
  read += std::to_string(ports) + std::to_string(bytes) + std::to_string(rate) + std::to_string(time.count());
  for (const auto& [name, value] : device.table("settings").settings(16)) {
    read += name + "=" + value + ";";
  }
}

std::string read_all(const hw::Config& config) {
  std::string read;
  const hw::ConfigTable root = config.root();
  const std::string name = root.text("name", {32, false});
  require(name.size() <= 32, "too long a text was given");
  const std::string word = root.choice("shortage", words, "refuse");
  require(word == "refuse" || word == "wait" || word == "aes-256-gcm", "no word of the choice was given");
  const std::vector<std::string> peers = root.texts("peers", 4);
  require(peers.size() <= 4, "too many entries were given");
  const std::vector<hw::ConfigTable> devices = root.tables("key_device", 3);
  require(devices.size() <= 3, "too many tables were given");
  for (const hw::ConfigTable& device : devices) {
    read_device(device, read);
  }
  read_device(root.table("kme"), read);
  const std::string path = root.path("log", "log");
  require(path == "log" || path.front() == '/' || path.starts_with("folder/"), "a path leads elsewhere");
  return read + name + word + path + (root.boolean("verbose", false) ? "1" : "0");
}

void check_error(const Error& error) {
  require(error.code == Exit::usage, "a refusal has another code");
  require(!error.what.empty() && !error.why.empty() && !error.fix.empty(), "a refusal explains nothing");
  require(error.where.starts_with("folder/file.toml"), "a refusal does not say where");
}

std::string run(std::string_view text) {
  Result<hw::Config> config = hw::Config::parse(text, "folder/file.toml");
  if (!config.ok()) {
    check_error(config.error());
    return config.error().where + config.error().why;
  }
  std::string read = read_all(config.value());
  const Outcome outcome = config.value().finish();
  require(outcome.ok() == config.value().errors().empty(), "finish() and errors() disagree");
  require(config.value().errors().size() <= hw::Config::errors_max, "errors are not limited");
  for (const Error& error : config.value().errors()) {
    check_error(error);
    read += error.where + error.why;
  }
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  require(run(text) == run(text), "reading twice gave two results");
  return 0;
}
