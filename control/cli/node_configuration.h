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
#include <vector>

#include "ssn/hw/key_device_configuration.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

struct NodeConfiguration {
  std::string file;
  std::string name;
  std::string ledger;
  std::vector<hw::KeyDeviceConfiguration> devices;

  static Result<NodeConfiguration> load(const std::string& file);
  /// The first device that has keys with `peer`, or an error that names those that there are.
  Result<const hw::KeyDeviceConfiguration*> device_for(const std::string& peer) const;
};

}  // namespace ssn::cli
