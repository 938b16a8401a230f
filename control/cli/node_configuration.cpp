// SPDX-License-Identifier: BSD-3-Clause
#include "node_configuration.h"

#include "ssn/hw/config.h"
#include "ssn/key_device.h"

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
  node.devices = hw::read_key_devices(root);
  if (Outcome outcome = config.value().finish(); !outcome.ok()) {
    return outcome.error();
  }
  return node;
}

Result<const hw::KeyDeviceConfiguration*> NodeConfiguration::device_for(const std::string& peer) const {
  const Result<std::size_t> found = hw::key_device_for(devices, peer, file);
  if (!found.ok()) {
    return found.error();
  }
  return &devices[found.value()];
}

}  // namespace ssn::cli
