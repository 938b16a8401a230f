// SPDX-License-Identifier: BSD-3-Clause
// What `ssn doctor --config FILE` reads.
#include <algorithm>
#include <iterator>

#include "ssn/hw/config.h"
#include "ssn/hw/preflight.h"

namespace ssn::hw {
namespace {

constexpr std::size_t entries_max = 64;
constexpr std::uint64_t bytes_max = std::uint64_t{1} << 42;
constexpr const char* data_plane_tables[] = {"agent", "bridge", "eal",         "keys",   "peer",
                                             "ssa",   "stream", "shareholder", "workers"};

void read_certificates(const ConfigTable& root, PreflightWish& wish) {
  for (const ConfigTable& table : root.tables("certificate", entries_max)) {
    CertificateFiles files;
    files.name = table.text("name");
    files.certificate = table.path("certificate");
    files.key = table.path("key", "");
    files.authorities = table.path("authorities", "");
    wish.certificates.push_back(std::move(files));
  }
}

// The part that is the node's own configuration, as `ssn seal` reads it.
void read_node(const ConfigTable& root, PreflightWish& wish) {
  const ConfigTable node = root.table("node");
  node.text("name", {}, "");
  wish.ledger = node.path("ledger", "");
  for (const ConfigTable& table : root.tables("key_device", entries_max)) {
    const std::string driver = table.text("driver");
    table.texts("peers", entries_max);
    CertificateFiles files{"key device " + driver, "", "", ""};
    for (const auto& [name, value] : table.table("settings").settings(entries_max)) {
      std::string* const target = name == "certificate"   ? &files.certificate
                                  : name == "private_key" ? &files.key
                                  : name == "ca"          ? &files.authorities
                                                          : nullptr;
      if (target != nullptr) {
        *target = value;
      } else if (name == "socket") {
        wish.sockets.push_back(value);
      }
    }
    if (!files.certificate.empty()) {
      wish.certificates.push_back(std::move(files));
    }
  }
}

// What only a data plane's configuration has.
bool is_of_data_plane(const ConfigTable& root) {
  return std::any_of(std::begin(data_plane_tables), std::end(data_plane_tables),
                     [&root](const char* name) { return root.has(name); });
}

}  // namespace

Result<PreflightWish> read_preflight_wish(const std::string& path) {
  Result<Config> file = Config::load(path);
  if (!file.ok()) {
    return file.error();
  }
  PreflightWish wish;
  const ConfigTable root = file.value().root();
  if (is_of_data_plane(root)) {
    return Error{Exit::usage, "cannot use the configuration",
                 "it is a data plane's, which looks at this machine itself", path,
                 "run ssn-dataplane --check with it, and ssn doctor without"};
  }
  const ConfigTable memory = root.table("memory");
  wish.locked_bytes = memory.bytes("locked", {0, bytes_max}, wish.locked_bytes);
  wish.huge_bytes = memory.bytes("huge_pages", {0, bytes_max}, wish.huge_bytes);
  const ConfigTable cores = root.table("cores");
  wish.plan.workers = static_cast<unsigned>(cores.integer("workers", {1, 1024}, 0));
  wish.plan.node = static_cast<int>(cores.integer("node", {0, 1023}, no_node));
  read_node(root, wish);
  for (const ConfigTable& port : root.tables("port", entries_max)) {
    wish.plan.devices.push_back(port.text("device", {64, false}));
  }
  read_certificates(root, wish);
  if (Outcome outcome = file.value().finish(); !outcome.ok()) {
    return outcome.error();
  }
  return wish;
}

}  // namespace ssn::hw
