// SPDX-License-Identifier: BSD-3-Clause
// The end of a write: all blocks are there, all holders that are left have all cells and seal them.
#include <algorithm>
#include <array>

#include "ssa_write.h"

namespace ssn::roles {

void SsaWrite::finish(std::uint64_t blocks, std::uint64_t now) noexcept {
  if (finishing_ || result_.ended) return;
  const std::uint64_t cells = blocks / data_blocks_ + (blocks % data_blocks_ != 0 ? 1 : 0);
  if (cells < end_ || cells > UINT32_MAX) return end(SsaTrouble::protocol);
  finishing_ = true;
  total_blocks_ = blocks;
  total_cells_ = static_cast<std::uint32_t>(cells);
  finish_ns_ = now;
}

// Zeros take the place of what the last cell's blocks do not fill.
void SsaWrite::count_blocks(std::uint64_t now) noexcept {
  if (sealing_) return;
  const auto rest = static_cast<unsigned>(total_blocks_ % data_blocks_);
  if (rest != 0 && end_ == total_cells_ && base_ < end_) {
    const Group& last = group(total_cells_ - 1);
    bool there = !last.full && last.blocks == rest;
    for (unsigned i = rest; i < data_blocks_; ++i) there = there && block(total_cells_ - 1, i) == nullptr;
    if (there) {
      fill(total_cells_ - 1, now);
      short_ = true;  // come again soon
    }
  }
  sealing_ = base_ == total_cells_;
  const bool missing = end_ != total_cells_ || (base_ < end_ && !group(base_).full);
  if (missing && now - std::max(finish_ns_, moved_ns_) > options_.finish_ns) end(SsaTrouble::blocks_missing);
}

void SsaWrite::seal(std::uint64_t now) noexcept {
  const auto count = std::count_if(targets_.begin(), targets_.end(),
                                   [](const Target& target) { return target.seal == Target::Seal::done; });
  const std::uint64_t patience =
      static_cast<unsigned>(count) >= needed() ? options_.stall_ns : options_.seal_ns;
  bool all = true;
  for (unsigned i = 0; i < n_ && !result_.ended; ++i) {
    Target& target = targets_[i];
    if (target.failed || target.seal == Target::Seal::done) continue;
    all = false;
    if (target.asked_ns != 0 && now - target.asked_ns > patience) {
      fail(i, SsaTrouble::expired, now);
    } else if (target.seal == Target::Seal::none && !target.away && now >= target.retry_ns) {
      if (ask_to_seal(target, i, now)) target.seal = Target::Seal::asked;
      if (target.asked_ns == 0) target.asked_ns = now;
    }
  }
  if (all && !result_.ended) conclude();
}

bool SsaWrite::ask_to_seal(Target& target, unsigned index, std::uint64_t now) noexcept {
  protocol::SealOrder order;
  order.request = std::uint64_t{session_} << 8 | (index + 1);
  order.cells = order.end = total_cells_;
  order.run_count = static_cast<std::uint16_t>(result_.attempts.size());
  std::copy(result_.attempts.begin(), result_.attempts.end(), order.runs.begin());
  std::array<std::uint8_t, protocol::max_seal_order_bytes> payload;
  const std::size_t bytes = protocol::write_seal_order(order, payload.data());
  const protocol::Placement what{key_.object, 0, key_.generation, 0, static_cast<std::uint8_t>(index + 1)};
  return channel_of(target)->post(protocol::PacketType::seal_order, what, std::span(payload).first(bytes),
                                  protocol::no_token, now + options_.seal_ns, now);
}

void SsaWrite::conclude() noexcept {
  const auto sealed = std::count_if(targets_.begin(), targets_.end(),
                                    [](const Target& target) { return target.seal == Target::Seal::done; });
  end(static_cast<unsigned>(sealed) >= layout_.minimum ? SsaTrouble::none : SsaTrouble::too_few_holders);
}

// What its owner can do about it.
protocol::AnswerCode SsaWrite::end_code() const noexcept {
  if (result_.why == SsaTrouble::protocol) return protocol::AnswerCode::refused;
  unsigned full = 0;
  unsigned read_only = 0;
  for (const Target& target : targets_) {
    full += target.failed && target.trouble == SsaTrouble::disk_full ? 1 : 0;
    read_only += target.failed && target.trouble == SsaTrouble::read_only ? 1 : 0;
  }
  if (2 * (full + read_only) <= failed_) return protocol::AnswerCode::incomplete;
  return full >= read_only ? protocol::AnswerCode::disk_full : protocol::AnswerCode::read_only;
}

// A write that failed before its owner asked what came of it: otherwise nothing would be said until the
// owner's patience is over.
void SsaWrite::tell_end(std::uint64_t now) noexcept {
  due_ = UINT64_MAX;
  protocol::Channel* const channel = context_->owners[owner_].channel;
  if (told_end_ || result_.why == SsaTrouble::none || result_.why == SsaTrouble::owner_gone ||
      channel == nullptr || channel->ended()) {
    return;
  }
  protocol::Answer answer;
  answer.type = protocol::PacketType::cell;
  answer.code = end_code();
  std::array<std::uint8_t, protocol::answer_bytes> payload;
  protocol::write_answer(answer, payload.data());
  told_end_ = channel->post(protocol::PacketType::answer, {key_.object, 0, key_.generation, 0, 0}, payload,
                            protocol::no_token, now + options_.finish_ns, now);
  if (!told_end_) due_ = now + 1'000'000;
}

Protection SsaWrite::protection() const noexcept {
  if (code_.random_blocks() == 0) return Protection::none;
  return lowered_ ? Protection::computational : Protection::information_theoretic;
}

}  // namespace ssn::roles
