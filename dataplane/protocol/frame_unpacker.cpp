// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/frame_unpacker.h"
#include "planted_faults.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace ssn::protocol {

FrameUnpacker::FrameUnpacker(const WireStream& stream, BlockPool& pool,
                             WireReceiveCounters& counters) noexcept
    : frame_max_(stream.frame_max), pool_(&pool), counters_(&counters) {}

FrameUnpacker::~FrameUnpacker() {
  assert(cell_ == nullptr && "take_open() gives it back");
  if (block_ != nullptr) pool_->give_back(block_);
}

// The unfinished frame will not be finished. Its cell serves the next one.
void FrameUnpacker::cut() noexcept {
  if (missing_ == 0) return;
  ++counters_->frames_cut;
  missing_ = 0;
  skip_ = false;
  written_ = 0;
}

// Begins to read a block: what of it continues the frame before, and where the first record is.
void FrameUnpacker::enter(const Delivered& delivered) noexcept {
  const bool goes_on = planted(PlantedFault::frame_of_lost_block);
  if (delivered.block == nullptr) {
    if (!goes_on) cut();
    return;
  }
  BlockHeader header;
  if (!read_block_header(delivered.block->data, delivered.block->bytes, header)) {
    ++counters_->blocks_malformed;
    cut();
    return pool_->give_back(delivered.block);
  }
  block_ = delivered.block;
  end_ = header.end;
  const std::uint32_t rest = header.first - block_header_bytes;
  // A frame goes on to the end of the block, or ends where the first record begins.
  const bool fits = missing_ == rest || (missing_ > rest && header.first == header.end);
  if (missing_ == 0 || header.broken || (!fits && !goes_on)) {
    if (missing_ != 0 && !header.broken) ++counters_->blocks_malformed;
    cut();
    at_ = header.first;
  } else {
    at_ = block_header_bytes;
  }
}

// Reads the length of the next record. False: there is none.
bool FrameUnpacker::begin_record() noexcept {
  if (at_ == end_) return false;
  if (end_ - at_ < record_room) {
    ++counters_->blocks_malformed;
    at_ = end_;
    return false;
  }
  missing_ = load_big<std::uint16_t>(block_->data + at_);
  at_ += record_header_bytes;
  written_ = 0;
  skip_ = missing_ > frame_max_;
  if (missing_ == 0) ++counters_->blocks_malformed;
  return true;
}

// Copies what the block has of the unfinished frame. True: it is finished.
bool FrameUnpacker::copy() noexcept {
  const std::uint32_t part = std::min(missing_, end_ - at_);
  if (!skip_) std::memcpy(cell_->target + written_, block_->data + at_, part);
  at_ += part;
  written_ += part;
  missing_ -= part;
  return missing_ == 0;
}

std::size_t FrameUnpacker::unpack(BlockCollector& collector, std::span<Cell* const> fresh,
                                  std::span<Cell*> frames, std::size_t& frame_count) noexcept {
  std::size_t taken = 0;
  frame_count = 0;
  for (;;) {
    if (block_ == nullptr) {
      Delivered delivered;
      if (!collector.next(delivered)) break;
      enter(delivered);
      if (block_ == nullptr) continue;
    }
    if (cell_ == nullptr) {
      if (taken == fresh.size()) break;
      cell_ = fresh[taken++];
      assert(cell_->target != nullptr && cell_->target_room >= frame_max_);
    }
    while (missing_ == 0 && begin_record()) {
    }
    if (missing_ == 0 || !copy()) {  // the end of the block
      pool_->give_back(block_);
      block_ = nullptr;
      continue;
    }
    if (skip_) {
      ++counters_->frames_too_long;
      skip_ = false;
      continue;
    }
    cell_->data = cell_->target;
    cell_->length = written_;
    ++counters_->frames;
    counters_->frame_bytes += written_;
    frames[frame_count++] = cell_;
    cell_ = nullptr;
  }
  if (planted(PlantedFault::frames_out_of_order) && frame_count >= 2) std::swap(frames[0], frames[1]);
  return taken;
}

Cell* FrameUnpacker::take_open() noexcept {
  cut();
  Cell* const cell = cell_;
  cell_ = nullptr;
  return cell;
}

}  // namespace ssn::protocol
