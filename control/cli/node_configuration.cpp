// SPDX-License-Identifier: BSD-3-Clause
#include "node_configuration.h"

#include <algorithm>

#include "ssn/hw/config.h"

namespace ssn::cli {

Result<NodeConfiguration> NodeConfiguration::load(const std::string& file) {
  Result<hw::Config> config = hw::Config::load(file);
  if (!config.ok()) {
    return config.error();
  }
  const hw::ConfigTable root = config.value().root();
  NodeConfiguration node;
  node.file = file;
  const hw::ConfigTable about = root.table("node");
  node.name = about.text("name", {.longest = SSN_PEER_NAME_MAX});
  node.ledger = about.path("ledger");
  for (const hw::ConfigTable& table : root.tables("key_device", devices_max)) {
    KeyDeviceConfiguration device;
    device.driver = table.text("driver");
    device.peers = table.texts("peers", peers_max, {.longest = SSN_PEER_NAME_MAX});
    device.settings = table.table("settings").settings(settings_max);
    node.devices.push_back(std::move(device));
  }
  if (Outcome outcome = config.value().finish(); !outcome.ok()) {
    return outcome.error();
  }
  return node;
}

Result<const KeyDeviceConfiguration*> NodeConfiguration::device_for(const std::string& peer) const {
  std::string known;
  for (const KeyDeviceConfiguration& device : devices) {
    if (device.peers.empty() ||
        std::find(device.peers.begin(), device.peers.end(), peer) != device.peers.end()) {
      return &device;
    }
    for (const std::string& other : device.peers) {
      known += (known.empty() ? "" : ", ") + other;
    }
  }
  return Error{
      Exit::not_found, "cannot get keys with " + peer,
      known.empty() ? "no key device is configured" : "the key devices have keys with " + known + " only",
      file, "add a [[key_device]] for it, or name another peer"};
}

}  // namespace ssn::cli
