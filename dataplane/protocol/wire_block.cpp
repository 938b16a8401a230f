// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/wire_block.h"

namespace ssn::protocol {

BlockPool::BlockPool(std::span<std::uint8_t> memory, std::uint32_t block_bytes, std::uint32_t count)
    : block_bytes_(block_bytes), blocks_(count) {
  assert(count >= 1 && memory.size() >= memory_bytes(block_bytes, count));
  const auto base = reinterpret_cast<std::uintptr_t>(memory.data());
  std::uint8_t* at = memory.data() + (64 - base % 64) % 64;
  free_.reserve(count);
  for (Block& block : blocks_) {
    block.data = at;
    at += stride(block_bytes);
  }
  for (std::uint32_t i = count; i-- > 0;) free_.push_back(&blocks_[i]);
}

}  // namespace ssn::protocol
