// SPDX-License-Identifier: BSD-3-Clause
// Puts frames into blocks, one after the other. Copies them: a frame may be freed as soon as pack() took it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/cell.h"
#include "ssn/protocol/wire_block.h"
#include "ssn/protocol/wire_counters.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::protocol {

/// What became of a frame.
enum class PackResult : std::uint8_t { packed, too_long, no_room };

class FramePacker {
 public:
  /// Everything outlives this object. `pool`: blocks of stream.block_bytes(), shared with the splitter; as
  /// many as a burst of frames fills, and as there are jobs in flight, and a few.
  FramePacker(const WireStream& stream, BlockPool& pool, WireSendCounters& counters);
  FramePacker(const FramePacker&) = delete;
  FramePacker& operator=(const FramePacker&) = delete;
  ~FramePacker();

  /// Packs frames (`data`, `length`) in order. Returns how many were taken from the front, those that are
  /// empty or too long included (counted, and gone); fewer than all where no block is free. The rest is the
  /// caller's, to be offered again or dropped, and was counted as frames_no_room.
  std::size_t pack(std::span<Cell* const> frames, std::uint64_t now) noexcept;
  /// One frame in several pieces.
  PackResult pack_pieces(std::span<const std::span<const std::uint8_t>> pieces, std::uint64_t now) noexcept;

  /// End of a burst: closes the open block if its first frame has waited for the latency bound.
  void flush(std::uint64_t now) noexcept;
  /// When flush() is to be called at the latest; UINT64_MAX: nothing waits.
  std::uint64_t deadline() const noexcept;

  /// Closed blocks that wait to be split, the oldest first; for the splitter.
  std::size_t closed() const noexcept { return closed_count_; }
  Block* closed_at(std::size_t at) const noexcept {
    const std::size_t place = closed_first_ + at;
    return closed_[place < closed_.size() ? place : place - closed_.size()];
  }
  /// The first `count` of them are the caller's now.
  void pop(std::size_t count) noexcept;
  /// Drops all closed blocks: those frames are given up, and one that goes on in the open block.
  void give_up() noexcept;
  /// A block that was popped is given up: what comes next does not continue it.
  void break_chain() noexcept;

 private:
  PackResult admit(std::size_t frame_bytes) noexcept;
  void begin_record(std::size_t frame_bytes, std::uint64_t now) noexcept;
  void append(const std::uint8_t* from, std::size_t bytes, std::uint64_t now) noexcept;
  void end_record() noexcept;
  void open(std::uint64_t now) noexcept;
  void close() noexcept;

  std::uint32_t block_bytes_;
  std::uint32_t data_blocks_;
  std::uint32_t frame_max_;
  std::uint64_t latency_ns_;
  BlockPool* pool_;
  WireSendCounters* counters_;
  Block* open_ = nullptr;
  std::uint32_t at_ = 0;     // where the open block goes on
  std::uint32_t first_ = 0;  // its first record; 0: none yet
  bool broken_ = false;      // what the open block, or the next one, begins with continues nothing
  std::vector<Block*> closed_;
  std::size_t closed_first_ = 0;
  std::size_t closed_count_ = 0;
};

}  // namespace ssn::protocol
