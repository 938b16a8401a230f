// SPDX-License-Identifier: BSD-3-Clause
// Only in the tests' build of the library.
#include "planted_faults.h"

namespace ssn::protocol {
namespace {

PlantedFault current = PlantedFault::none;

}  // namespace

PlantedFault planted_fault() noexcept { return current; }
void plant(PlantedFault fault) noexcept { current = fault; }

}  // namespace ssn::protocol
