// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/pad_stream.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "planted_faults.h"

namespace ssn::protocol {
namespace {

std::uint32_t longest_range(const ssn_key_stream& stream) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(pad_range_max, stream.ring_bytes / 4));
}

}  // namespace

PadSender::PadSender(ssn_key_stream& stream, StreamMarks& marks)
    : StreamEnd(stream, pad_granule), marks_(&marks), longest_(longest_range(stream)) {
  assert(stream.role == SSN_KEY_SENDER || stream.role == SSN_KEY_RANDOM);
}

Take PadSender::reserve(std::uint32_t length, PadRange& range) noexcept {
  assert(length >= 1 && length <= longest_);
  const std::uint64_t whole = round_up(length);
  if (const Take why = why_not(stream_->next + whole, *marks_); why != Take::ok) return why;
  range.offset = stream_->next;
  range.pad = at(stream_->next);
  range.length = length;
  stream_->next += whole;
  marks_->advance(stream_->next);
  return Take::ok;
}

std::size_t PadSender::reserve_burst(std::uint32_t length, std::span<PadRange> ranges, Take& why) noexcept {
  why = Take::ok;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    why = reserve(length, ranges[i]);
    if (why != Take::ok) return i;
  }
  return ranges.size();
}

Take PadSender::reserve_run(std::uint32_t length, std::uint32_t count, PadRange& first) noexcept {
  assert(length >= 1 && length <= longest_ && count >= 1);
  const std::uint64_t whole = count * round_up(length);
  if (const Take why = can_take(whole); why != Take::ok) return why;
  first = {at(stream_->next), stream_->next, length};
  stream_->next += whole;
  marks_->advance(stream_->next);
  return Take::ok;
}

void PadSender::use_run(const PadRange& first, std::uint32_t count) noexcept {
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(first.pad, count * round_up(first.length));
  }
  finish_erased(first.offset, first.length, count, &KeyAccount::used);
}

void PadSender::discard_run(const PadRange& first, std::uint32_t count) noexcept {
  if (planted(PlantedFault::retake_discarded) &&
      first.offset + count * round_up(first.length) == stream_->next) {
    stream_->next = first.offset;
    return;
  }
  drop(first.offset, first.offset + count * round_up(first.length));
}

void PadSender::use(const PadRange& range) noexcept { finish(range.offset, range.length, &KeyAccount::used); }

void PadSender::use_erased(std::span<const PadRange> ranges) noexcept {
  const std::uint64_t length = ranges.front().length;
  assert(ranges.back().offset == ranges.front().offset + (ranges.size() - 1) * round_up(length) &&
         ranges.back().length == length);
  finish_erased(ranges.front().offset, length, ranges.size(), &KeyAccount::used);
}

void PadSender::copy_out(const PadRange& range, std::span<std::uint8_t> out,
                         std::uint64_t KeyAccount::* column) noexcept {
  assert(out.size() == range.length);
  std::memcpy(out.data(), range.pad, range.length);
  finish(range.offset, range.length, column);
}

void PadSender::keep(const PadRange& range, std::span<std::uint8_t> share) noexcept {
  copy_out(range, share, &KeyAccount::kept);
}

void PadSender::mask(const PadRange& range, std::span<std::uint8_t> mask) noexcept {
  copy_out(range, mask, &KeyAccount::used);
}

void PadSender::discard(const PadRange& range) noexcept {
  const std::uint64_t behind = range.offset + round_up(range.length);
  if (planted(PlantedFault::retake_discarded) && behind == stream_->next) {
    stream_->next = range.offset;
    return;
  }
  drop(range.offset, behind);
}

std::uint64_t PadSender::available() const noexcept {
  if (ended_) return 0;
  const std::uint64_t until =
      planted(PlantedFault::skipped_write_ahead) ? usable_end() : std::min(usable_end(), marks_->granted());
  return until > stream_->next ? until - stream_->next : 0;
}

PadReceiver::PadReceiver(ssn_key_stream& stream, StreamMarks& marks)
    : StreamEnd(stream, pad_granule), marks_(&marks), longest_(longest_range(stream)) {
  assert(stream.role == SSN_KEY_RECEIVER);
}

Found PadReceiver::find(std::uint64_t offset, std::uint32_t length, std::uint8_t*& pad) const noexcept {
  const std::uint64_t whole = round_up(length);
  if (length == 0 || length > longest_ || (offset & (pad_granule - 1)) != 0 || offset > UINT64_MAX - whole) {
    return Found::invalid;
  }
  if (ended_) return Found::pad_gone;
  if (offset + whole > usable_end()) {
    return failed_ || stream_->health == SSN_KEY_HEALTH_FAILED ? Found::pad_gone : Found::not_yet;
  }
  if (offset / pad_granule < window_.oldest()) return Found::too_old;
  if (window_.all_open(offset / pad_granule, whole / pad_granule)) {
    pad = at(offset);
    return Found::ready;
  }
  switch (window_.state(offset / pad_granule, whole / pad_granule)) {
    case RangeWindow::State::open:
      break;
    case RangeWindow::State::taken:
      if (planted(PlantedFault::reopen_range) && offset >= stream_->released) break;
      return Found::already_opened;
    case RangeWindow::State::gone:
      return Found::pad_gone;
    case RangeWindow::State::mixed:
      return Found::overlap;
  }
  pad = at(offset);
  return Found::ready;
}

std::uint32_t PadReceiver::find_run(std::uint64_t offset, std::uint32_t length, std::uint32_t most,
                                    std::uint8_t*& pads) const noexcept {
  if (length == 0 || length > longest_ || (offset & (pad_granule - 1)) != 0 || ended_) return 0;
  const std::uint64_t first = offset / pad_granule;
  const std::uint64_t each = round_up(length) / pad_granule;
  const std::uint64_t limit = std::min(usable_end() / pad_granule, first + most * each);
  if (first < window_.base() || first + each > limit) return 0;
  pads = at(offset);
  return static_cast<std::uint32_t>(window_.open_prefix(first, limit - first) / each);
}

void PadReceiver::done(std::uint64_t offset, std::uint64_t length,
                       std::uint64_t KeyAccount::* column) noexcept {
  finish(offset, length, column);
  note_seen(offset + round_up(length));
}

void PadReceiver::note_seen(std::uint64_t behind) noexcept {
  if (behind > seen_) {
    seen_ = behind;
    marks_->advance(seen_);
  }
}

void PadReceiver::open_erased(std::uint64_t offset, std::uint32_t length, std::uint32_t count) noexcept {
  finish_erased(offset, length, count, &KeyAccount::used);
  note_seen(offset + count * round_up(length));
}

void PadReceiver::open_some(std::uint64_t offset, std::uint32_t length, std::uint32_t count,
                            std::uint32_t used, std::uint32_t last) noexcept {
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(at(offset), count * round_up(length));
  }
  finish_some(offset, length, count, used);
  note_seen(offset + (last + 1) * round_up(length));
}

void PadReceiver::open(std::uint64_t offset, std::uint32_t length) noexcept {
  done(offset, length, &KeyAccount::used);
}

void PadReceiver::keep(std::uint64_t offset, std::span<std::uint8_t> share) noexcept {
  std::memcpy(share.data(), at(offset), share.size());
  done(offset, share.size(), &KeyAccount::kept);
}

void PadReceiver::mask(std::uint64_t offset, std::span<std::uint8_t> mask) noexcept {
  std::memcpy(mask.data(), at(offset), mask.size());
  done(offset, mask.size(), &KeyAccount::used);
}

std::uint64_t PadReceiver::discard(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t first = std::max(offset & ~(pad_granule - 1), window_.base() * pad_granule);
  const std::uint64_t wanted = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
  const std::uint64_t limit = wanted >= usable_end() ? usable_end() : round_up(wanted);
  if (ended_ || first >= limit) return 0;
  const std::uint64_t before = account_.discarded;
  drop(first, limit);
  return account_.discarded - before;
}

std::uint64_t PadReceiver::discard_below(std::uint64_t offset) noexcept {
  return discard(window_.base() * pad_granule,
                 offset > window_.base() * pad_granule ? offset - window_.base() * pad_granule : 0);
}

}  // namespace ssn::protocol
