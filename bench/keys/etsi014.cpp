// SPDX-License-Identifier: BSD-3-Clause
// ETSI GS QKD 014 over loopback: ssn-kme with two sites, and the driver etsi014 at both, all on two cores.
// The bytes that both ends have, compared and erased, count once.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>

#include "device.h"
#include "groups.h"

extern char** environ;

namespace ssn::bench {
namespace {

constexpr std::size_t ring_bytes = std::size_t{16} << 20;
constexpr std::uint64_t slice_bytes = std::uint64_t{4} << 20;

// A program of this build tree, told to say nothing.
pid_t start(const std::string& program, std::vector<std::string> arguments) {
  const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "control" / program;
  arguments.insert(arguments.begin(), path);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, path.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? child : -1;
}

// The emulated key managers in a folder of their own; both end with this object.
class Network {
 public:
  Network() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ssn-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) return;
    folder_ = pattern;
    const std::string made = folder_ + "/net";
    int status = -1;
    const pid_t init = start("cli/ssn", {"kme", "init", "--out", made, "--sites", "a,b", "--port", "0"});
    if (init < 0 || ::waitpid(init, &status, 0) != init || status != 0) return;
    limit_keys(made + "/kme.toml");
    const std::string ready = folder_ + "/ready.json";
    child_ = start("kme/ssn-kme", {"--config", made + "/kme.toml", "--ready-file", ready});
    for (int i = 0; i < 1000 && child_ > 0 && !std::filesystem::exists(ready); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::stringstream text;
    text << std::ifstream(ready).rdbuf();
    ready_ = text.str();
  }
  ~Network() {
    int status = 0;
    if (child_ > 0) {
      ::kill(child_, SIGTERM);
      (void)::waitpid(child_, &status, 0);
    }
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Where the 014 server of a site listens, from the file that ssn-kme wrote; empty where it is not there.
  std::string url(const std::string& kme) const {
    const std::size_t site = ready_.find("\"id\": \"" + kme + "\"");
    const std::string key = "\"port\": ";
    const std::size_t at = site == std::string::npos ? site : ready_.find(key, site);
    return at == std::string::npos
               ? ""
               : "https://127.0.0.1:" + std::to_string(std::atoi(ready_.c_str() + at + key.size()));
  }
  std::string file(const std::string& name) const { return folder_ + "/net/" + name; }

 private:
  // Keys of one million bits, several a request.
  static void limit_keys(const std::string& file) {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    std::string content = text.str();
    const std::string limits = "max_key_size = 1048576\n";
    const std::size_t table = content.find("[limits]\n");
    if (table == std::string::npos) {
      content += "\n[limits]\n" + limits;
    } else {
      content.insert(table + std::string("[limits]\n").size(), limits);
    }
    std::ofstream(file) << content;
  }

  std::string folder_, ready_;
  pid_t child_ = -1;
};

struct Sites {
  std::mutex gate;  // no message goes to a device that is being closed
  bool over = false;
  hw::KeyDevice a, b;
  hw::KeyStream sender, receiver;
  std::string problem;
};

void open_site(const Network& network, Sites& sites, const std::string& site, const std::string& peer) {
  hw::KeyDevice& device = site == "a" ? sites.a : sites.b;
  hw::KeyDevice& other = site == "a" ? sites.b : sites.a;
  hw::KeyDevice::Options options{.driver = "etsi014", .local_name = "sae-" + site};
  options.settings = {{"url", network.url("kme-" + site)},
                      {"kme_id", "kme-" + site},
                      {"ca", network.file("ca.crt")},
                      {"certificate", network.file("sae-" + site + ".crt")},
                      {"private_key", network.file("sae-" + site + ".key")}};
  options.send_to_peer = [&sites, &other, name = options.local_name](const char*,
                                                                     std::span<const std::uint8_t> message) {
    const std::lock_guard lock(sites.gate);
    return sites.over ? SSN_NOT_FOUND : other.peer_message(name, message);
  };
  Result<hw::KeyDevice> opened = hw::KeyDevice::open(options);
  if (!opened.ok()) {
    sites.problem = opened.error().what + ": " + opened.error().why + " " + opened.error().where;
    return;
  }
  device = std::move(opened.value());
  Result<hw::KeyStream> stream = Error{};
  const hw::Ksid ksid{14};
  if (site == "b") {
    stream = sites.b.open_stream(SSN_KEY_RECEIVER, ksid, "sae-" + peer, ring_bytes);
    if (stream.ok()) sites.receiver = std::move(stream.value());
  } else {
    stream = sites.a.open_stream(SSN_KEY_SENDER, ksid, "sae-" + peer, ring_bytes);
    if (stream.ok()) sites.sender = std::move(stream.value());
  }
  if (!stream.ok()) sites.problem = stream.error().what + ": " + stream.error().why;
}

// Waits until both ends have so many bytes more, compares and erases them.
bool take(Sites& sites, std::uint64_t bytes) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (std::uint64_t taken = 0; taken < bytes;) {
    (void)sites.sender.poll();
    (void)sites.receiver.poll();
    const std::uint64_t from = sites.sender.released();
    const std::uint64_t end = std::min(sites.sender.end(), sites.receiver.end());
    if (end == from) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(500));
      continue;
    }
    if (std::memcmp(sites.sender.at(from, end - from), sites.receiver.at(from, end - from), end - from) !=
        0) {
      return false;
    }
    sites.sender.erase_and_release(end);
    sites.receiver.erase_and_release(end);
    taken += end - from;
  }
  return true;
}

void deliver(benchmark::State& state) {
  cpu_set_t before, both;
  CPU_ZERO(&both);
  CPU_SET(static_cast<unsigned>(cores.consumer), &both);
  CPU_SET(static_cast<unsigned>(cores.producer), &both);
  (void)::sched_getaffinity(0, sizeof before, &before);
  (void)::sched_setaffinity(0, sizeof both, &both);
  {
    const Network network;
    Sites sites;
    // The streams open once both devices are there; the receiver's end first.
    open_site(network, sites, "b", "a");
    if (sites.problem.empty()) open_site(network, sites, "a", "b");
    if (!sites.problem.empty()) {
      state.SkipWithError(sites.problem.c_str());
    } else if (!take(sites, slice_bytes)) {
      state.SkipWithError(sites.a.info().identity);
    }
    std::uint64_t bytes = 0;
    for (auto _ : state) {
      if (!take(sites, slice_bytes)) {
        state.SkipWithError("the ends differ, or no keys came for 20 s");
        break;
      }
      bytes += slice_bytes;
    }
    state.counters["bytes_per_second"] =
        benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kIsRate);
    {
      const std::lock_guard lock(sites.gate);
      sites.over = true;
    }
    sites.sender.close();
    sites.receiver.close();
  }
  (void)::sched_setaffinity(0, sizeof before, &before);
}

}  // namespace

void register_etsi014() {
  benchmark::RegisterBenchmark("etsi014_deliver/key_bits/1048576", deliver)->UseRealTime();
}

}  // namespace ssn::bench
