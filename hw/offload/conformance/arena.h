// SPDX-License-Identifier: BSD-3-Clause
// Memory for the buffers of the suite: one region that is registered with the device, handed out piece by
// piece with known bytes between the pieces.
#pragma once

#include <cstdint>
#include <vector>

#include "ssn/hw/ring_memory.h"

namespace ssn::hw::offload {

class Arena {
 public:
  /// As much as this process may lock, of 16, 4 or 1 MiB.
  static Result<Arena> make();

  ssn_memory describe() const noexcept { return memory_.describe(); }
  std::size_t size() const noexcept { return memory_.size(); }
  /// Takes everything back.
  void reset() noexcept;
  /// `length` bytes whose address is `offset` behind a multiple of `alignment` (of 64 where that is less).
  /// Null when there is no room.
  std::uint8_t* take(std::uint32_t length, std::uint32_t alignment, std::uint32_t offset = 0);
  /// Whether no byte between the pieces has changed.
  bool intact() const noexcept;

 private:
  struct Gap {
    std::size_t begin;
    std::size_t end;
  };
  void fill(std::size_t begin, std::size_t end);

  RingMemory memory_;
  std::size_t used_ = 0;
  std::vector<Gap> gaps_;
};

}  // namespace ssn::hw::offload
