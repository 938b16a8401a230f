// SPDX-License-Identifier: BSD-3-Clause
// The key devices of a node in its configuration file: the same for every program that reads one.
//
//   [[key_device]]
//   driver = "kmnic"                    # or the path of a driver
//   peers = ["sae-b"]                   # whom it has keys with; left out: everybody
//   [key_device.settings]               # the driver's own
//   socket = "sae-a.sock"
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/config.h"
#include "ssn/hw/result.h"

namespace ssn::hw {

struct KeyDeviceConfiguration {
  static constexpr std::size_t devices_max = 64;
  static constexpr std::size_t peers_max = 512;
  static constexpr std::size_t settings_max = 64;

  std::string driver;
  std::vector<std::string> peers;  ///< empty: everybody
  std::vector<std::pair<std::string, std::string>> settings;
};

/// All [[key_device]] tables of a file, in its order. What is wrong is noted; Config::finish() tells it.
std::vector<KeyDeviceConfiguration> read_key_devices(const ConfigTable& root);

/// The first device that has keys with `peer`; there is one for each peer. not_found names the peers that
/// there are devices for; `file`: of the configuration, for the message.
Result<std::size_t> key_device_for(std::span<const KeyDeviceConfiguration> devices, const std::string& peer,
                                   const std::string& file);

}  // namespace ssn::hw
