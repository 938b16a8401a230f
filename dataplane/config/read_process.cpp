// SPDX-License-Identifier: BSD-3-Clause
// [node], [eal], [workers], [keys], [offload], [agent].
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "read.h"
#include "ssn/hw/topology.h"
#include "ssn/key_device.h"
#include "ssn/protocol/wire.h"

namespace ssn::dataplane {
namespace {

using hw::ConfigTable;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr unsigned core_max = 8191;

constexpr std::array<std::string_view, 3> huge_page_words{"auto", "require", "off"};
constexpr std::array<std::string_view, 3> idle_words{"event", "yield", "poll"};

// What names a file beside others: no path, nothing that a shell or DPDK would read as more than a name.
bool good_file_prefix(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '_' || c == '.';
         });
}

std::string default_prefix(const std::string& node) {
  std::string prefix = "ssn-" + node.substr(0, 48);
  std::replace_if(
      prefix.begin(), prefix.end(), [](char c) { return !good_file_prefix(std::string{'x', c}); }, '_');
  return prefix;
}

void read_eal(const ConfigTable& table, Configuration& configuration) {
  EalConfiguration& eal = configuration.eal;
  eal.huge_pages = choose(table, "huge_pages", huge_page_words, eal.huge_pages);
  eal.memory = table.bytes("memory", {32 * mebibyte, std::uint64_t{1} << 40}, eal.memory);
  eal.file_prefix = table.text("file_prefix", {.longest = 64}, default_prefix(configuration.name));
  if (!good_file_prefix(eal.file_prefix)) {
    table.fail("file_prefix", "it must be a plain file name", "use letters, digits, '-', '_' and '.'");
  }
  if (table.has("main_core")) {
    eal.main_core = static_cast<unsigned>(table.integer("main_core", {0, core_max}, 0));
  }
}

void read_workers(const ConfigTable& table, Configuration& configuration) {
  WorkersConfiguration& workers = configuration.workers;
  workers.idle = choose(table, "idle", idle_words, workers.idle);
  const std::string cores = table.text("cores", {.longest = 1024, .may_be_empty = true}, "");
  if (cores.empty()) {
    return;
  }
  Result<std::vector<unsigned>> list = hw::parse_cpu_list(cores);
  if (!list.ok()) {
    table.fail("cores", list.error().why, "write the numbers of CPUs, such as \"2-5\" or \"1,3\"");
    return;
  }
  workers.cores = std::move(list.value());
  if (workers.cores.size() > Configuration::workers_max) {
    table.fail("cores", fmt::format("more than {} workers", Configuration::workers_max), "name fewer cores");
    workers.cores.clear();
  }
}

// Rings are mapped twice in succession, and windows are masks.
std::uint64_t power_of_two(const ConfigTable& table, std::string_view key, std::uint64_t value) {
  if (!std::has_single_bit(value)) {
    table.fail(key, "it is no power of two", "choose one, such as \"8 MiB\" or 16384");
  }
  return value;
}

void read_keys(const ConfigTable& table, Configuration& configuration) {
  KeysConfiguration& keys = configuration.keys;
  constexpr hw::Limits<std::uint64_t> ring{64 << 10, std::uint64_t{1} << 34};
  keys.window = static_cast<std::uint32_t>(power_of_two(
      table, "window", static_cast<std::uint64_t>(table.integer("window", {64, 1 << 19}, keys.window))));
  keys.pad_ring = power_of_two(table, "pad_ring", table.bytes("pad_ring", ring, keys.pad_ring));
  keys.random_ring = power_of_two(table, "random_ring", table.bytes("random_ring", ring, keys.random_ring));
  if (!table.has("tag_ring")) {
    return;
  }
  keys.tag_ring = power_of_two(table, "tag_ring", table.bytes("tag_ring", ring));
  constexpr std::uint64_t least_for_a_packet = 2 * protocol::wire_tag_bytes;
  if (keys.tag_ring < keys.window * least_for_a_packet) {
    table.fail("tag_ring", "it is too small for the window",
               fmt::format("give it at least {} bytes", keys.window * least_for_a_packet));
  }
}

void read_offload(const ConfigTable& table, Configuration& configuration) {
  OffloadConfiguration& offload = configuration.offload;
  offload.driver = table.text("driver", {}, offload.driver);
  offload.settings = table.table("settings").settings(hw::KeyDeviceConfiguration::settings_max);
  offload.deadline = table.duration("deadline", {microseconds(10), seconds(10)}, offload.deadline);
}

void read_agent(const ConfigTable& table, Configuration& configuration) {
  AgentConfiguration& agent = configuration.agent;
  agent.listen = table.text("listen", {.longest = 300}, "");
  if (!agent.listen.empty() && !good_endpoint(agent.listen)) {
    table.fail("listen", "it is no address with a port", "write \"127.0.0.1:7000\" or \"[::1]:7000\"");
  }
  agent.socket = table.path("socket", "");
  agent.certificate = table.path("certificate", "");
  agent.key = table.path("key", "");
  agent.ca = table.path("ca", "");
  agent.crl = table.path("crl", "");
  agent.operators = table.texts("operators", Configuration::operators_max);
  const bool any = !agent.certificate.empty() || !agent.key.empty() || !agent.ca.empty();
  const bool all = !agent.certificate.empty() && !agent.key.empty() && !agent.ca.empty();
  if ((any || !agent.listen.empty()) && !all) {
    table.fail("listen", "mutual TLS needs all of certificate, key and ca",
               "give the three, or only a socket");
  }
  if (!agent.crl.empty() && !all) {
    table.fail("crl", "it is of use with certificate, key and ca only", "give them, or leave it out");
  }
}

}  // namespace

bool good_endpoint(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() > 300) {
    return false;
  }
  const std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port > 65535) {
    return false;
  }
  if (host.front() == '[') {
    const std::optional<IpAddress> address =
        host.back() == ']' ? parse_ip_address(host.substr(1, host.size() - 2)) : std::nullopt;
    return address && address->family == IpFamily::v6;
  }
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

void read_process(const ConfigTable& root, Configuration& configuration) {
  const ConfigTable node = root.table("node");
  configuration.name = node.text("name", {.longest = SSN_PEER_NAME_MAX});
  configuration.ledger = node.path("ledger", "");
  read_eal(root.table("eal"), configuration);
  read_workers(root.table("workers"), configuration);
  read_keys(root.table("keys"), configuration);
  read_offload(root.table("offload"), configuration);
  read_agent(root.table("agent"), configuration);
  configuration.audit = audit::read_settings(root.table("audit"));
}

std::string_view name(EalConfiguration::HugePages value) noexcept {
  return huge_page_words[static_cast<std::size_t>(value)];
}

std::string_view name(WorkersConfiguration::Idle value) noexcept {
  return idle_words[static_cast<std::size_t>(value)];
}

}  // namespace ssn::dataplane
