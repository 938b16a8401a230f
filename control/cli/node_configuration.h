// SPDX-License-Identifier: BSD-3-Clause
// The configuration of one node as far as commands need it: who it is, its ledger, its key devices.
//
//   [node]
//   name = "sae-a"                      # SAE ID
//   ledger = "sae-a.ledger"             # beside this file; made when it is missing
//
//   [[key_device]]
//   driver = "kmnic"                    # or the path of a driver
//   peers = ["sae-b"]                   # whom it has keys with; left out: everybody
//   [key_device.settings]               # the driver's own
//   socket = "sae-a.sock"
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/key_device.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

struct KeyDeviceConfiguration {
  std::string driver;
  std::vector<std::string> peers;  ///< empty: everybody
  std::vector<std::pair<std::string, std::string>> settings;
};

struct NodeConfiguration {
  static constexpr std::size_t devices_max = 64;
  static constexpr std::size_t peers_max = 512;
  static constexpr std::size_t settings_max = 64;

  std::string file;
  std::string name;
  std::string ledger;
  std::vector<KeyDeviceConfiguration> devices;

  static Result<NodeConfiguration> load(const std::string& file);
  /// The first device that has keys with `peer`, or an error that names those that there are.
  Result<const KeyDeviceConfiguration*> device_for(const std::string& peer) const;
};

}  // namespace ssn::cli
