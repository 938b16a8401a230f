// SPDX-License-Identifier: BSD-3-Clause
// Blocks: what is split at once. Frames are records in it, one after the other; a record may go on in the
// next block. docs/wire-mode.md has the format.
//
//   header, 8 bytes | rest of a record of the block before | record | record | ... | zeros
//   record: length of the frame, 2 bytes | frame
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/wire.h"

namespace ssn::protocol {

inline constexpr std::uint32_t block_header_bytes = 8;
inline constexpr std::uint32_t record_header_bytes = 2;
/// A record begins where at least so many bytes are left: its length and one byte of the frame.
inline constexpr std::uint32_t record_room = record_header_bytes + 1;
inline constexpr std::uint32_t frame_bytes_max = 65535;
/// Data blocks are cut to multiples of this.
inline constexpr std::uint32_t share_granule = 64;

struct BlockHeader {
  bool broken = false;  ///< what the block before ends with is not continued here: its sender gave that up
  std::uint32_t first = 0;  ///< offset in the block of the first record that begins here; `end` if none does
  std::uint32_t end = 0;    ///< offset behind the last byte that is used

  bool operator==(const BlockHeader&) const = default;
};

/// The first byte is 1 where it is broken, else 0.
inline void write_block_header(const BlockHeader& header, std::uint8_t* to) noexcept {
  store_big<std::uint32_t>(to, (header.broken ? 1U << 24 : 0U) | header.first);
  store_big<std::uint32_t>(to + 4, header.end);
}

/// False: no sender of ours writes that. `bytes`: of the block.
inline bool read_block_header(const std::uint8_t* block, std::uint32_t bytes, BlockHeader& header) noexcept {
  const auto first = load_big<std::uint32_t>(block);
  header.broken = (first >> 24 & 1) != 0;
  header.first = first & 0xffffff;
  header.end = load_big<std::uint32_t>(block + 4);
  return first >> 25 == 0 && header.first >= block_header_bytes && header.first <= header.end &&
         header.end <= bytes;
}

/// Where a share of block `number` says that it belongs.
constexpr Placement block_placement(std::uint64_t stream, std::uint64_t number, unsigned share) noexcept {
  return {stream, static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), 0,
          static_cast<std::uint8_t>(share)};
}
constexpr std::uint64_t block_number(const Placement& placement) noexcept {
  return std::uint64_t{placement.generation} << 32 | placement.cell;
}
/// Block numbers end here, long before packet numbers do.
inline constexpr std::uint64_t block_number_end = std::uint64_t{1} << 62;

struct alignas(64) Block {
  std::uint8_t* data = nullptr;  ///< on a cache line
  std::uint64_t number = 0;
  std::uint64_t since = 0;  ///< ns: when its first frame came
  std::uint32_t bytes = 0;  ///< used, header included
  std::uint32_t share_bytes =
      0;                     ///< of each data block: a multiple of 64. Data block l begins at l * share_bytes
  std::uint32_t frames = 0;  ///< records that begin in it
  std::uint16_t users = 0;   ///< splitter: jobs that name it
};

/// A fixed number of blocks over memory of the caller.
class BlockPool {
 public:
  static constexpr std::size_t stride(std::uint32_t block_bytes) noexcept {
    return (std::size_t{block_bytes} + 63) / 64 * 64 +
           64;  // not a power of two: blocks spread over the caches
  }
  static constexpr std::size_t memory_bytes(std::uint32_t block_bytes, std::uint32_t count) noexcept {
    return stride(block_bytes) * count + 64;
  }
  /// `memory`: memory_bytes(), outlives this object; blocks hold data in clear: its owner erases it.
  BlockPool(std::span<std::uint8_t> memory, std::uint32_t block_bytes, std::uint32_t count);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  std::uint32_t block_bytes() const noexcept { return block_bytes_; }
  std::size_t free() const noexcept { return free_.size(); }
  std::size_t size() const noexcept { return blocks_.size(); }
  /// Null where none is free.
  Block* take() noexcept {
    if (free_.empty()) return nullptr;
    Block* const block = free_.back();
    free_.pop_back();
    return block;
  }
  void give_back(Block* block) noexcept {
    assert(free_.size() < blocks_.size());
    free_.push_back(block);  // has room for all
  }

 private:
  std::uint32_t block_bytes_;
  std::vector<Block> blocks_;
  std::vector<Block*> free_;
};

}  // namespace ssn::protocol
