// SPDX-License-Identifier: BSD-3-Clause
// From shares to blocks: checked where there are more than k, corrected where some are wrong.
#include <algorithm>

#include "planted_faults.h"
#include "ssa_read.h"

namespace ssn::roles {
namespace {

const std::uint8_t* plaintext(const protocol::Cell& cell) noexcept {
  return cell.target != nullptr ? cell.target : cell.data;
}

}  // namespace

// The shares of a cell that are there, by rows, into indices_ and inputs_. Those of the next one are fetched.
void SsaRead::collect(std::size_t at, unsigned cell) noexcept {
  for (unsigned i = 0; i < n_ && cell + 1 < batch_cells; ++i) __builtin_prefetch(share(at, cell + 1, i));
  indices_.clear();
  inputs_.clear();
  const std::uint32_t number = batches_[at].first + cell;
  for (unsigned row = 1; row <= n_; ++row) {
    const unsigned i = share_of(layout_, row, number) - 1;
    const protocol::Cell* const its = share(at, cell, i);
    if (its == nullptr || members_[i].banned) continue;
    indices_.push_back(static_cast<std::uint8_t>(row));  // reserved
    inputs_.push_back(plaintext(*its));
  }
}

bool SsaRead::agree() noexcept {
  if (protocol::planted(protocol::PlantedFault::unchecked_shares)) return true;
  std::size_t first_bad = 0;
  const std::size_t bytes = layout_.cell_bytes;
  const kernels::Status status =
      kernels::check(*context_->kernels, syndromes_.get(indices_), inputs_.data(), bytes, first_bad);
  assert(status == kernels::Status::ok);
  return status == kernels::Status::ok && first_bad == bytes;
}

void SsaRead::ban(unsigned index, std::uint32_t cell) noexcept {
  members_[index].banned = recount_ = true;
  SsaEvent event;
  event.kind = SsaEvent::Kind::holder_lies;
  event.trouble = SsaTrouble::lies;
  event.share = static_cast<std::uint8_t>(index + 1);
  event.holder = members_[index].holder;
  event.cell = cell;
  event.session = session_;
  event.key = key_;
  context_->events.push(event, context_->counters);
  for (std::size_t at = 0; at < batches_.size(); ++at) {
    if (!batches_[at].used) continue;
    unask(at, index, UINT64_MAX);
    ask_of(at, index).there = 0;
    batches_[at].look = true;
    batches_[at].undecided = 0;  // what is left may agree
    for (unsigned i = 0; i < batch_cells; ++i) {
      protocol::Cell*& its = share(at, i, index);
      if (its == nullptr) continue;
      context_->pool->give_back({&its, 1});
      its = nullptr;
    }
  }
}

// Names the wrong shares among those that were collected. False: it cannot be told which ones are wrong.
bool SsaRead::locate(std::size_t at, unsigned cell) noexcept {
  const kernels::Status status =
      kernels::locate(*context_->kernels, code_, indices_, inputs_.data(), layout_.cell_bytes, located_);
  if (status != kernels::Status::ok || !located_.located) return false;
  for (std::size_t i = 0; i < indices_.size(); ++i) {
    const std::uint32_t number = batches_[at].first + cell;
    if (located_.wrong[i]) ban(share_of(layout_, indices_[i], number) - 1, number);
  }
  ++context_->counters.cells_corrected;
  return true;
}

// The shares of a cell contradict each other, and no others come that could tell which are wrong.
void SsaRead::contradict(std::size_t at, unsigned cell) noexcept {
  ++context_->counters.cells_contradict;
  SsaEvent event;
  event.kind = SsaEvent::Kind::contradiction;
  event.trouble = SsaTrouble::lies;
  event.cell = batches_[at].first + cell;
  event.session = session_;
  event.key = key_;
  context_->events.push(event, context_->counters);
  refuse(at, cell, protocol::AnswerCode::quarantined);
}

// Takes packets for the blocks of a cell that the owner wants, into fresh_, as many as may go now. A window
// can be smaller than a cell has blocks, for as long as nothing is sent; so a part of them goes, too.
std::size_t SsaRead::room_for(std::size_t at, unsigned cell, std::uint64_t now) noexcept {
  std::size_t count = 0;
  for (unsigned i = 0; i < data_blocks_; ++i) count += blocks_of(at, cell, i);
  if (parcel_count_ + count > allowed_ || parcel_count_ + count > parcels_.size()) {
    send_blocks(now);
    protocol::Channel* const channel = context_->owners[owner_].channel;
    allowed_ = channel != nullptr ? channel->allowance(layout_.cell_bytes, 1, now).packets : 0;
    count = std::min({count, std::size_t{allowed_}, parcels_.size()});
    if (count == 0) return 0;
  }
  const std::span<protocol::Cell*> packets = std::span(fresh_).first(count);
  if (const std::size_t taken = context_->pool->take(packets); taken != count) {
    context_->pool->give_back(packets.first(taken));
    ++context_->counters.short_of_packets;
    return 0;
  }
  return count;
}

// From the first k shares that were collected, into the first packets of fresh_, which wait for send_blocks()
// then. What they hold is not wanted any more. True: nothing else of the cell is, either.
bool SsaRead::recover(std::size_t at, unsigned cell, std::size_t packets, std::uint64_t now) noexcept {
  const std::size_t bytes = layout_.cell_bytes;
  std::size_t packet = 0;
  for (unsigned i = 0; i < data_blocks_; ++i) {
    const bool wanted = blocks_of(at, cell, i) != 0 && packet < packets;
    assert(!wanted || fresh_[packet]->tailroom >= bytes);
    outputs_[i] = wanted ? fresh_[packet++]->data : scratch_.data() + i * bytes;
  }
  kernels::RecoverJob job;
  job.transform = &recover_.get(std::span(indices_).first(k_));
  job.shares = inputs_.data();
  job.data = outputs_.data();
  job.length = bytes;
  const kernels::Status status = kernels::recover(*context_->kernels, job);
  assert(status == kernels::Status::ok && "k shares of this code");
  static_cast<void>(status);
  const std::uint32_t first = (batches_[at].first + cell) * data_blocks_;
  packet = 0;
  for (unsigned i = 0; i < data_blocks_; ++i) {
    if (blocks_of(at, cell, i) == 0) continue;
    if (packet == packets) return false;
    blocks_of(at, cell, i) = 0;
    protocol::Cell* const made = fresh_[packet++];
    made->length = layout_.cell_bytes;
    made->header.placement = {key_.object, first + i, key_.generation, 0, 0};
    if (parcel_count_ == parcels_.size()) send_blocks(now);
    protocol::Parcel& parcel = parcels_[parcel_count_++];
    parcel = {};
    parcel.cell = made;
    parcel.deadline_ns = now + options_.read_ns;
  }
  return true;
}

void SsaRead::send_blocks(std::uint64_t now) noexcept {
  if (parcel_count_ == 0) return;
  protocol::Channel* const channel = context_->owners[owner_].channel;
  const std::span<protocol::Parcel> parcels = std::span(parcels_).first(parcel_count_);
  const std::size_t sent = channel != nullptr ? channel->send(parcels, now) : 0;
  context_->counters.blocks_out += sent;
  allowed_ -= std::min(allowed_, static_cast<std::uint32_t>(sent));
  parcel_count_ = 0;
  for (const protocol::Parcel& parcel : parcels.subspan(sent)) {
    take_back(parcel.cell->header.placement);
    protocol::Cell* its = parcel.cell;
    context_->pool->give_back({&its, 1});
  }
}

// The channel allowed it, and did not take it after all: the block is fetched again.
void SsaRead::take_back(const protocol::Placement& what) noexcept {
  allowed_ = 0;
  short_ = true;
  Request again;
  again.first = what.cell;
  again.count = 1;
  protocol::name_cell(again.bitmap, 0);
  if (!requests_.push(again)) ++context_->counters.blocks_not_given;  // its owner asks again
}

SsaRead::Given SsaRead::give(std::size_t at, unsigned cell, std::uint64_t now) noexcept {
  Batch& batch = batches_[at];
  const std::uint64_t bit = std::uint64_t{1} << cell;
  collect(at, cell);
  if (indices_.size() > k_ && !agree()) {
    if ((batch.contested & bit) == 0) {
      batch.contested |= bit;
      ask_more(at, now);
      if (const Counted counted = of(count(at, now), cell); counted.have < enough(batch, cell, counted)) {
        return Given::not_yet;
      }
    }
    if (!locate(at, cell)) {
      batch.undecided |= bit;
      return Given::not_yet;
    }
    collect(at, cell);
  }
  const bool checked = indices_.size() > k_ || (batch.contested & bit) != 0;
  const std::size_t packets = room_for(at, cell, now);
  if (packets == 0 || !recover(at, cell, packets, now)) {
    short_ = true;
    return Given::not_now;
  }
  ++(checked ? context_->counters.cells_checked : context_->counters.cells_unchecked);
  free_cell(at, cell);
  batch.wanted &= ~bit;
  return Given::given;
}

}  // namespace ssn::roles
