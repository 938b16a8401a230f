// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/tag_stream.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <memory>

#include "planted_faults.h"

namespace ssn::protocol {

static_assert(packet_number_end / block_packets < UINT64_MAX / tag_block_bytes / 2);

TagKeys::TagKeys(const kernels::Implementation& implementation, hw::SecretBuffer& memory)
    : implementation_(&implementation) {
  assert(memory.locked());
  void* at = memory.data();
  std::size_t space = memory.size();
  at = std::align(alignof(kernels::TagKey), 2 * sizeof(kernels::TagKey), at, space);
  assert(at != nullptr);
  keys_ = static_cast<kernels::TagKey*>(at);
  hash_keys_ = static_cast<std::uint8_t*>(at) + 2 * sizeof(kernels::TagKey);
  assert(hash_keys_ + 2 * hash_key_bytes <= memory.data() + memory.size());
  std::uninitialized_default_construct_n(keys_, 2);
}

TagKeys::~TagKeys() {
  std::destroy_n(keys_, 2);
  ::explicit_bzero(hash_keys_, 2 * hash_key_bytes);
}

const kernels::TagKey& TagKeys::key(std::uint64_t block) const noexcept {
  assert(has(block));
  return keys_[block & 1];
}

const std::uint8_t* TagKeys::hash_key(std::uint64_t block) const noexcept {
  assert(has(block));
  return hash_keys_ + (block & 1) * hash_key_bytes;
}

void TagKeys::set(std::uint64_t block, std::span<const std::uint8_t, hash_key_bytes> r) noexcept {
  keys_[block & 1].expand(*implementation_, r);
  std::memcpy(hash_keys_ + (block & 1) * hash_key_bytes, r.data(), hash_key_bytes);
  block_[block & 1] = block;
}

void TagKeys::erase() noexcept {
  std::destroy_n(keys_, 2);  // which erases them
  std::uninitialized_default_construct_n(keys_, 2);
  ::explicit_bzero(hash_keys_, 2 * hash_key_bytes);
  block_[0] = block_[1] = UINT64_MAX;
}

TagSender::TagSender(ssn_key_stream& stream, StreamMarks& marks,
                     const kernels::Implementation& implementation, hw::SecretBuffer& memory)
    : StreamEnd(stream, mask_bytes), marks_(&marks), keys_(implementation, memory) {
  assert(stream.role == SSN_KEY_SENDER);
}

// Moves the hash key of the block that comes next out of the ring.
Take TagSender::begin_block(std::uint64_t block) noexcept {
  const std::uint64_t offset = block * tag_block_bytes;
  assert(stream_->next == offset);
  if (const Take why = why_not(offset + hash_key_bytes, *marks_); why != Take::ok) return why;
  // The key of the block before the last gives way: none of its packets may still be in the making.
  if (block >= 2 &&
      window_.first_open(window_.base(), offset / mask_bytes) * mask_bytes < (block - 1) * tag_block_bytes) {
    return Take::busy;
  }
  keys_.set(block, std::span<const std::uint8_t, hash_key_bytes>(at(offset), hash_key_bytes));
  stream_->next += hash_key_bytes;
  StreamEnd::finish(offset, hash_key_bytes, &KeyAccount::used);
  return Take::ok;
}

// How many numbers of the next one's block can be taken now; at least `least`, or why not.
Take TagSender::ready(std::uint32_t least, std::uint64_t& count) noexcept {
  if (next_ >= packet_number_end) return Take::ended;
  const std::uint64_t block = next_ >> block_packets_log2;
  if (!ended_ && !keys_.has(block)) {
    if (const Take why = begin_block(block); why != Take::ok) return why;
  }
  const std::uint64_t offset = mask_offset(next_);
  if (const Take why = why_not(offset + least * mask_bytes, *marks_); why != Take::ok) return why;
  assert(stream_->next == offset);
  const std::uint64_t limit =
      planted(PlantedFault::skipped_write_ahead) ? usable_end() : std::min(usable_end(), marks_->granted());
  count = std::min((limit - offset) / mask_bytes, block_packets - (next_ & (block_packets - 1)));
  return Take::ok;
}

Take TagSender::take(std::uint32_t most, TagBurst& burst) noexcept {
  assert(most >= 1);
  std::uint64_t count = 0;
  if (const Take why = ready(1, count); why != Take::ok) return why;
  count = std::min<std::uint64_t>(count, most);
  burst.first = next_;
  burst.count = static_cast<std::uint32_t>(count);
  burst.masks = at(mask_offset(next_));
  burst.key = &keys_.key(next_ >> block_packets_log2);
  next_ += count;
  stream_->next += count * mask_bytes;
  marks_->advance(stream_->next);
  return Take::ok;
}

Take TagSender::take_runs(std::uint32_t each, std::uint32_t most, TagBurst& burst) noexcept {
  assert(each >= 1 && each <= block_packets && most >= 1);
  const std::uint64_t left = block_packets - (next_ & (block_packets - 1));
  if (left < each) {
    if (const Take why = take(static_cast<std::uint32_t>(left), burst); why != Take::ok) return why;
    discard(burst);
    if (burst.count < left) return Take::shortage;  // the rest of them another time
  }
  std::uint64_t count = 0;
  if (const Take why = ready(each, count); why != Take::ok) return why;
  return take(static_cast<std::uint32_t>(std::min<std::uint64_t>(count / each, most) * each), burst);
}

void TagSender::finish(const TagBurst& burst) noexcept {
  StreamEnd::finish(mask_offset(burst.first), burst.count * mask_bytes, &KeyAccount::used);
}

void TagSender::discard(const TagBurst& burst) noexcept {
  if (planted(PlantedFault::reuse_mask) && burst.first + burst.count == next_) {
    next_ = burst.first;
    stream_->next = mask_offset(next_);
    return;
  }
  drop(mask_offset(burst.first), mask_offset(burst.first) + burst.count * mask_bytes);
}

void TagSender::end() noexcept {
  keys_.erase();
  StreamEnd::end();
}

TagReceiver::TagReceiver(ssn_key_stream& stream, StreamMarks& marks,
                         const kernels::Implementation& implementation, hw::SecretBuffer& memory,
                         std::uint64_t window)
    : StreamEnd(stream, mask_bytes), marks_(&marks), keys_(implementation, memory), span_(window) {
  assert(stream.role == SSN_KEY_RECEIVER);
  assert(window >= 64 && window <= block_packets / 2);
  assert(stream.ring_bytes / mask_bytes >= 2 * window);
}

// Moves the hash key of a block out of the ring, if that was not yet done. False: it is not there.
bool TagReceiver::load_key(std::uint64_t block) noexcept {
  if (keys_.has(block)) return true;
  const std::uint64_t offset = block * tag_block_bytes;
  if (offset < stream_->released || offset + hash_key_bytes > usable_end() ||
      window_.state(offset / mask_bytes, 1) != RangeWindow::State::open) {
    return false;
  }
  keys_.set(block, std::span<const std::uint8_t, hash_key_bytes>(at(offset), hash_key_bytes));
  finish(offset, hash_key_bytes, &KeyAccount::used);
  return true;
}

Found TagReceiver::find(std::uint64_t packet, const std::uint8_t*& mask,
                        const kernels::TagKey*& key) noexcept {
  if (packet >= packet_number_end) return Found::invalid;
  if (ended_) return Found::pad_gone;
  const std::uint64_t offset = mask_offset(packet);
  if (offset + mask_bytes > usable_end()) {
    return failed_ || stream_->health == SSN_KEY_HEALTH_FAILED ? Found::pad_gone : Found::not_yet;
  }
  if (offset / mask_bytes < window_.oldest()) return Found::too_old;
  switch (window_.state(offset / mask_bytes, 1)) {
    case RangeWindow::State::open:
      if (packet < floor_) return Found::pad_gone;
      break;
    case RangeWindow::State::taken:
      return Found::already_opened;
    default:
      return Found::pad_gone;
  }
  const std::uint64_t block = packet >> block_packets_log2;
  // Two keys are held: of the block where the window begins and of the next one.
  if (block > (floor_ >> block_packets_log2) + 1) return Found::not_yet;
  if (!load_key(block)) return Found::pad_gone;
  mask = at(offset);
  key = &keys_.key(block);
  return Found::ready;
}

std::uint32_t TagReceiver::find_run(std::uint64_t packet, std::uint32_t most, const std::uint8_t*& masks,
                                    const kernels::TagKey*& key) noexcept {
  if (packet >= packet_number_end || packet < floor_ || ended_) return 0;
  const std::uint64_t offset = mask_offset(packet);
  const std::uint64_t first = offset / mask_bytes;
  const std::uint64_t usable = usable_end() / mask_bytes;
  if (first >= usable || first < window_.base()) return 0;
  const std::uint64_t here = std::min<std::uint64_t>(most, block_packets - (packet & (block_packets - 1)));
  const auto count = static_cast<std::uint32_t>(window_.open_prefix(first, std::min(here, usable - first)));
  const std::uint64_t block = packet >> block_packets_log2;
  if (count == 0 || block > (floor_ >> block_packets_log2) + 1 || !load_key(block)) return 0;
  masks = at(offset);
  key = &keys_.key(block);
  return count;
}

void TagReceiver::accept(std::uint64_t packet) noexcept {
  assert(keys_.has(packet >> block_packets_log2));
  finish_one(mask_offset(packet), &KeyAccount::used);
  note_seen(packet);
}

void TagReceiver::accept_run(std::uint64_t packet, std::uint32_t count) noexcept {
  assert(keys_.has(packet >> block_packets_log2));
  const std::uint64_t offset = mask_offset(packet);
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(at(offset), count * mask_bytes);
  }
  finish_erased(offset, mask_bytes, count, &KeyAccount::used);
  note_seen(packet + count - 1);
}

void TagReceiver::accept_some(std::uint64_t packet, std::uint32_t count, std::uint32_t used,
                              std::uint32_t last) noexcept {
  assert(keys_.has(packet >> block_packets_log2));
  const std::uint64_t offset = mask_offset(packet);
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(at(offset), count * mask_bytes);
  }
  finish_some(offset, mask_bytes, count, used);
  note_seen(packet + last);
}

void TagReceiver::note_seen(std::uint64_t packet) noexcept {
  if (packet < seen_) return;
  seen_ = packet + 1;
  marks_->advance(mask_offset(packet) + mask_bytes);
  if (seen_ > span_) discard_below(seen_ - span_);
}

void TagReceiver::discard_below(std::uint64_t packet) noexcept {
  if (ended_ || packet <= floor_ || packet > packet_number_end) return;
  // The key of the block where the window will begin is needed beyond it.
  (void)load_key(packet >> block_packets_log2);
  floor_ = packet;
  drop_below_floor();
}

// Masks below the floor that were delivered later are dropped later: they would hold up the ring.
void TagReceiver::drop_below_floor() noexcept {
  const std::uint64_t limit = std::min(mask_offset(floor_), usable_end());
  if (limit <= dropped_) return;
  // The usual step: masks that were used, of one block.
  if (limit - dropped_ < 64 * mask_bytes && keys_.has(floor_ >> block_packets_log2) &&
      dropped_ / mask_bytes >= window_.oldest() &&
      window_.first_open(dropped_ / mask_bytes, limit / mask_bytes) == limit / mask_bytes) {
    dropped_ = limit;
    return;
  }
  (void)load_key(floor_ >> block_packets_log2);
  drop(std::max(dropped_, window_.base() * mask_bytes), limit);
  dropped_ = limit;
}

enum ssn_status TagReceiver::poll() noexcept {
  const enum ssn_status status = StreamEnd::poll();
  if (!ended_) drop_below_floor();
  return status;
}

std::uint64_t TagReceiver::credit() const noexcept {
  const std::uint64_t until = stream_->released + stream_->ring_bytes;
  // Packets whose masks end at or below `until`.
  const std::uint64_t within = until % tag_block_bytes;
  const std::uint64_t whole = until / tag_block_bytes * block_packets;
  const std::uint64_t here = within <= hash_key_bytes ? 0 : (within - hash_key_bytes) / mask_bytes;
  return std::min(whole + here, ((floor_ >> block_packets_log2) + 2) << block_packets_log2);
}

void TagReceiver::end() noexcept {
  keys_.erase();
  StreamEnd::end();
}

}  // namespace ssn::protocol
