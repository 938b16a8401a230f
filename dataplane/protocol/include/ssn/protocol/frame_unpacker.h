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

  /// Unpacks the blocks whose turn has come. `fresh`: cells with `target` and room of stream.frame_max there
  /// (asserted); returns how many were taken from the front. A taken one comes out in `frames` with the frame
  /// (`data` = `target`, `length`), now or, if a part of it is still to come, later. `frames` has room for as
  /// many as `fresh` has, and one. Call again where all of `fresh` was taken: there may be more.
  std::size_t unpack(BlockCollector& collector, std::span<Cell* const> fresh, std::span<Cell*> frames,
                     std::size_t& frame_count) noexcept;

  /// The cell that waits for the rest of its frame, to be freed; null: none. The frame is given up.
  Cell* take_open() noexcept;

 private:
  bool enter(const Delivered& delivered) noexcept;

  std::uint32_t frame_max_;
  BlockPool* pool_;
  WireReceiveCounters* counters_;
  Block* block_ = nullptr;  // that is being read
  std::uint32_t at_ = 0;
  std::uint32_t end_ = 0;
  Cell* cell_ = nullptr;       // of an unfinished frame
  std::uint32_t missing_ = 0;  // bytes of an unfinished frame, with or without a cell
  bool skip_ = false;          // the unfinished frame is not wanted
};

}  // namespace ssn::protocol
