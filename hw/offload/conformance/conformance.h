// SPDX-License-Identifier: BSD-3-Clause
// The conformance suite for drivers of offload devices: whether a driver keeps what
// include/ssn/offload_device.h says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/offload_device.h"

namespace ssn::hw::offload {

enum class Verdict { passed, failed, skipped };

/// "pass", "FAIL" or "skip".
std::string_view name(Verdict verdict) noexcept;

struct CheckReport {
  std::string name;
  std::string promise;  ///< what is checked, in a line
  Verdict verdict = Verdict::passed;
  std::string detail;  ///< what went wrong, why it was skipped, or what was left out
  double seconds = 0;
};

struct ConformanceOptions {
  std::uint64_t seed = 0;
  unsigned patience_seconds = 5;                     ///< that a job may take before it counts as lost
  std::string only;                                  ///< checks whose names contain this; empty: all
  std::function<void(const CheckReport&)> on_check;  ///< told of each check when it is done; may be empty
};

struct ConformanceReport {
  std::string driver;  ///< its name
  std::string file;
  ssn_offload_device_info info{};
  std::vector<CheckReport> checks;

  unsigned count(Verdict verdict) const noexcept;
};

/// Opens the driver and runs the checks. An error when nothing could be checked: the driver cannot be loaded
/// or opened, `only` matches nothing, or this machine gives no memory.
Result<ConformanceReport> test_offload_driver(const OffloadDevice::Options& driver,
                                              const ConformanceOptions& options);

}  // namespace ssn::hw::offload
