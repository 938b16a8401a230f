// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/frame_packer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::protocol {

FramePacker::FramePacker(const WireStream& stream, BlockPool& pool, WireSendCounters& counters)
    : block_bytes_(stream.block_bytes()),
      data_blocks_(stream.data_blocks),
      frame_max_(stream.frame_max),
      latency_ns_(stream.latency_ns),
      pool_(&pool),
      counters_(&counters),
      closed_(pool.size()) {
  assert(pool.block_bytes() >= block_bytes_);
}

FramePacker::~FramePacker() {
  give_up();
  if (open_ != nullptr) pool_->give_back(open_);
}

void FramePacker::open(std::uint64_t now) noexcept {
  open_ = pool_->take();
  assert(open_ != nullptr && "admit() saw to that");
  open_->since = now;
  open_->frames = 0;
  at_ = block_header_bytes;
  first_ = 0;
}

void FramePacker::close() noexcept {
  Block& block = *open_;
  write_block_header({broken_, first_ == 0 ? at_ : first_, at_}, block.data);
  block.bytes = at_;
  const std::uint32_t each = (at_ + data_blocks_ - 1) / data_blocks_;
  block.share_bytes = (each + share_granule - 1) / share_granule * share_granule;
  std::memset(block.data + at_, 0, std::size_t{data_blocks_} * block.share_bytes - at_);
  broken_ = false;
  open_ = nullptr;
  const std::size_t place = closed_first_ + closed_count_;
  closed_[place < closed_.size() ? place : place - closed_.size()] = &block;
  ++closed_count_;
}

PackResult FramePacker::admit(std::size_t frame_bytes) noexcept {
  if (frame_bytes == 0 || frame_bytes > frame_max_) {
    ++counters_->frames_too_long;
    return PackResult::too_long;
  }
  const std::size_t need = record_header_bytes + frame_bytes;
  const std::size_t left = open_ == nullptr ? 0 : block_bytes_ - at_;
  if (need > left) {
    const std::size_t each = block_bytes_ - block_header_bytes;
    if (pool_->free() < (need - left + each - 1) / each) {
      ++counters_->frames_no_room;
      return PackResult::no_room;
    }
  }
  return PackResult::packed;
}

void FramePacker::begin_record(std::size_t frame_bytes, std::uint64_t now) noexcept {
  if (open_ == nullptr) open(now);
  if (first_ == 0) first_ = at_;
  store_big(open_->data + at_, static_cast<std::uint16_t>(frame_bytes));
  at_ += record_header_bytes;
  ++open_->frames;
  ++counters_->frames;
  counters_->frame_bytes += frame_bytes;
}

void FramePacker::append(const std::uint8_t* from, std::size_t bytes, std::uint64_t now) noexcept {
  while (bytes != 0) {
    if (at_ == block_bytes_) {
      close();
      open(now);
    }
    const std::size_t part = std::min<std::size_t>(bytes, block_bytes_ - at_);
    std::memcpy(open_->data + at_, from, part);
    at_ += static_cast<std::uint32_t>(part);
    from += part;
    bytes -= part;
  }
}

void FramePacker::end_record() noexcept {
  if (block_bytes_ - at_ < record_room) close();
}

std::size_t FramePacker::pack(std::span<Cell* const> frames, std::uint64_t now) noexcept {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Cell& frame = *frames[i];
    if (i + 1 < frames.size()) __builtin_prefetch(frames[i + 1]->data);
    const PackResult result = admit(frame.length);
    if (result == PackResult::no_room) {
      counters_->frames_no_room += frames.size() - i - 1;
      return i;
    }
    if (result == PackResult::too_long) continue;
    begin_record(frame.length, now);
    append(frame.data, frame.length, now);
    end_record();
  }
  return frames.size();
}

PackResult FramePacker::pack_pieces(std::span<const std::span<const std::uint8_t>> pieces,
                                    std::uint64_t now) noexcept {
  std::size_t bytes = 0;
  for (const auto& piece : pieces) bytes += piece.size();
  const PackResult result = admit(bytes);
  if (result != PackResult::packed) return result;
  begin_record(bytes, now);
  for (const auto& piece : pieces) append(piece.data(), piece.size(), now);
  end_record();
  return result;
}

void FramePacker::flush(std::uint64_t now) noexcept {
  if (open_ != nullptr && now >= deadline()) close();
}

std::uint64_t FramePacker::deadline() const noexcept {
  return open_ == nullptr ? UINT64_MAX : open_->since + latency_ns_;
}

void FramePacker::pop(std::size_t count) noexcept {
  assert(count <= closed_count_);
  closed_count_ -= count;
  closed_first_ += count;
  if (closed_first_ >= closed_.size()) closed_first_ -= closed_.size();
}

void FramePacker::give_up() noexcept {
  if (closed_count_ == 0) return;
  for (std::size_t i = 0; i < closed_count_; ++i) {
    Block* const block = closed_at(i);
    counters_->frames_given_up += block->frames;
    ++counters_->blocks_given_up;
    pool_->give_back(block);
  }
  pop(closed_count_);
  break_chain();
}

void FramePacker::break_chain() noexcept {
  if (closed_count_ != 0) {
    closed_at(0)->data[0] |= 1;
  } else {
    broken_ = true;
  }
}

}  // namespace ssn::protocol
