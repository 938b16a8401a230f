// SPDX-License-Identifier: BSD-3-Clause
// Databases as a controller leaves them, made faster than by asking it.
#pragma once

#include <cstdint>
#include <string>

#include "ssn/hw/result.h"

namespace ssn::bench {

/// Names of `ssn kme init --sites a,b,...`: the SSA is sae-a, the holders are sae-b and so on.
std::string holder_name(unsigned number);
/// Of object `number`, of the owner "owner".
std::string object_name(std::uint64_t number);
inline constexpr std::uint64_t object_bytes = 100'000;
inline constexpr const char* ssa_name = "sae-a";

struct Filling {
  std::string path;           ///< must not exist
  std::uint64_t objects = 0;  ///< committed
  std::uint64_t writes = 0;   ///< open, of other owners
  unsigned holders = 0;       ///< up to 25
};

/// Through a catalogue in memory, of which every record is copied.
Outcome fill(const Filling& filling);

}  // namespace ssn::bench
