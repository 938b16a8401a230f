// SPDX-License-Identifier: BSD-3-Clause
// Puts frames into blocks, one after the other. Copies them: a frame may be freed as soon as pack() took it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/cell.h"
#include "ssn/protocol/wire_block.h"
#include "ssn/protocol/wire_counters.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::protocol {

/// What became of a frame that was given to pack().
enum class PackResult : std::uint8_t { packed, too_long, no_room };

class FramePacker {
 public:
  /// Everything outlives this object. `pool`: blocks of stream.block_bytes(), shared with the splitter, at
  /// least as many as one burst of frames fills and jobs are in flight, and two.
  FramePacker(const WireStream& stream, BlockPool& pool, WireSendCounters& counters);

  /// Packs frames (`data`, `length`), in order. Returns how many were taken from the front, those that are
  /// too long included (counted); fewer than all where no block is free: the rest was counted as
  /// frames_no_room, and is the caller's to drop, or to offer again.
  std::size_t pack(std::span<Cell* const> frames, std::uint64_t now) noexcept;
  /// One frame in several pieces.
  PackResult pack_pieces(std::span<const std::span<const std::uint8_t>> pieces, std::uint64_t now) noexcept;

  /// End of a burst: closes the open block if its first frame waited for as long as the latency bound allows.
  void flush(std::uint64_t now) noexcept;
  /// When flush() is to be called at the latest; UINT64_MAX: nothing waits.
  std::uint64_t deadline() const noexcept;

  /// Closed blocks that wait to be split, the oldest first.
  std::size_t closed() const noexcept { return closed_count_; }
  Block* front(std::size_t at = 0) const noexcept { return closed_[(closed_first_ + at) % closed_.size()]; }
  void pop(std::size_t count = 1) noexcept;
  /// Gives up all blocks and frames, as when the keys ended. Block numbers are of the splitter.
  void drop_all() noexcept;
  /// What the next block begins with does not continue what was packed before: a block was given up.
  void break_chain(std::size_t at) noexcept;

 private:
  bool room_for(std::uint32_t frame_bytes) const noexcept;
  bool open(std::uint64_t now) noexcept;
  void close() noexcept;
  void append(const std::uint8_t* from, std::size_t bytes, std::uint64_t now) noexcept;
  void begin_record(std::uint32_t frame_bytes, std::uint64_t now) noexcept;

  std::uint32_t block_bytes_;
  std::uint32_t data_blocks_;
  std::uint32_t frame_max_;
  std::uint64_t latency_ns_;
  BlockPool* pool_;
  WireSendCounters* counters_;
  Block* open_ = nullptr;
  std::uint32_t at_ = 0;     // where the open block goes on
  std::uint32_t first_ = 0;  // its first record; 0: none yet
  std::vector<Block*> closed_;
  std::size_t closed_first_ = 0;
  std::size_t closed_count_ = 0;
};

}  // namespace ssn::protocol
