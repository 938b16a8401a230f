// SPDX-License-Identifier: BSD-3-Clause
// Takes frames out of blocks, in order, and puts those together that several blocks hold.
#pragma once

#include <cstdint>
#include <span>

#include "ssn/protocol/block_collector.h"

namespace ssn::protocol {

class FrameUnpacker {
 public:
  /// Everything outlives this object.
  FrameUnpacker(const WireStream& stream, BlockPool& pool, WireReceiveCounters& counters) noexcept;
  FrameUnpacker(const FrameUnpacker&) = delete;
  FrameUnpacker& operator=(const FrameUnpacker&) = delete;
  /// take_open() was called.
  ~FrameUnpacker();

  /// Unpacks the blocks whose turn it is. `fresh`: cells with `target` and room for stream.frame_max bytes
  /// there (asserted); returns how many were taken from the front. A taken cell comes out in `frames` with a
  /// frame in it
  /// (`data`, `length`), now or by a later call. `frames` has room for as many as `fresh` has, and one more.
  /// Where all of `fresh` was taken there may be more: call again.
  std::size_t unpack(BlockCollector& collector, std::span<Cell* const> fresh, std::span<Cell*> frames,
                     std::size_t& frame_count) noexcept;

  /// The cell for the next frame, if one was taken already: to be freed. What is in it of a frame is given
  /// up.
  Cell* take_open() noexcept;

 private:
  void enter(const Delivered& delivered) noexcept;
  bool begin_record() noexcept;
  bool copy() noexcept;
  void cut() noexcept;

  std::uint32_t frame_max_;
  BlockPool* pool_;
  WireReceiveCounters* counters_;
  Block* block_ = nullptr;  // that is being read
  std::uint32_t at_ = 0;
  std::uint32_t end_ = 0;
  Cell* cell_ = nullptr;       // for the frame at hand, or the next one
  std::uint32_t written_ = 0;  // of it
  std::uint32_t missing_ = 0;  // to its end; 0: there is none
  bool skip_ = false;          // it is longer than frames are here
};

}  // namespace ssn::protocol
