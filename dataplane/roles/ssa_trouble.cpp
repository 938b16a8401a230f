// SPDX-License-Identifier: BSD-3-Clause
// What a write does about holders that are away, slow, or lose what they were sent.
#include <algorithm>

#include "ssa_write.h"

namespace ssn::roles {
namespace {

// Of what a holder may cost an owner, this part goes by before anything is charged.
constexpr std::uint64_t grace_divisor = 4;
constexpr std::uint64_t longest_charge_ns = 50'000'000;

SsaTrouble trouble_of(protocol::AnswerCode code) noexcept {
  switch (code) {
    case protocol::AnswerCode::read_only:
      return SsaTrouble::read_only;
    case protocol::AnswerCode::disk_full:
      return SsaTrouble::disk_full;
    case protocol::AnswerCode::io_error:
      return SsaTrouble::io_error;
    case protocol::AnswerCode::quarantined:
      return SsaTrouble::quarantined;
    case protocol::AnswerCode::not_found:
    case protocol::AnswerCode::incomplete:
      return SsaTrouble::incomplete;
    default:
      return SsaTrouble::refused;
  }
}

}  // namespace

void SsaWrite::event(SsaEvent::Kind kind, unsigned index, SsaTrouble trouble, std::uint32_t cell) noexcept {
  SsaEvent its;
  its.kind = kind;
  its.trouble = trouble;
  its.attempt = attempt_;
  its.cell = cell;
  its.session = session_;
  its.key = key_;
  if (kind != SsaEvent::Kind::write_ended) {
    its.share = static_cast<std::uint8_t>(index + 1);
    its.holder = targets_[index].holder;
  }
  context_->events.push(its, context_->counters);
}

void SsaWrite::holder_came(std::uint16_t holder) noexcept {
  unsigned index = 0;
  Target* const target = target_of(holder, index);
  if (target == nullptr) return;
  target->away = false;
  target->retry_ns = 0;
}

// Its Channel is gone: nothing of it may be touched.
void SsaWrite::holder_left(std::uint16_t holder, std::uint64_t now) noexcept {
  unsigned index = 0;
  Target* const target = target_of(holder, index);
  if (target == nullptr || result_.ended) return;
  target->away = true;
  target->away_ns = now;
  if (target->seal == Target::Seal::asked) target->seal = Target::Seal::none;
  for (std::uint32_t cell = base_; cell < end_; ++cell) {
    Share& its = share(cell, index);
    if (its.state != ShareState::queued && its.state != ShareState::sent) continue;
    if (its.cell != nullptr) context_->pool->give_back({&its.cell, 1});
    its = {nullptr, {}, ShareState::lost};
    target->broken = true;
    ++context_->counters.shares_lost;
  }
  target->queue.clear();
}

// It will be split again, not before `again_ns`.
void SsaWrite::lose(std::uint32_t cell, unsigned index, std::uint64_t again_ns) noexcept {
  Target& target = targets_[index];
  Share& its = share(cell, index);
  assert(its.state == ShareState::sent);
  if (!target.away) channel_of(target)->abandon(its.handle);
  its = {nullptr, {}, ShareState::lost};
  target.broken = true;
  target.retry_ns = std::max(target.retry_ns, again_ns);
  ++context_->counters.shares_lost;
}

// Whatever became of it, it is not wanted any more. The queue is left to the caller.
void SsaWrite::drop_share(std::uint32_t cell, unsigned index) noexcept {
  Target& target = targets_[index];
  Share& its = share(cell, index);
  if (its.state == ShareState::none) return;
  if (its.cell != nullptr) context_->pool->give_back({&its.cell, 1});
  if (its.state == ShareState::sent && !target.away) channel_of(target)->abandon(its.handle);
  if (its.state == ShareState::stored) {
    --group(cell).stored;
  } else {
    --target.unstored;
  }
  its = {};
}

void SsaWrite::fail(unsigned index, SsaTrouble trouble, std::uint64_t now) noexcept {
  Target& target = targets_[index];
  if (target.failed || result_.ended) return;
  target.failed = true;
  target.trouble = trouble;
  ++failed_;
  ++context_->counters.holders_failed;
  event(SsaEvent::Kind::holder_failed, index, trouble, base_);
  for (std::uint32_t cell = base_; cell < end_; ++cell) drop_share(cell, index);
  target.queue.clear();
  target.broken = false;
  if (alive() < layout_.minimum) return end(SsaTrouble::too_few_holders);
  for (std::uint32_t cell = base_; cell < end_; ++cell) consider(cell, now);
}

bool SsaWrite::first_lost(unsigned index, std::uint32_t& cell) noexcept {
  for (cell = base_; cell < end_; ++cell) {
    if (share(cell, index).state == ShareState::lost) return true;
  }
  return false;
}

void SsaWrite::split_again(std::uint64_t now) noexcept {
  std::uint32_t from = end_;
  unsigned cause = 0;
  bool now_is_the_time = false;
  for (unsigned i = 0; i < n_; ++i) {
    Target& target = targets_[i];
    if (!target.broken || target.failed || target.away) continue;
    std::uint32_t cell = 0;
    if (!first_lost(i, cell)) {
      target.broken = false;
      continue;
    }
    now_is_the_time = now_is_the_time || now >= target.retry_ns;
    if (cell < from) {
      from = cell;
      cause = i;
    }
  }
  if (!now_is_the_time || from == end_) return;
  Target& target = targets_[cause];
  if (attempt_ >= options_.splits_again || target.broke * 4U >= options_.splits_again) {
    return fail(cause, SsaTrouble::unreliable, now);
  }
  ++target.broke;
  // An order stands for all of its cells.
  if (group(from).kept_cells != 0) from = std::max(base_, group(from).kept_from);
  for (Target& each : targets_) each.broken = each.broken && each.away;
  split_again_from(from, now);
  event(SsaEvent::Kind::split_again, cause, SsaTrouble::none, from);
}

// A new attempt of all cells from this one on. Nobody's older shares of them are of use any more.
void SsaWrite::split_again_from(std::uint32_t from, std::uint64_t now) noexcept {
  ++attempt_;
  for (Target& target : targets_) {
    const std::size_t queued = target.queue.size();
    for (std::size_t i = 0; i < queued; ++i) {
      const std::uint32_t cell = target.queue[0];
      target.queue.pop();
      if (cell < from) target.queue.push(cell);
    }
  }
  for (std::uint32_t cell = from; cell < end_; ++cell) {
    Group& its = group(cell);
    if (!its.split) continue;
    for (unsigned i = 0; i < n_; ++i) drop_share(cell, i);
    its.split = false;
    its.kept_cells = 0;
    its.enough_ns = UINT64_MAX;
    its.full_ns = now;
    ++context_->counters.cells_split_again;
  }
  ready_.clear();
  for (std::uint32_t cell = base_; cell < end_; ++cell) {
    if (group(cell).full && !group(cell).split) ready_.push(cell);
  }
}

void SsaWrite::answered(std::uint16_t holder, const protocol::PacketHeader& header,
                        const protocol::Answer& answer, std::uint64_t now) noexcept {
  unsigned index = 0;
  const Target* const target = target_of(holder, index);
  const protocol::Placement& what = header.placement;
  if (target == nullptr || target->failed || result_.ended || what.share != index + 1) return;
  if (answer.type == protocol::PacketType::seal_order) return seal_answered(index, answer, now);
  if (answer.type != protocol::PacketType::cell && answer.type != protocol::PacketType::keep_order) return;
  const std::size_t count = std::max<std::size_t>(answer.count, 1);
  for (std::size_t i = 0; i < count && !result_.ended; ++i) {
    const std::uint64_t cell = std::uint64_t{what.cell} + i;
    if (answer.count != 0 && !protocol::names_cell(answer.bitmap, i)) continue;
    if (cell < base_ || cell >= end_) continue;
    const auto number = static_cast<std::uint32_t>(cell);
    if (!group(number).split || group(number).attempt != what.attempt ||
        share(number, index).state != ShareState::sent) {
      continue;
    }
    if (answer.code != protocol::AnswerCode::busy) return fail(index, trouble_of(answer.code), now);
    lose(number, index, now + std::max<std::uint64_t>(std::uint64_t{answer.retry_us} * 1000, 5'000'000));
  }
}

void SsaWrite::seal_answered(unsigned index, const protocol::Answer& answer, std::uint64_t now) noexcept {
  Target& target = targets_[index];
  if (target.seal != Target::Seal::asked || answer.request != (std::uint64_t{session_} << 8 | (index + 1))) {
    return;
  }
  if (answer.code == protocol::AnswerCode::done) {
    target.seal = Target::Seal::done;
  } else if (answer.code == protocol::AnswerCode::busy) {
    target.seal = Target::Seal::none;
    target.retry_ns = now + std::uint64_t{answer.retry_us} * 1000;
  } else {
    fail(index, trouble_of(answer.code), now);
  }
}

// Whether the first cell of the window waits for this holder.
bool SsaWrite::holds_up(const Target& target, unsigned index) noexcept {
  if (target.failed) return false;
  const Group& first = group(base_);
  if (first.split) return share(base_, index).state != ShareState::stored;
  return first.full && (target.away || target.queue.size() >= ahead);
}

// Far behind as many others as there have to be.
bool SsaWrite::far_behind(const Target& target) const noexcept {
  const auto ahead_of_it = std::count_if(targets_.begin(), targets_.end(), [&target](const Target& other) {
    return !other.failed && !other.away && other.unstored * 4 <= target.unstored;
  });
  return target.unstored >= ahead && static_cast<unsigned>(ahead_of_it) >= layout_.minimum;
}

// A holder that keeps its owner waiting, or would if another one did not, pays with its patience, and fails
// when that is used up. What it costs the owner is thereby bounded, however slow it is.
void SsaWrite::charge(std::uint64_t now) noexcept {
  const std::uint64_t passed = std::min(now - stepped_ns_, longest_charge_ns);
  unsigned others = 0;
  for (unsigned i = 0; i < n_; ++i) others += !targets_[i].failed && !holds_up(targets_[i], i) ? 1 : 0;
  const Group& first = group(base_);
  const bool enough = base_ != end_ && first.full &&
                      (first.split ? first.enough_ns != UINT64_MAX : others >= layout_.minimum);
  const std::uint64_t since = std::max(moved_ns_, first.split && enough ? first.enough_ns : first.full_ns);
  const bool stuck = now - std::min(now, since) > options_.stall_ns / grace_divisor;
  const bool full = held_ + data_blocks_ > std::uint64_t{window_} * data_blocks_ || room() < data_blocks_;
  const bool pressing = enough && (full || finishing_ || first.told_ns == 0);
  for (unsigned i = 0; i < n_; ++i) {
    Target& target = targets_[i];
    if (pressing && !target.failed && (far_behind(target) || (stuck && holds_up(target, i)))) {
      target.stalled_ns += passed;
    } else {
      target.stalled_ns -= std::min(target.stalled_ns, passed / 4);
    }
  }
  for (unsigned i = 0; i < n_ && !result_.ended; ++i) {
    Target& target = targets_[i];
    if (target.stalled_ns > options_.stall_ns)
      fail(i, target.away ? SsaTrouble::away : SsaTrouble::slow, now);
  }
}

void SsaWrite::watch(std::uint64_t now) noexcept {
  charge(now);
  // Where not even the minimum has it there is nobody to compare with: time decides.
  const bool hopeless = base_ != end_ && group(base_).full &&
                        now - std::max(moved_ns_, group(base_).full_ns) > options_.cell_ns;
  for (unsigned i = 0; i < n_ && !result_.ended; ++i) {
    const Target& target = targets_[i];
    if (target.failed || target.seal == Target::Seal::done) continue;
    if (target.away && now - target.away_ns > options_.away_ns) {
      fail(i, SsaTrouble::away, now);
    } else if (hopeless && holds_up(target, i)) {
      fail(i, SsaTrouble::expired, now);
    } else if (base_ != end_ && group(base_).told_ns != 0 && holds_up(target, i) &&
               now - group(base_).told_ns > options_.lag_ns) {
      fail(i, SsaTrouble::slow, now);
    }
  }
}

}  // namespace ssn::roles
