// SPDX-License-Identifier: BSD-3-Clause
// Finds the shared objects of drivers and loads them.
#pragma once

#include <string>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::hw {

/// What a driver was asked for by: "ssn-key-" and "kmnic", or a path.
struct DriverFile {
  std::string prefix;  ///< of the file name
  std::string driver;  ///< name or, with a slash, path
  std::string symbol;  ///< that it must export
  std::string folder;  ///< of a build directory that has drivers of this kind: "hw/keys"
};

struct LoadedDriver {
  std::string path;
  void* symbol = nullptr;  ///< its address; never null
};

/// Looks for a name in the directories of SSN_DRIVER_PATH (separated by colons), in the build tree of this
/// program, and where Shareline's drivers are installed; the first that is found counts. A file that
/// everybody may write to is refused, and so is one in a build tree that belongs to somebody else. What was
/// loaded stays loaded.
Result<LoadedDriver> load_driver(const DriverFile& file);

struct FoundDriver {
  std::string name;
  std::string path;
};

/// The drivers that load_driver() would find by name, in alphabetical order.
std::vector<FoundDriver> find_drivers(const std::string& prefix, const std::string& folder);

}  // namespace ssn::hw
