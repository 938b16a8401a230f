// SPDX-License-Identifier: BSD-3-Clause
// How much memory a stream may take at one worker: blocks lie in locked memory, and there may be many
// streams.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/block_splitter.h"
#include "ssn/protocol/wire_stream.h"
#include "wire_memory.h"

namespace ssn::dataplane {

/// Bytes of blocks in each direction, about.
inline constexpr std::uint64_t block_memory_max = std::uint64_t{16} << 20;

/// A device must find pages where they are.
inline hw::SecretBuffer::Locking locking_of(const MemoryRegistry& memory) noexcept {
  return memory.is_needed() ? hw::SecretBuffer::Locking::required : hw::SecretBuffer::Locking::best_effort;
}

/// Jobs of one direction that can be in flight.
constexpr std::uint32_t jobs_of(const protocol::WireStream&) noexcept {
  return static_cast<std::uint32_t>(protocol::BlockSplitter::max_burst);
}

/// Blocks that can be on their way: as many as memory allows, 64 to 1024.
constexpr std::uint32_t window_of(std::uint32_t block_bytes) noexcept {
  return static_cast<std::uint32_t>(
      std::bit_floor(std::clamp<std::uint64_t>(block_memory_max / block_bytes, 64, 1024)));
}

/// Blocks of a sender: those with the device, those that are being packed, and some that wait for keys.
inline std::uint32_t send_blocks_of(const protocol::WireStream& stream) noexcept {
  return jobs_of(stream) + static_cast<std::uint32_t>(
                               std::clamp<std::uint64_t>(block_memory_max / stream.block_bytes(), 64, 512));
}

}  // namespace ssn::dataplane
