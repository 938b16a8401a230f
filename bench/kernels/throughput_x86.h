// SPDX-License-Identifier: BSD-3-Clause
// Loops of one instruction, or of a mix, in assembly: the compiler adds nothing and needs no flags for them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssn::bench {

/// The loops read and write the first 4 KiB of `buffer`.
inline constexpr std::size_t instruction_buffer_bytes = 4096;

struct InstructionLoop {
  const char* name;
  unsigned per_turn;  ///< instructions (or pairs, in a mix) per turn
  void (*run)(std::size_t turns, std::uint8_t* buffer) noexcept;
  bool (*supported)() noexcept;
};

extern const InstructionLoop instruction_loops[];
extern const std::size_t instruction_loop_count;

/// Passes over a region, for the bandwidth of each level of the memory hierarchy.
struct RegionLoop {
  const char* name;
  /// `bytes` is a multiple of 512.
  void (*run)(std::uint8_t* region, std::size_t bytes) noexcept;
  bool (*supported)() noexcept;
};

extern const RegionLoop region_loops[];
extern const std::size_t region_loop_count;

}  // namespace ssn::bench
