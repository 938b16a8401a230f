// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/key_device_configuration.h"

#include <algorithm>

#include "ssn/key_device.h"

namespace ssn::hw {

std::vector<KeyDeviceConfiguration> read_key_devices(const ConfigTable& root) {
  std::vector<KeyDeviceConfiguration> devices;
  for (const ConfigTable& table : root.tables("key_device", KeyDeviceConfiguration::devices_max)) {
    KeyDeviceConfiguration device;
    device.driver = table.text("driver");
    device.peers = table.texts("peers", KeyDeviceConfiguration::peers_max, {.longest = SSN_PEER_NAME_MAX});
    device.settings = table.table("settings").settings(KeyDeviceConfiguration::settings_max);
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<std::size_t> key_device_for(std::span<const KeyDeviceConfiguration> devices, const std::string& peer,
                                   const std::string& file) {
  std::string known;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::vector<std::string>& peers = devices[i].peers;
    if (peers.empty() || std::find(peers.begin(), peers.end(), peer) != peers.end()) {
      return i;
    }
    for (const std::string& other : peers) {
      known += (known.empty() ? "" : ", ") + other;
    }
  }
  return Error{
      Exit::not_found, "cannot get keys with " + peer,
      known.empty() ? "no key device is configured" : "the key devices have keys with " + known + " only",
      file, "add a [[key_device]] for it, or name another peer"};
}

}  // namespace ssn::hw
