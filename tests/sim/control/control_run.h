// SPDX-License-Identifier: BSD-3-Clause
// One seed of a storage network with its controller, from its first write to the last read.
#pragma once

#include <functional>
#include <string>

#include "control_plan.h"
#include "storage_run.h"

namespace ssn::sim {

/// `trace` gets a line for each thing that happens.
StorageReport run_control_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace = {});
/// The same seed with a promise broken.
StorageReport run_control_fault(std::uint64_t seed, ControlFault fault,
                                const std::function<void(const std::string&)>& trace = {});

}  // namespace ssn::sim
