// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/stream_end.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "planted_faults.h"
#include "ssn/kernels/erase.h"

namespace ssn::protocol {
namespace {

// A doorbell for every 64 KiB or an eighth of a small ring.
constexpr std::uint64_t release_bytes = 64 * 1024;

}  // namespace

StreamEnd::StreamEnd(ssn_key_stream& stream, std::uint64_t granule)
    : stream_(&stream), window_(stream.ring_bytes / granule), granule_(granule) {
  assert(std::has_single_bit(granule) && std::has_single_bit(stream.ring_bytes));
  assert(stream.released == 0 && stream.next == 0);  // a stream has one owner from its first byte on
}

StreamEnd::~StreamEnd() {
  if (!ended_) end();
}

void StreamEnd::check() const noexcept { assert(account_.balanced()); }

enum ssn_status StreamEnd::poll() noexcept {
  if (ended_ || failed_) return SSN_FAILED;
  room_from_ = stream_->released;
  const enum ssn_status status = ssn_key_stream_poll(stream_);
  const std::uint64_t end = stream_->end;
  if (end < end_ || end - stream_->released > stream_->ring_bytes) {
    failed_ = true;
    return SSN_FAILED;
  }
  account_.fetched += end - end_;
  account_.left += end - end_;
  end_ = end;
  check();
  return status;
}

void StreamEnd::finish(std::uint64_t offset, std::uint64_t length,
                       std::uint64_t KeyAccount::* column) noexcept {
  const std::uint64_t whole = round_up(length);
  assert(!ended_ && length >= 1 && (offset & (granule_ - 1)) == 0 && offset + whole <= end_);
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(at(offset), whole);
  }
  const std::uint64_t flipped = window_.take(offset / granule_, whole / granule_);
  account_.left -= flipped * granule_;
  account_.*column += length;
  account_.discarded += whole - length;
  check();
}

void StreamEnd::finish_erased(std::uint64_t offset, std::uint64_t length, std::uint64_t count,
                              std::uint64_t KeyAccount::* column) noexcept {
  const std::uint64_t whole = round_up(length);
  assert(!ended_ && length >= 1 && (offset & (granule_ - 1)) == 0 && offset + count * whole <= end_);
  for (std::uint64_t i = 0; i < count && length < whole; ++i) {
    ::explicit_bzero(at(offset + i * whole + length), whole - length);
  }
  window_.take_all(offset / granule_, count * (whole / granule_));
  account_.left -= count * whole;
  account_.*column += count * length;
  account_.discarded += count * (whole - length);
  check();
}

Take StreamEnd::why_not(std::uint64_t until, const StreamMarks& marks) const noexcept {
  if (ended_) return Take::ended;
  if (until > end_) {
    if (failed_ || stream_->health == SSN_KEY_HEALTH_FAILED) return Take::ended;
    // The device cannot deliver before ranges that are held are done with, and it was asked since.
    return until - room_from_ > stream_->ring_bytes ? Take::busy : Take::shortage;
  }
  if (until > marks.granted() && !planted(PlantedFault::skipped_write_ahead)) {
    return Take::not_written_ahead;
  }
  return Take::ok;
}

void StreamEnd::finish_some(std::uint64_t offset, std::uint64_t length, std::uint64_t count,
                            std::uint64_t used) noexcept {
  const std::uint64_t whole = round_up(length);
  assert(!ended_ && length >= 1 && used <= count && (offset & (granule_ - 1)) == 0 &&
         offset + count * whole <= end_);
  window_.take_all(offset / granule_, count * (whole / granule_));
  account_.left -= count * whole;
  account_.used += used * length;
  account_.discarded += count * whole - used * length;
  check();
}

void StreamEnd::finish_one(std::uint64_t offset, std::uint64_t KeyAccount::* column) noexcept {
  assert(!ended_ && (offset & (granule_ - 1)) == 0 && offset + granule_ <= end_);
  if (!planted(PlantedFault::lost_erase)) {
    // Granules are multiples of 16 bytes, and mostly just that.
    for (std::uint64_t i = 0; i < granule_; i += 16) kernels::erase_block(at(offset) + i);
  }
  window_.take_one(offset / granule_);
  account_.left -= granule_;
  account_.*column += granule_;
  check();
}

void StreamEnd::drop(std::uint64_t offset, std::uint64_t limit) noexcept {
  assert((offset & (granule_ - 1)) == 0 && (limit & (granule_ - 1)) == 0);
  const std::uint64_t last = limit / granule_;
  for (std::uint64_t from = offset / granule_; from < last;) {
    const std::uint64_t first = window_.first_open(from, last);
    const std::uint64_t behind = window_.first_done(first, last);
    if (first == behind) break;
    if (!planted(PlantedFault::lost_erase)) {
      ::explicit_bzero(at(first * granule_), (behind - first) * granule_);
    }
    const std::uint64_t bytes = window_.drop(first, behind - first) * granule_;
    account_.left -= bytes;
    account_.discarded += bytes;
    from = behind;
  }
  check();
}

void StreamEnd::give_back(bool all) noexcept {
  if (ended_ || failed_) return;
  const std::uint64_t prefix = window_.done_prefix(usable_end() / granule_) * granule_;
  const std::uint64_t free = prefix - stream_->released;
  if (free == 0 || (!all && free < std::min(release_bytes, stream_->ring_bytes / 8))) return;
  window_.advance(prefix / granule_);
  ssn_key_stream_release(stream_, prefix);
}

void StreamEnd::end() noexcept {
  if (ended_) return;
  drop(window_.base() * granule_, usable_end());
  const std::uint64_t tail = end_ - usable_end();  // less than a granule
  if (!planted(PlantedFault::lost_erase)) {
    ::explicit_bzero(at(usable_end()), tail);
  }
  account_.left -= tail;
  account_.discarded += tail;
  ended_ = true;
  check();
  assert(account_.left == 0);
  stream_->next = std::max(stream_->next, end_);
  if (!failed_) ssn_key_stream_release(stream_, end_);
}

bool StreamEnd::audit() const noexcept {
  if (!account_.balanced()) return false;
  if (ended_) return account_.left == 0;
  const std::uint64_t open = window_.count_open(window_.base(), usable_end() / granule_ - window_.base());
  return account_.fetched == end_ && account_.left == open * granule_ + (end_ - usable_end());
}

}  // namespace ssn::protocol
