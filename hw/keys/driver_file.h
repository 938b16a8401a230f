// SPDX-License-Identifier: BSD-3-Clause
// Finds the shared object of a driver and loads it.
#pragma once

#include <string>

#include "ssn/hw/result.h"

namespace ssn::hw {

/// What a driver was asked for by: "ssn-key-" and "kmnic", or a path.
struct DriverFile {
  std::string prefix;  ///< of the file name
  std::string driver;  ///< name or, with a slash, path
  std::string symbol;  ///< that it must export
};

struct LoadedDriver {
  std::string path;
  void* symbol = nullptr;  ///< its address; never null
};

/// Looks as KeyDevice::Options::driver says. What was loaded stays loaded.
Result<LoadedDriver> load_driver(const DriverFile& file);

}  // namespace ssn::hw
