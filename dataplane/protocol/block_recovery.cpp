// SPDX-License-Identifier: BSD-3-Clause
// Jobs of a BlockCollector: blocks that k shares are there of.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "collector_parts.h"
#include "planted_faults.h"

namespace ssn::protocol {
namespace {

// Blocks that are left for the one whose turn it is, and for what the device fails to do.
constexpr std::size_t blocks_in_reserve = 2;

}  // namespace

bool BlockCollector::has_job() const noexcept {
  return free_jobs_.size() > spare_ || (!free_jobs_.empty() && overdue().jobs != 0);
}

// The first k shares, by index: with most codes these are the cheapest ones.
bool BlockCollector::choose(Slot& slot, Job& job) noexcept {
  job.set = {};
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < n_ && count < k_; ++i) {
    Cell* const cell = slot.shares()[i];
    if (cell == nullptr || (slot.suspicious && !cell->verified)) continue;
    job.cells[count] = cell;
    job.shares[count] = static_cast<std::uint8_t>(i + 1);
    job.set.add(i + 1);
    ++count;
  }
  job.d_first = slot.d_first;
  job.number_first = slot.number_first;
  job.share_bytes = slot.share_bytes;
  return count == k_;
}

// Masks and pads of the chosen shares, into the job.
BlockCollector::Start BlockCollector::find_keys(Slot& slot, Job& job) noexcept {
  const std::uint8_t* masks = nullptr;
  std::uint8_t* const pads = parts_.keys->pads->pad_at(job.d_first);
  job.offload.begin(job.share_bytes);
  const bool all_masks = parts_.keys->tags->find_run(job.number_first, n_, masks, job.key) == n_;
  const bool all_pads = parts_.keys->pads->ready(job.d_first, std::uint64_t{n_} * job.share_bytes);
  job.whole = all_masks && all_pads;
  job.masks = masks;
  for (std::uint32_t i = 0; i < k_; ++i) {
    Cell& cell = *job.cells[i];
    const std::uint32_t at = job.shares[i] - 1U;
    const std::uint8_t* mask = nullptr;
    std::uint8_t* pad = nullptr;
    if (job.whole) {
      mask = masks + at * mask_bytes;
      pad = pads + std::size_t{at} * job.share_bytes;
    } else if (const Start start = find_each(slot, job, cell, mask, pad); start != Start::started) {
      return start;
    }
    parts_.keys->history->prefetch(cell.header.number);
    job.offload.input(i, cell.data, cell.memory);
    job.offload.pad(i, pad, parts_.offload.pads);
    job.offload.tag(i, cell.packet(), cell.memory, mask, parts_.offload.masks);
  }
  return Start::started;
}

// One share's mask and pad. Start::shares: it cannot be used and was dropped, or was found out to be
// suspicious.
BlockCollector::Start BlockCollector::find_each(Slot& slot, Job& job, Cell& cell, const std::uint8_t*& mask,
                                                std::uint8_t*& pad) noexcept {
  switch (parts_.keys->tags->find(cell.header.number, mask, job.key)) {
    case Found::ready:
      break;
    case Found::not_yet:
      return Start::keys;
    default:
      slot.suspicious = true;
      slot.verified = static_cast<std::uint8_t>(slot.verified - (cell.verified ? 1 : 0));
      cell.verified = false;  // judged again, it will be found out why
      return Start::shares;
  }
  const Found found = parts_.keys->pads->find(cell.header.d_offset, job.share_bytes, pad);
  if (found == Found::ready) return Start::started;
  if (found == Found::not_yet) return beyond_the_ring(slot, cell);
  slot.suspicious = true;
  // Only of an authentic packet does it mean anything.
  if (judge(&slot, cell) == Verdict::authentic) {
    if (found == Found::already_opened || found == Found::overlap) {
      end_epoch(found == Found::overlap ? EpochAlarm::range_overlap : EpochAlarm::range_reused);
    }
    take_off(slot, cell);
    drop(cell, parts_.keys->ended ? DropReason::epoch_ended : DropReason::pad_range_forgotten);
  }
  return Start::shares;
}

// The device is behind, or the ring is full of pads whose packets were all lost: then it moves on, for
// authentic packets only.
BlockCollector::Start BlockCollector::beyond_the_ring(Slot& slot, Cell& cell) noexcept {
  const bool delivered_later = cell.header.d_offset + cell.length <= parts_.keys->pads->credit();
  if (delivered_later || planted(PlantedFault::full_ring)) return Start::keys;
  slot.suspicious = true;
  switch (judge(&slot, cell)) {
    case Verdict::forged:
      return Start::shares;
    case Verdict::authentic:
      parts_.progress->note(cell.header.d_offset + (n_ + 1U - cell.header.placement.share) * cell.length);
      break;
    case Verdict::unknown:
      break;
  }
  return Start::keys;
}

// Start::started: the job is flying, or is done already.
BlockCollector::Start BlockCollector::begin(Slot& slot, std::uint64_t number, std::uint64_t now,
                                            bool& flying) noexcept {
  Job& job = *free_jobs_.back();
  for (Start start = Start::shares; start != Start::started;) {
    if (slot.suspicious) sift(slot, false);
    if (parts_.keys->ended || slot.held < k_) return Start::shares;
    if (!choose(slot, job)) return Start::keys;  // some of them cannot be checked yet
    start = find_keys(slot, job);
    if (start == Start::keys) return start;
  }
  free_jobs_.pop_back();
  job.number = number;
  job.slot = &slot;
  job.out = parts_.pool->take();
  slot.state = SlotState::flying;
  slot.job = &job;
  flying = to_device(job, now);
  if (flying) return Start::started;
  if (on_cpu(job, *job.out)) {
    complete(job, now);
  } else {
    reject(job, now);
  }
  return Start::started;
}

std::size_t BlockCollector::prepare(std::span<ssn_offload_job*> jobs, std::uint64_t now) noexcept {
  std::size_t count = 0;
  if (!parts_.keys->ended) requeue_waiting();
  const auto start = [&](std::uint64_t number) {
    Slot& slot = slot_of(number);
    slot.queued = false;
    bool flying = false;
    const Start result = begin(slot, number, now, flying);
    if (flying) jobs[count++] = slot.job->offload.job();
    if (result == Start::keys && !slot.waiting && waiting_.size() < window_) {
      slot.waiting = true;
      waiting_.push_back(number);
    }
  };
  const auto is_ready = [&](std::uint64_t number) {
    const Slot& slot = slot_of(number);
    return number >= base_ && slot.state == SlotState::collecting && slot.queued;
  };
  while (ready_first_ != ready_end_ && count < jobs.size() && has_job() && !parts_.keys->ended) {
    const std::uint64_t number = ready_[ready_first_ & (ready_.size() - 1)];
    if (!is_ready(number)) {
      ++ready_first_;
    } else if (parts_.pool->free() > blocks_in_reserve || (number == base_ && parts_.pool->free() != 0)) {
      ++ready_first_;
      start(number);
    } else if (is_ready(base_) && parts_.pool->free() != 0) {
      start(base_);  // the others wait for it
    } else {
      break;
    }
  }
  return count;
}

// False: the CPU must do it.
bool BlockCollector::to_device(Job& job, std::uint64_t now) noexcept {
  if (parts_.offload.queue == nullptr) return false;
  if (!parts_.offload.queue->is_open() || in_flight_ == parts_.jobs) return false;
  const ssn_offload_matrix* const matrix = parts_.code->recover_matrix(job.set);
  if (matrix == nullptr) return false;
  const std::uint64_t key_block = job.number_first >> block_packets_log2;
  const ssn_offload_tag_key* const key =
      parts_.tag_keys->get(*parts_.offload.queue, key_block, parts_.keys->tags->hash_key(job.number_first));
  if (key == nullptr) return false;
  parts_.tag_keys->hold(key_block);
  const std::uint64_t deadline = parts_.offload.deadline_ns;
  job.offload.for_device(matrix, key, deadline == 0 ? 0 : now + deadline);
  for (std::uint32_t l = 0; l < parts_.code->code().data_blocks(); ++l) {
    job.offload.output(l, job.out->data + std::size_t{l} * job.share_bytes, parts_.offload.blocks);
  }
  job.flying = true;
  job.lost = false;
  ++in_flight_;
  ++parts_.progress->in_flight;
  return true;
}

const kernels::Transform& BlockCollector::transform_for(const Job& job) noexcept {
  for (const auto& each : transforms_) {
    if (each->valid && each->set == job.set) return each->transform;
  }
  CpuTransform& made = *transforms_[next_transform_++ % transforms_.size()];
  const kernels::Status status = made.transform.make_recover(parts_.code->code(), job.shares);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
  made.set = job.set;
  made.valid = true;
  return made.transform;
}

// False: tags are wrong, those in job.mismatch.
bool BlockCollector::on_cpu(Job& job, Block& out) noexcept {
  std::array<std::uint8_t*, kernels::max_shares> outputs;
  for (std::uint32_t l = 0; l < parts_.code->code().data_blocks(); ++l) {
    outputs[l] = out.data + std::size_t{l} * job.share_bytes;
  }
  ++parts_.counters->on_cpu;
  return recover_on_cpu(*parts_.implementation, transform_for(job), job.offload, *job.key, outputs.data(),
                        job.mismatch);
}

// The packet was accepted; while its mask is there.
void BlockCollector::remember(const Job& job, unsigned at, const std::uint8_t* mask) noexcept {
  const Cell& cell = *job.cells[at];
  parts_.keys->history->add(cell.header.number, cell.header.d_offset, job.share_bytes,
                            cell.packet() + header_bytes, mask);
}

// Tags were right: marks the numbers, and is done with the pads of all n shares. False: some were used or
// discarded since the job began, so that its result says nothing.
bool BlockCollector::settle(Job& job) noexcept {
  ReceiveKeys& keys = *parts_.keys;
  if (keys.ended) return false;
  if (!job.whole || !keys.tags->fresh(job.number_first, n_) ||
      !keys.pads->ready(job.d_first, std::uint64_t{n_} * job.share_bytes)) {
    return settle_each(job);
  }
  for (std::uint32_t i = 0; i < k_; ++i) remember(job, i, job.masks + (job.shares[i] - 1U) * mask_bytes);
  const std::uint32_t last = job.shares[k_ - 1] - 1U;
  if (!planted(PlantedFault::unmarked_number)) keys.tags->accept_some(job.number_first, n_, k_, last);
  keys.pads->open_some(job.d_first, job.share_bytes, n_, k_, last);
  return true;
}

bool BlockCollector::settle_each(Job& job) noexcept {
  ReceiveKeys& keys = *parts_.keys;
  bool good = true;
  for (const Cell* const cell : job.cells) {
    std::uint8_t* pad = nullptr;
    const Found found = keys.pads->find(cell->header.d_offset, job.share_bytes, pad);
    if (found == Found::already_opened || found == Found::overlap) {
      end_epoch(found == Found::overlap ? EpochAlarm::range_overlap : EpochAlarm::range_reused);
      return false;
    }
    good = good && found == Found::ready;
  }
  for (std::uint32_t i = 0; i < k_; ++i) {
    const std::uint64_t number = job.cells[i]->header.number;
    const std::uint8_t* mask = nullptr;
    const kernels::TagKey* key = nullptr;
    const Found found = keys.tags->find(number, mask, key);
    if (found == Found::already_opened) {
      end_epoch(EpochAlarm::number_reused);
      return false;
    }
    if (found != Found::ready) continue;  // so old by now that no packet with it is accepted any more
    remember(job, i, mask);
    keys.tags->accept(number);
  }
  if (!good) return false;
  for (const Cell* const cell : job.cells) keys.pads->open(cell->header.d_offset, job.share_bytes);
  (void)keys.pads->discard(job.d_first, std::uint64_t{n_} * job.share_bytes);
  return true;
}

// The block is recovered, in `out`. The job's cells are still to be released.
void BlockCollector::deliver(Job& job, Block& out, std::uint64_t now) noexcept {
  Slot& slot = *job.slot;
  parts_.counters->held -= slot.held;
  std::uint32_t used = 0;  // of the job's cells
  for (std::uint32_t i = 0; i < n_; ++i) {
    Cell* const cell = std::exchange(slot.shares()[i], nullptr);
    const bool of_job = used < k_ && job.shares[used] == i + 1;
    const bool is_late = cell != nullptr && !(of_job && job.cells[used] == cell);
    used += of_job ? 1 : 0;
    if (is_late && !planted(PlantedFault::share_kept)) drop(*cell, DropReason::late_share);
  }
  slot.held = 0;
  slot.verified = 0;
  out.number = job.number;
  out.since = now;
  out.share_bytes = job.share_bytes;
  out.bytes = parts_.code->code().data_blocks() * job.share_bytes;
  slot.state = SlotState::done;
  slot.time = now;
  slot.block = &out;
  note_authentic(job.number);
  parts_.progress->note(job.d_first + std::uint64_t{n_} * job.share_bytes);
  ++parts_.counters->blocks;
  parts_.packets->opened += k_;
  parts_.packets->opened_bytes += std::uint64_t{k_} * job.share_bytes;
}

void BlockCollector::release(Job& job) noexcept {
  for (Cell* const cell : job.cells) {
    cell->open_result = OpenResult::opened;
    cell->reason = DropReason::none;
    done_.push_back(cell);
  }
  free_jobs_.push_back(&job);
}

void BlockCollector::complete(Job& job, std::uint64_t now) noexcept {
  if (!settle(job)) {
    return forget(job, parts_.keys->ended ? DropReason::epoch_ended : DropReason::pad_range_forgotten, now);
  }
  deliver(job, *job.out, now);
  release(job);
}

// Some tags of the job are wrong: those packets are forged, the others authentic.
void BlockCollector::reject(Job& job, std::uint64_t now) noexcept {
  Slot& slot = *job.slot;
  for (std::uint32_t i = 0; i < k_; ++i) {
    Cell& cell = *job.cells[i];
    const bool bad = (job.mismatch[i / 64] >> i % 64 & 1) != 0;
    const bool held = slot.shares()[job.shares[i] - 1] == &cell;
    if (bad || !held) {
      if (held) take_off(slot, cell);
      drop(cell, bad ? DropReason::bad_tag : DropReason::number_replayed);
    } else if (!cell.verified) {
      cell.verified = true;
      ++slot.verified;
    }
  }
  parts_.pool->give_back(job.out);
  free_jobs_.push_back(&job);
  collect_again(slot, job.number, now);
}

// The block goes on without the packets of this job.
void BlockCollector::forget(Job& job, DropReason reason, std::uint64_t now) noexcept {
  Slot& slot = *job.slot;
  const bool held = job.flying;  // by the device
  for (Cell* const cell : job.cells) {
    if (slot.shares()[cell->header.placement.share - 1] == cell) take_off(slot, *cell);
    cell->reason = reason;
    if (!held) drop(*cell, reason);
  }
  collect_again(slot, job.number, now);
  if (held) {
    job.late = true;
    job.delivered = false;
    return;
  }
  parts_.pool->give_back(job.out);
  free_jobs_.push_back(&job);
}

void BlockCollector::collect_again(Slot& slot, std::uint64_t number, std::uint64_t now) noexcept {
  slot.state = SlotState::collecting;
  slot.block = nullptr;
  slot.suspicious = true;
  slot.queued = false;
  slot.waiting = false;
  push_begun(number, now);
  queue(slot, number);
}

bool BlockCollector::still_good(const Job& job) noexcept {
  if (parts_.keys->ended || parts_.keys->tags->held_key(job.number_first) != job.key) return false;
  for (const Cell* const cell : job.cells) {
    const std::uint8_t* mask = nullptr;
    const kernels::TagKey* key = nullptr;
    std::uint8_t* pad = nullptr;
    if (parts_.keys->tags->find(cell->header.number, mask, key) != Found::ready ||
        parts_.keys->pads->find(cell->header.d_offset, job.share_bytes, pad) != Found::ready) {
      return false;
    }
  }
  return true;
}

// The device could not, or is late: on the CPU, and into another block where the device may still write to
// this one.
void BlockCollector::redo(Job& job, std::uint64_t now, bool held) noexcept {
  if (!held) land(job);
  Block* const out = held ? parts_.pool->take() : job.out;
  job.late = job.redo = out == nullptr;
  if (out == nullptr) return;  // when the device lets go of it
  if (!still_good(job)) {
    if (held) parts_.pool->give_back(out);
    return forget(job, parts_.keys->ended ? DropReason::epoch_ended : DropReason::pad_range_forgotten, now);
  }
  if (on_cpu(job, *out)) {
    if (!held) return complete(job, now);
    deliver(job, *out, now);
    job.late = job.delivered = true;
    return;
  }
  if (!held) return reject(job, now);
  if (planted(PlantedFault::forged_late_block)) {
    parts_.pool->give_back(out);
    return forget(job, DropReason::bad_tag, now);
  }
  // Good and bad packets alike are still in the device's hands.
  parts_.pool->give_back(out);
  job.late = job.redo = true;
}

// The device has let go of a job that was late.
void BlockCollector::free_late(Job& job) noexcept {
  parts_.pool->give_back(job.out);
  if (job.delivered) {
    if (!parts_.keys->ended) (void)settle_each(job);
    return release(job);
  }
  for (Cell* const cell : job.cells) drop(*cell, cell->reason);
  free_jobs_.push_back(&job);
}

void BlockCollector::land(Job& job) noexcept {
  assert(job.flying);
  job.flying = false;
  job.late = false;
  --in_flight_;
  --parts_.progress->in_flight;
  parts_.tag_keys->release(job.number_first >> block_packets_log2);
  if (parts_.keys->ended && parts_.progress->in_flight == 0) end_keys();
}

void BlockCollector::finish(std::span<ssn_offload_job* const> jobs, std::uint64_t now) noexcept {
  for (ssn_offload_job* const each : jobs) {
    Job& job = owner_of<Job>(*each);
    if (job.late) {
      if (each->held) continue;
      const bool again = job.redo;
      if (!again) {
        land(job);
        free_late(job);
        continue;
      }
      redo(job, now, false);
      continue;
    }
    std::copy_n(each->tag_mismatch, job.mismatch.size(), job.mismatch.begin());
    const bool named =
        std::any_of(job.mismatch.begin(), job.mismatch.end(), [](auto word) { return word != 0; });
    const JobEnd end = job_end(*each);
    if (end == JobEnd::done) {
      land(job);
      complete(job, now);
    } else if (end == JobEnd::forged && named) {
      land(job);
      reject(job, now);
    } else {
      ++parts_.counters->jobs_failed;
      parts_.counters->jobs_late += each->status == SSN_TIMEOUT ? 1 : 0;
      redo(job, now, each->held);
    }
  }
}

std::uint32_t BlockCollector::take_as_lost(std::uint64_t before, std::uint64_t now) noexcept {
  if (in_flight_ == 0 || planted(PlantedFault::lost_jobs_awaited)) return 0;
  std::uint32_t count = 0;
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying || job->late || !is_lost(job->offload.state(), before)) continue;
    job->lost = true;
    ++parts_.counters->jobs_failed;
    ++parts_.counters->jobs_late;
    ++parts_.counters->jobs_lost;
    redo(*job, now, true);
    ++count;
  }
  return count;
}

OverdueJobs BlockCollector::overdue() const noexcept {
  OverdueJobs all;
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (job->flying && job->late) all.add({1, job->lost ? 1U : 0U, job->offload.state().deadline});
  }
  return all;
}

void BlockCollector::device_closed(std::uint64_t now) noexcept {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying) continue;
    ssn_offload_job* const back = job->offload.job();
    give_back_undone(*back);
    finish({&back, 1}, now);
  }
}

void BlockCollector::abandon() noexcept {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying) continue;
    const bool late = job->late && !job->redo;
    job->offload.job()->held = false;
    land(*job);
    if (late) {
      free_late(*job);
    } else {
      forget(*job, parts_.keys->ended ? DropReason::epoch_ended : DropReason::block_given_up, 0);
    }
  }
}

}  // namespace ssn::protocol
