// SPDX-License-Identifier: BSD-3-Clause
#include "model_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ssn/hw/vector_registers.h"

namespace ssn::kme {
namespace {

using kmnic::Descriptor;
using std::chrono::milliseconds;

// Blocks that one call of pump delivers at most, so that no stream keeps the others waiting.
constexpr int pump_blocks = 4;
// A block that is not full waits this long for more; longer while the host has keys for a while.
constexpr milliseconds short_block_delay{1};
constexpr milliseconds unhurried_delay{20};
constexpr milliseconds tell_interval{10};
constexpr milliseconds rate_interval{100};
// Bytes in a nanosecond that a host may begin to use at any time.
constexpr double sudden_rate = 1.0;
// And how much faster than lately.
constexpr double rise = 4.0;

template <typename Word>
void shared_store(Word& word, Word value) noexcept {
  __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

// The descriptor as a device that fails writes it.
void damage(Descriptor& descriptor, FaultPlan& faults) noexcept {
  if (faults.hits(FaultKind::wrong_sequence)) {
    descriptor.sequence += 1;
  }
  if (faults.hits(FaultKind::wrong_ksid)) {
    descriptor.ksid[0] ^= 1;
  }
  if (faults.hits(FaultKind::wrong_offset)) {
    descriptor.offset += kmnic::block_multiple;
  }
  if (faults.hits(FaultKind::wrong_length)) {
    descriptor.length = 0x7fffffc0;
  }
}

}  // namespace

Result<std::unique_ptr<ModelStream>> ModelStream::make(Setup setup, std::unique_ptr<StreamSource> source) {
  Result<hw::RingMemory> kept =
      hw::RingMemory::make(std::min(setup.ring_bytes, retain_bytes), hw::RingMemory::Pages::normal);
  if (!kept.ok()) {
    return kept.error();
  }
  return std::unique_ptr<ModelStream>(
      new ModelStream(std::move(setup), std::move(source), std::move(kept.value())));
}

ModelStream::ModelStream(Setup setup, std::unique_ptr<StreamSource> source, hw::RingMemory kept)
    : setup_(std::move(setup)),
      source_(std::move(source)),
      kept_(std::move(kept)),
      blocks_(setup_.entries),
      last_delivery_(Clock::now()),
      last_tell_(last_delivery_),
      last_rate_(last_delivery_) {
  kmnic::StatusBlock& status = *setup_.status;
  shared_store(status.generation, setup_.generation);
  shared_store(status.end_reason, std::uint32_t{kmnic::end_none});
  shared_store(status.health, std::uint32_t{kmnic::stream_ok});
  shared_store(status.level, source_->level());
  shared_store(status.bytes_per_second, std::uint64_t{0});
  shared_store(status.pong, std::uint32_t{0});
  shared_store(status.blocks, std::uint64_t{0});
  shared_store(status.state, std::uint32_t{kmnic::state_open});
}

void ModelStream::end(kmnic::EndReason reason) noexcept {
  if (open()) {
    end_reason_ = reason;
    shared_store(setup_.status->end_reason, std::uint32_t{reason});
    shared_store(setup_.status->state, std::uint32_t{kmnic::state_ended});
    kept_.erase();
  }
}

bool ModelStream::uses(const HostMapping& mapping) const noexcept {
  return setup_.ring.uses(mapping) || setup_.descriptors.uses(mapping) ||
         mapping.holds(reinterpret_cast<const std::uint8_t*>(setup_.status));
}

bool ModelStream::pump(Clock::time_point now, FaultPlan& faults, Counters& counters) {
  if (!open()) {
    return false;
  }
  bool worked = false;
  if (const std::uint32_t ping = setup_.registers.read32(kmnic::stream::ping); ping != ping_) {
    ping_ = ping;
    shared_store(setup_.status->blocks, sequence_);
    shared_store(setup_.status->pong, ping);
    worked = true;
  }
  // Credit alone is no work: a host gives it back in small pieces, and room is filled a block at a time.
  take_credit(counters);
  worked |= answer_redelivery(faults, counters);
  bool starved = faults.waiting() && faults.lasts(FaultKind::starve, now);
  bool delivered = false;
  if (!starved && open()) {
    dry_ = false;
    for (int i = 0; i < pump_blocks && deliver_next(now, faults, counters); ++i) {
      delivered = true;
    }
    starved = !delivered && dry_ && pending_ < kmnic::block_multiple && source_->level() == 0;
    if (starved && !source_->alive()) {
      end(kmnic::end_manager);
      return true;
    }
  }
  if (worked || delivered) {
    hw::clear_vector_registers();
  }
  const auto health = __atomic_load_n(&setup_.status->health, __ATOMIC_RELAXED);
  if (now - last_tell_ >= tell_interval || (starved ? kmnic::stream_starved : kmnic::stream_ok) != health) {
    tell(now, starved);
  }
  return worked || delivered;
}

std::chrono::microseconds ModelStream::patience() const noexcept {
  const double stock = static_cast<double>(delivered_ - key_credit_);
  return std::chrono::microseconds(
      static_cast<std::int64_t>(stock / std::max(sudden_rate, rise * rate_) / 1e3));
}

// Credit that goes back, or beyond what was delivered, breaks the stream: this host does not count.
void ModelStream::take_credit(Counters& counters) noexcept {
  const std::uint64_t accepted = setup_.registers.read64(kmnic::stream::descriptor_credit);
  const std::uint64_t credit = setup_.registers.read64(kmnic::stream::key_credit);
  if (accepted == accepted_sequence_ && credit == key_credit_) {
    return;
  }
  const bool sound = accepted >= accepted_sequence_ && accepted <= sequence_ && credit >= key_credit_ &&
                     credit <= delivered_;
  if (!sound) {
    ++counters.rejected;
    end(kmnic::end_host_broke);
    return;
  }
  if (accepted != accepted_sequence_) {
    const std::uint64_t offset =
        accepted == sequence_ ? delivered_ : blocks_[accepted & (setup_.entries - 1)].offset;
    ::explicit_bzero(kept(accepted_), offset - accepted_);
    accepted_sequence_ = accepted;
    accepted_ = offset;
  }
  key_credit_ = credit;
}

bool ModelStream::answer_redelivery(FaultPlan& faults, Counters& counters) noexcept {
  const std::uint64_t request = setup_.registers.read64(kmnic::stream::redeliver);
  if (request == redelivery_ || !open()) {
    return false;
  }
  redelivery_ = request;
  const std::uint64_t wanted = request & kmnic::sequence_mask;
  // The low bits name one of the few blocks that are kept.
  const std::uint64_t sequence = accepted_sequence_ + ((wanted - accepted_sequence_) & kmnic::sequence_mask);
  if (sequence >= sequence_) {
    ++counters.rejected;
    end(kmnic::end_not_held);
    return true;
  }
  ++counters.redelivered_blocks;
  write_block(blocks_[sequence & (setup_.entries - 1)], sequence,
              static_cast<std::uint16_t>(request >> kmnic::attempt_shift), faults);
  return true;
}

bool ModelStream::deliver_next(Clock::time_point now, FaultPlan& faults, Counters& counters) noexcept {
  if (sequence_ - accepted_sequence_ == setup_.entries) {
    return false;
  }
  const std::uint64_t place = delivered_ & (setup_.ring_bytes - 1);
  const std::uint64_t ring_room = setup_.ring_bytes - (delivered_ - key_credit_);
  const std::uint64_t kept_room = kept_.size() - (delivered_ - accepted_);
  const std::uint64_t most =
      std::min({ring_room, kept_room, setup_.ring_bytes - place, std::uint64_t{setup_.block_bytes}}) /
      kmnic::block_multiple * kmnic::block_multiple;
  // What has not been accepted, or used, leaves room for more: a full block is worth waiting for.
  const bool grows = most < setup_.block_bytes && most < setup_.ring_bytes - place;
  const milliseconds delay = ring_room < setup_.ring_bytes / 2 ? unhurried_delay : short_block_delay;
  if (most == 0 || (grows && now - last_delivery_ < delay)) {
    return false;
  }
  if (pending_ < most) {
    const std::size_t taken =
        source_->next({kept(delivered_ + pending_), static_cast<std::size_t>(most - pending_)});
    dry_ = taken == 0;
    pending_ += taken;
  }
  const std::uint64_t length = std::min(pending_, most) / kmnic::block_multiple * kmnic::block_multiple;
  if (length == 0 || (length < most && now - last_delivery_ < short_block_delay)) {
    return false;
  }
  const Block block{delivered_, static_cast<std::uint32_t>(length)};
  blocks_[sequence_ & (setup_.entries - 1)] = block;
  write_block(block, sequence_, 0, faults);
  ++sequence_;
  delivered_ += length;
  pending_ -= length;
  last_delivery_ = now;
  counters.delivered_bytes += length;
  return true;
}

// Key bytes first, then the descriptor, its turn last.
void ModelStream::write_block(const Block& block, std::uint64_t sequence, std::uint16_t attempt,
                              FaultPlan& faults) noexcept {
  Descriptor descriptor{};
  descriptor.sequence = sequence;
  descriptor.offset = block.offset;
  descriptor.ksid = setup_.ksid;
  descriptor.length = block.length;
  descriptor.generation = setup_.generation;
  descriptor.attempt = attempt;
  descriptor.key_check = kmnic::key_check(descriptor, kept(block.offset));
  const std::uint64_t place = block.offset & (setup_.ring_bytes - 1);
  setup_.ring.write(place, kept(block.offset), block.length);
  bool flip = false;
  if (faults.waiting()) {
    if (faults.hits(FaultKind::drop_block)) {
      return;
    }
    if (faults.hits(FaultKind::corrupt_block)) {
      *setup_.ring.pointer(place + block.length / 2) ^= 0x10;
    }
    if (sequence > 0 && faults.hits(FaultKind::repeat_block)) {
      descriptor.sequence = sequence - 1;
      descriptor.offset = blocks_[(sequence - 1) & (setup_.entries - 1)].offset;
    }
    damage(descriptor, faults);
    flip = faults.hits(FaultKind::corrupt_descriptor);
  }
  descriptor.check = kmnic::descriptor_check(descriptor);
  if (flip) {
    descriptor.offset ^= 0x100;
  }
  const std::uint64_t slot = (sequence & (setup_.entries - 1)) * sizeof descriptor;
  std::uint8_t* const at = setup_.descriptors.pointer(slot);
  std::memcpy(at, &descriptor, offsetof(Descriptor, turn));
  shared_store(*reinterpret_cast<std::uint32_t*>(at + offsetof(Descriptor, turn)),
               kmnic::turn_of(sequence, setup_.entries));
}

void ModelStream::tell(Clock::time_point now, bool starved) noexcept {
  last_tell_ = now;
  kmnic::StatusBlock& status = *setup_.status;
  shared_store(status.blocks, sequence_);
  shared_store(status.level, source_->level());
  shared_store(status.health, std::uint32_t{starved ? kmnic::stream_starved : kmnic::stream_ok});
  if (now - last_rate_ >= rate_interval) {
    const double seconds = std::chrono::duration<double>(now - last_rate_).count();
    rate_ = static_cast<double>(delivered_ - rate_from_) / seconds / 1e9;
    shared_store(status.bytes_per_second, static_cast<std::uint64_t>(rate_ * 1e9));
    last_rate_ = now;
    rate_from_ = delivered_;
  }
}

}  // namespace ssn::kme
