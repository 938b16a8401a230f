// SPDX-License-Identifier: BSD-3-Clause
// Holding shares until a block can be recovered. Jobs are in block_recovery.cpp.
#include "ssn/protocol/block_collector.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "collector_parts.h"
#include "planted_faults.h"

namespace ssn::protocol {

void ReceiveProgress::advance(PadReceiver& pads, std::uint64_t now) noexcept {
  if (pads.ended()) return;
  const std::uint64_t half = pads.ring_bytes() / 2;
  if (seen_ > half && pads.released() < seen_ - half) (void)pads.discard_below(seen_ - half);
  if (now - marked_ < period_ns_) return;
  if (mark_ > pads.released()) (void)pads.discard_below(mark_);
  mark_ = seen_;
  marked_ = now;
}

BlockCollector::BlockCollector(const Parts& parts)
    : parts_(parts),
      n_(parts.code->code().n()),
      k_(parts.code->code().k()),
      cell_bytes_(parts.code->stream().cell_bytes),
      stream_(parts.code->stream().id),
      window_(parts.code->stream().window),
      reorder_ns_(parts.code->stream().reorder_ns),
      base_(parts.first_block),
      skip_(parts.first_block),
      highest_(parts.first_block),
      slot_lines_((sizeof(Slot) + n_ * sizeof(Cell*) + sizeof(Line) - 1) / sizeof(Line)),
      slots_(slot_lines_ * window_),
      ready_(4 * window_),
      begun_(4 * window_) {
  assert(parts.pool->block_bytes() >= parts.code->stream().block_bytes() && parts.pool->size() >= 8);
  assert(parts.jobs >= 1 && (parts.offload.queue == nullptr || parts.tag_keys != nullptr));
  for (std::uint64_t i = 0; i < window_; ++i) new (&slot_of(i)) Slot;
  spare_ = parts.offload.queue != nullptr ? 1 : 0;
  for (std::uint32_t i = 0; i < parts.jobs + spare_; ++i) {
    jobs_.push_back(std::make_unique<Job>(parts.code->code(), parts.offload.context));
    free_jobs_.push_back(jobs_.back().get());
  }
  for (std::size_t i = 0; i < cpu_transforms; ++i) transforms_.push_back(std::make_unique<CpuTransform>());
  waiting_.reserve(window_);
  // All that can be held, in jobs or just given.
  done_.reserve(window_ * n_ + (std::size_t{parts.jobs} + 1) * k_ + 4 * max_burst);
}

BlockCollector::~BlockCollector() { assert(in_flight_ == 0 && "close the queue, then abandon()"); }

BlockCollector::Slot& BlockCollector::slot_of(std::uint64_t number) noexcept {
  return *reinterpret_cast<Slot*>(&slots_[(number & (window_ - 1)) * slot_lines_]);
}

void BlockCollector::drop(Cell& cell, DropReason reason) noexcept {
  cell.open_result = OpenResult::dropped;
  cell.reason = reason;
  parts_.packets->drop(reason);
  if (planted(PlantedFault::unverified_discard) && reason == DropReason::bad_tag && !parts_.keys->ended) {
    (void)parts_.keys->pads->discard(cell.header.d_offset, cell.length);
  }
  done_.push_back(&cell);
}

void BlockCollector::prefetch(const Cell& cell) noexcept {
  const char* const slot = reinterpret_cast<const char*>(&slot_of(cell.header.placement.cell));
  __builtin_prefetch(slot, 1);
  __builtin_prefetch(slot + sizeof(Line), 1);
}

void BlockCollector::collect(std::span<Cell* const> cells, std::uint64_t now) noexcept {
  assert(cells.size() <= max_burst);
  for (const Cell* const cell : cells) prefetch(*cell);
  floor_ = parts_.keys->tags->floor();
  credit_ = parts_.keys->tags->credit();
  for (Cell* const cell : cells) place(*cell, now);
  parts_.counters->held_most = std::max(parts_.counters->held_most, parts_.counters->held);
}

// Why a packet cannot be a share of a block, as far as its header says. Nothing of it is authentic.
DropReason BlockCollector::why_not(const Cell& cell, std::uint64_t number) noexcept {
  const PacketHeader& header = cell.header;
  const std::uint32_t before = header.placement.share - 1U;
  if (header.type != PacketType::cell || header.placement.object != stream_) return DropReason::bad_field;
  if (header.flags != 0) return DropReason::not_permitted;
  if (cell.length == 0 || cell.length % share_granule != 0 || cell.length > cell_bytes_) {
    return DropReason::bad_length;
  }
  // Numbers and pads of a block lie one behind the other, the numbers under one hash key.
  const std::uint64_t first = header.number - before;
  if (before >= n_ || header.placement.attempt != 0 || number >= block_number_end || header.number < before ||
      header.d_offset < std::uint64_t{before} * cell.length ||
      first >> block_packets_log2 != (first + n_ - 1) >> block_packets_log2) {
    return DropReason::bad_field;
  }
  if (number < base_) return DropReason::late_share;
  if (number < skip_) return DropReason::block_given_up;
  if (header.number < floor_) return DropReason::number_too_old;
  if (header.number >= credit_) return DropReason::mask_not_delivered;
  return DropReason::none;
}

void BlockCollector::place(Cell& cell, std::uint64_t now) noexcept {
  const std::uint64_t number = block_number(cell.header.placement);
  cell.verified = false;
  cell.arrived = now;
  if (parts_.keys->ended) return drop(cell, DropReason::epoch_ended);
  if (const DropReason reason = why_not(cell, number); reason != DropReason::none) return drop(cell, reason);
  if (number - base_ >= window_) return far_ahead(cell, number);
  Slot& slot = slot_of(number);
  switch (slot.state) {
    case SlotState::done:
      return drop(cell, DropReason::late_share);
    case SlotState::lost:
      return drop(cell, DropReason::block_given_up);
    case SlotState::empty:
    case SlotState::collecting:
    case SlotState::flying:
      break;
  }
  if (slot.state != SlotState::empty && slot.shares()[cell.header.placement.share - 1] != nullptr) {
    return settle_conflict(slot, number, cell);
  }
  hold(slot, number, cell, now);
}

// Beyond the window: the window moves for authentic packets only. This one is lost even so, but the next ones
// will find their place.
void BlockCollector::far_ahead(Cell& cell, std::uint64_t number) noexcept {
  if (number < skip_ + window_) return drop(cell, DropReason::too_far_ahead);  // as soon as there is room
  const Verdict verdict =
      planted(PlantedFault::window_of_anybody) ? Verdict::authentic : judge(nullptr, cell);
  if (verdict == Verdict::authentic) note_authentic(number);
  drop(cell, verdict == Verdict::authentic ? DropReason::too_far_ahead : reason_);
}

void BlockCollector::note_authentic(std::uint64_t number) noexcept {
  highest_ = std::max(highest_, number + 1);
  if (highest_ - base_ > window_ / 2) skip_ = std::max(skip_, highest_ - window_ / 2);
}

void BlockCollector::hold(Slot& slot, std::uint64_t number, Cell& cell, std::uint64_t now) noexcept {
  if (slot.state == SlotState::empty) {
    slot = Slot{};
    slot.state = SlotState::collecting;
    for (std::uint32_t i = 0; i < n_; ++i) slot.shares()[i] = nullptr;
    ++occupied_;
    push_begun(number, now);
  }
  put(slot, number, cell);
}

void BlockCollector::put(Slot& slot, std::uint64_t number, Cell& cell) noexcept {
  if (slot.held == 0) {
    slot.refer_to(cell);
  } else if (!slot.agrees(cell)) {
    slot.suspicious = true;
  }
  slot.shares()[cell.header.placement.share - 1] = &cell;
  ++slot.held;
  ++parts_.counters->held;
  queue(slot, number);
}

// Not held for its block any more; the cell is still to be dropped, or a job's.
void BlockCollector::take_off(Slot& slot, Cell& cell) noexcept {
  Cell*& place = slot.shares()[cell.header.placement.share - 1];
  assert(place == &cell);
  place = nullptr;
  --slot.held;
  slot.verified = static_cast<std::uint8_t>(slot.verified - (cell.verified ? 1 : 0));
  --parts_.counters->held;
}

void BlockCollector::queue(Slot& slot, std::uint64_t number) noexcept {
  if (slot.held < k_ || slot.queued || slot.state != SlotState::collecting) return;
  if (ready_end_ - ready_first_ == ready_.size()) return;  // looked at again when its time is over
  slot.queued = true;
  ready_[ready_end_++ & (ready_.size() - 1)] = number;
}

// Two packets claim to be the same share: the one that is held stays if it is authentic.
void BlockCollector::settle_conflict(Slot& slot, std::uint64_t number, Cell& cell) noexcept {
  Cell& held = *slot.shares()[cell.header.placement.share - 1];
  if (planted(PlantedFault::first_share_stays)) return drop(cell, DropReason::number_replayed);
  const Verdict verdict = judge(&slot, held);
  if (parts_.keys->ended) return drop(cell, DropReason::epoch_ended);
  if (verdict == Verdict::authentic) return drop(cell, DropReason::number_replayed);
  // Nothing can be said until the keys are there: a sender's numbers are the lower ones.
  if (verdict == Verdict::unknown && cell.header.number >= held.header.number) return drop(cell, reason_);
  const DropReason reason = reason_;
  take_off(slot, held);
  const bool with_device = slot.state == SlotState::flying && slot.job->has(held);
  if (!with_device) drop(held, reason);  // else it comes back with its job
  put(slot, number, cell);
}

// Whether a packet is authentic, found out by itself. `slot`: that holds it, or null.
BlockCollector::Verdict BlockCollector::judge(Slot* slot, Cell& cell) noexcept {
  if (cell.verified) return Verdict::authentic;
  const std::uint8_t* mask = nullptr;
  const kernels::TagKey* key = nullptr;
  switch (parts_.keys->tags->find(cell.header.number, mask, key)) {
    case Found::ready:
      break;
    case Found::already_opened:
      return judge_number(cell);
    case Found::not_yet:
      reason_ = DropReason::mask_not_delivered;
      return Verdict::unknown;
    case Found::pad_gone:
    case Found::too_old:
      reason_ = DropReason::number_too_old;
      return Verdict::forged;
    case Found::overlap:
    case Found::invalid:
      reason_ = DropReason::bad_field;
      return Verdict::forged;
  }
  ++parts_.counters->verified_alone;
  const kernels::Tagging tagging{key, cell.packet(), covered_header(), mask};
  if (kernels::verify(*parts_.implementation, tagging, cell.data, cell.length,
                      cell.packet() + header_bytes) != kernels::Status::ok) {
    reason_ = DropReason::bad_tag;
    return Verdict::forged;
  }
  cell.verified = true;
  if (slot != nullptr) ++slot->verified;
  return Verdict::authentic;
}

// Its number was accepted before: the same packet once more, a forgery, or a second message.
BlockCollector::Verdict BlockCollector::judge_number(Cell& cell) noexcept {
  ReceiveKeys& keys = *parts_.keys;
  const std::uint8_t* const tag = cell.packet() + header_bytes;
  const PacketHistory::Record* const before = keys.history->by_number(cell.header.number);
  const kernels::TagKey* const key = keys.tags->held_key(cell.header.number);
  reason_ = DropReason::number_replayed;
  if (before == nullptr || key == nullptr || std::memcmp(before->tag, tag, wire_tag_bytes) == 0) {
    return Verdict::forged;  // tags are public
  }
  const kernels::Tagging tagging{key, cell.packet(), covered_header(), before->mask};
  if (kernels::verify(*parts_.implementation, tagging, cell.data, cell.length, tag) != kernels::Status::ok) {
    reason_ = DropReason::bad_tag;
    return Verdict::forged;
  }
  reason_ = DropReason::epoch_ended;
  end_epoch(EpochAlarm::number_reused);
  return Verdict::forged;
}

// Checks what is held by itself, and drops what is not authentic; `all`: also what cannot be checked yet.
void BlockCollector::sift(Slot& slot, bool all) noexcept {
  const Cell* reference = nullptr;
  for (std::uint32_t i = 0; i < n_; ++i) {
    Cell* const cell = slot.shares()[i];
    if (cell == nullptr) continue;
    const Verdict verdict = judge(&slot, *cell);
    if (verdict == Verdict::unknown && !all) continue;
    if (verdict != Verdict::authentic) {
      const DropReason reason = reason_;
      take_off(slot, *cell);
      drop(*cell, reason);
    } else if (reference == nullptr) {
      reference = cell;
      slot.refer_to(*cell);
    } else if (!slot.agrees(*cell)) {  // no sender of ours does that
      take_off(slot, *cell);
      drop(*cell, DropReason::bad_field);
    }
  }
}

bool BlockCollector::next(Delivered& delivered) noexcept {
  delivered = {nullptr, base_, 0};
  for (;;) {
    Slot& slot = slot_of(base_);
    if (slot.state == SlotState::done) {
      if (delivered.lost != 0) break;
      delivered = {slot.block, base_, 0};
      slot.state = SlotState::empty;
      --occupied_;
      ++base_;
      return true;
    }
    if (slot.state == SlotState::flying || (slot.state != SlotState::lost && base_ >= skip_)) break;
    clear(slot, DropReason::block_given_up);
    std::uint64_t count = 1;
    if (occupied_ == 0 && skip_ > base_) count = skip_ - base_;
    base_ += count;
    delivered.lost += count;
  }
  parts_.counters->blocks_lost += delivered.lost;
  return delivered.lost != 0;
}

// Drops what a block holds, and discards the pads of all its shares where an authentic one says which they
// are.
void BlockCollector::clear(Slot& slot, DropReason reason) noexcept {
  assert(slot.state != SlotState::flying && slot.state != SlotState::done);
  if (slot.state == SlotState::empty) return;
  for (std::uint32_t i = 0; i < n_ && slot.held != 0; ++i) {
    Cell* const cell = slot.shares()[i];
    if (cell == nullptr) continue;
    if ((cell->verified || planted(PlantedFault::pads_of_anybody)) && !parts_.keys->ended) {
      const std::uint64_t first = cell->header.d_offset - std::uint64_t{i} * cell->length;
      (void)parts_.keys->pads->discard(first, std::uint64_t{n_} * cell->length);
      parts_.progress->note(first + std::uint64_t{n_} * cell->length);
    }
    take_off(slot, *cell);
    drop(*cell, reason);
  }
  slot.state = SlotState::empty;
  --occupied_;
}

void BlockCollector::push_begun(std::uint64_t number, std::uint64_t time) noexcept {
  if (begun_end_ - begun_first_ == begun_.size()) return;  // the window bounds it all the same
  begun_[begun_end_++ & (begun_.size() - 1)] = {number, time};
}

// Its first share came long ago. Only authentic shares make it a block that was lost; and what a forger sent
// ahead of them does not count.
void BlockCollector::expire(const Begun& begun, std::uint64_t now) noexcept {
  Slot& slot = slot_of(begun.number);
  if (begun.number < base_ || slot.state != SlotState::collecting) return;
  if (!planted(PlantedFault::clock_of_anybody)) sift(slot, true);
  if (slot.held == 0 || parts_.keys->ended) {
    slot.state = SlotState::empty;
    --occupied_;
    return;
  }
  std::uint64_t first = UINT64_MAX;
  for (std::uint32_t i = 0; i < n_; ++i) {
    if (const Cell* const cell = slot.shares()[i]; cell != nullptr) first = std::min(first, cell->arrived);
  }
  if (first + reorder_ns_ > now || slot.held >= k_) {
    queue(slot, begun.number);
    return push_begun(begun.number, slot.held >= k_ ? now : first);
  }
  clear(slot, DropReason::block_given_up);
  slot = Slot{};
  slot.state = SlotState::lost;
  slot.time = now;
  ++occupied_;
  note_authentic(begun.number);
}

// The block whose turn it is has not come, and a later one is there: since when, and what to go on with.
void BlockCollector::check_stuck(std::uint64_t now) noexcept {
  if (highest_ <= base_ || base_ < skip_) return;
  const SlotState state = slot_of(base_).state;
  if (state == SlotState::done || state == SlotState::lost || state == SlotState::flying) return;
  if (stuck_at_ != base_) {
    // If nothing else is known: something authentic came for a block that has not been recovered either.
    stuck_at_ = base_;
    stuck_since_ = now;
    stuck_next_ = highest_ - 1;
    const std::uint64_t end = std::min(highest_, base_ + window_);
    for (std::uint64_t number = base_ + 1; number < end; ++number) {
      const Slot& slot = slot_of(number);
      if (slot.state != SlotState::done && slot.state != SlotState::lost) continue;
      stuck_since_ = slot.time;
      stuck_next_ = number;
      break;
    }
  }
  if (now >= stuck_since_ + reorder_ns_) skip_ = std::max({skip_, stuck_next_, base_ + 1});
}

void BlockCollector::requeue_waiting() noexcept {
  const std::uint64_t there = parts_.keys->tags->delivered() + parts_.keys->pads->delivered();
  if (waiting_.empty() || there == delivered_keys_) return;
  delivered_keys_ = there;
  for (const std::uint64_t number : waiting_) {
    Slot& slot = slot_of(number);
    if (number < base_ || !slot.waiting) continue;
    slot.waiting = false;
    slot.queued = false;
    queue(slot, number);
  }
  waiting_.clear();
}

void BlockCollector::advance(std::uint64_t now) noexcept {
  if (!parts_.keys->ended) parts_.progress->advance(*parts_.keys->pads, now);
  while (begun_first_ != begun_end_) {
    const Begun oldest = begun_[begun_first_ & (begun_.size() - 1)];
    const bool over = oldest.number < base_ || slot_of(oldest.number).state == SlotState::done;
    if (!over && now < oldest.time + reorder_ns_) break;
    ++begun_first_;
    if (!over) expire(oldest, now);
  }
  check_stuck(now);
  if (!parts_.keys->ended) {
    parts_.keys->pads->give_back();
    parts_.keys->tags->give_back();
  }
}

std::uint64_t BlockCollector::deadline() const noexcept {
  if (ready_first_ != ready_end_ || !waiting_.empty()) return 0;
  std::uint64_t at = UINT64_MAX;
  if (begun_first_ != begun_end_) at = begun_[begun_first_ & (begun_.size() - 1)].time + reorder_ns_;
  if (stuck_at_ == base_ && highest_ > base_) at = std::min(at, stuck_since_ + reorder_ns_);
  return at;
}

std::size_t BlockCollector::take_cells(std::span<Cell*> cells) noexcept {
  const std::size_t count = std::min(done_.size(), cells.size());
  std::copy_n(done_.begin(), count, cells.begin());
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

void BlockCollector::drop_all() noexcept {
  for (std::uint64_t i = 0; i < window_; ++i) {
    Slot& slot = slot_of(base_ + i);
    if (slot.state == SlotState::done) {
      parts_.pool->give_back(slot.block);
      slot.state = SlotState::empty;
      --occupied_;
    } else if (slot.state != SlotState::flying) {
      clear(slot, DropReason::epoch_ended);
    }
  }
  waiting_.clear();
  ready_first_ = ready_end_;
}

void BlockCollector::end_epoch(EpochAlarm alarm) noexcept {
  ReceiveKeys& keys = *parts_.keys;
  keys.ended = true;
  keys.alarm = alarm;
  ++parts_.packets->epochs_ended;
  if (parts_.progress->in_flight == 0) end_keys();
}

// What is left of the keys is erased as soon as no device reads them.
void BlockCollector::end_keys() noexcept {
  ReceiveKeys& keys = *parts_.keys;
  keys.pads->end();
  keys.tags->end();
  keys.history->erase();
  if (keys.gcm != nullptr) keys.gcm->end();
}

}  // namespace ssn::protocol
