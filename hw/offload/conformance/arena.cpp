// SPDX-License-Identifier: BSD-3-Clause
#include "arena.h"

#include <algorithm>
#include <cstring>

namespace ssn::hw::offload {
namespace {

constexpr std::uint8_t gap_byte = 0xA5;
constexpr std::size_t gap_bytes = 32;

}  // namespace

Result<Arena> Arena::make() {
  Arena arena;
  for (const std::size_t bytes : {std::size_t{16} << 20, std::size_t{4} << 20, std::size_t{1} << 20}) {
    Result<RingMemory> memory = RingMemory::make(bytes, RingMemory::Pages::normal);
    if (memory.ok()) {
      arena.memory_ = std::move(memory.value());
      return arena;
    }
    if (bytes == std::size_t{1} << 20) {
      return memory.error();
    }
  }
  return arena;
}

void Arena::reset() noexcept {
  used_ = 0;
  gaps_.clear();
}

void Arena::fill(std::size_t begin, std::size_t end) {
  std::memset(memory_.data() + begin, gap_byte, end - begin);
  gaps_.push_back({begin, end});
}

std::uint8_t* Arena::take(std::uint32_t length, std::uint32_t alignment, std::uint32_t offset) {
  const std::size_t boundary = std::max<std::size_t>(alignment, 64);
  const std::size_t begin = (used_ + gap_bytes + boundary - 1) / boundary * boundary + offset;
  const std::size_t end = begin + length;
  if (end + gap_bytes > memory_.size()) {
    return nullptr;
  }
  fill(used_, begin);
  // The next piece begins behind this gap, or overwrites it by a longer one.
  fill(end, end + gap_bytes);
  used_ = end;
  return memory_.data() + begin;
}

bool Arena::intact() const noexcept {
  return std::all_of(gaps_.begin(), gaps_.end(), [this](const Gap& gap) {
    return std::all_of(memory_.data() + gap.begin, memory_.data() + gap.end,
                       [](std::uint8_t byte) { return byte == gap_byte; });
  });
}

}  // namespace ssn::hw::offload
