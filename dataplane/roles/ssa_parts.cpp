// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_parts.h"

#include <algorithm>

namespace ssn::roles {

// As RFC 6298 smooths round trips.
void AnswerTime::note(std::uint64_t sample_ns) noexcept {
  const std::uint64_t apart = sample_ns > smoothed_ns_ ? sample_ns - smoothed_ns_ : smoothed_ns_ - sample_ns;
  variation_ns_ += apart / 4;
  variation_ns_ -= variation_ns_ / 4;
  smoothed_ns_ = smoothed_ns_ - smoothed_ns_ / 8 + sample_ns / 8;
}

void AnswerTime::note_late(std::uint64_t waited_ns) noexcept {
  smoothed_ns_ = std::max(smoothed_ns_, waited_ns);
}

std::uint64_t AnswerTime::late_ns(const SsaOptions& options) const noexcept {
  return std::clamp(smoothed_ns_ * 2 + variation_ns_ * 4, options.least_late_ns, options.most_late_ns);
}

std::size_t EventQueue::take(std::span<SsaEvent> out) noexcept {
  const std::size_t count = std::min(out.size(), queue_.size());
  for (std::size_t i = 0; i < count; ++i) out[i] = queue_[i];
  queue_.pop(count);
  return count;
}

std::string_view name(SsaTrouble trouble) noexcept {
  switch (trouble) {
    case SsaTrouble::none:
      return "none";
    case SsaTrouble::away:
      return "away";
    case SsaTrouble::slow:
      return "slow";
    case SsaTrouble::expired:
      return "expired";
    case SsaTrouble::unreliable:
      return "unreliable";
    case SsaTrouble::read_only:
      return "read_only";
    case SsaTrouble::disk_full:
      return "disk_full";
    case SsaTrouble::io_error:
      return "io_error";
    case SsaTrouble::refused:
      return "refused";
    case SsaTrouble::incomplete:
      return "incomplete";
    case SsaTrouble::quarantined:
      return "quarantined";
    case SsaTrouble::lies:
      return "lies";
    case SsaTrouble::too_few_holders:
      return "too_few_holders";
    case SsaTrouble::blocks_missing:
      return "blocks_missing";
    case SsaTrouble::owner_gone:
      return "owner_gone";
    case SsaTrouble::protocol:
      return "protocol";
  }
  return "unknown";
}

std::string_view describe(SsaTrouble trouble) noexcept {
  switch (trouble) {
    case SsaTrouble::none:
      return "nothing is wrong";
    case SsaTrouble::away:
      return "the holder has no connection; see whether it runs and can be reached";
    case SsaTrouble::slow:
      return "the holder held up the owner for too long; see its load, disk and link";
    case SsaTrouble::expired:
      return "the holder did not do in time what it was asked; see its load and its link";
    case SsaTrouble::unreliable:
      return "the holder lost shares too often; see its link and its key streams";
    case SsaTrouble::read_only:
      return "the holder's disk failed and it takes nothing; see its own events";
    case SsaTrouble::disk_full:
      return "the holder's disk is full; make room there";
    case SsaTrouble::io_error:
      return "the holder cannot read or write its disk; see its own events";
    case SsaTrouble::refused:
      return "the holder's rules forbid it; see certificates and the catalogue";
    case SsaTrouble::incomplete:
      return "the holder lost what it had said was durable; do not trust its disk, repair its share";
    case SsaTrouble::quarantined:
      return "a record of the holder is damaged and was put aside; repair its share";
    case SsaTrouble::lies:
      return "the holder's share contradicts the others; take the node out and look at it";
    case SsaTrouble::too_few_holders:
      return "fewer holders than the minimum can take or give shares; bring holders back, then try again";
    case SsaTrouble::blocks_missing:
      return "the owner counted blocks that it never sent; write the object again";
    case SsaTrouble::owner_gone:
      return "the owner's session ended before its object was complete";
    case SsaTrouble::protocol:
      return "the owner sent what no owner may send; see the version of its client";
  }
  return "unknown";
}

}  // namespace ssn::roles
