// SPDX-License-Identifier: BSD-3-Clause
// What all four ends of key streams (sender and receiver of D and A) have in common: the device's ring, the
// window of what is done with, the account, erasing and giving back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/key_device.h"
#include "ssn/protocol/key_account.h"
#include "ssn/protocol/range_window.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::protocol {

/// Why a sender gave nothing or less.
enum class Take : std::uint8_t {
  ok,
  shortage,           ///< the key manager has not delivered as much: the shortage policy decides
  not_written_ahead,  ///< the ledger is behind: try again when it has caught up
  busy,               ///< too much is taken and not yet done with, or was when the device was last asked
  ended,              ///< nothing more will ever come from this stream
};

/// One thread at a time, the one that owns the stream. Nothing here allocates after construction. The stream
/// and its ring outlive this object; nobody else moves the stream's cursors.
class StreamEnd {
 public:
  StreamEnd(const StreamEnd&) = delete;
  StreamEnd& operator=(const StreamEnd&) = delete;

  /// Takes in what the device delivered. SSN_OK, SSN_AGAIN (nothing new), or SSN_FAILED: nothing more will
  /// come; what was delivered stays good. Also SSN_FAILED when a driver moved the end of the stream where it
  /// cannot be: that delivery is not used.
  enum ssn_status poll() noexcept;

  /// Gives the prefix that is done with back to the device, once it is worth a doorbell (or `all` of it):
  /// that is the device's credit. Call once a burst.
  void give_back(bool all = false) noexcept;

  /// Erases everything that is left and discards it; nothing can be taken or opened any more. Ranges that
  /// are still held become invalid. Idempotent.
  void end() noexcept;
  bool ended() const noexcept { return ended_; }

  std::uint64_t ring_bytes() const noexcept { return stream_->ring_bytes; }
  /// Delivered bytes end here.
  std::uint64_t delivered() const noexcept { return end_; }
  /// Everything below was given back.
  std::uint64_t released() const noexcept { return stream_->released; }
  const KeyAccount& account() const noexcept { return account_; }
  /// Counts the window's bits and compares; for tests and after the end. The counters of every operation are
  /// asserted anyway.
  bool audit() const noexcept;

 protected:
  /// `granule`: a power of two; ranges begin at multiples of it and take whole ones.
  StreamEnd(ssn_key_stream& stream, std::uint64_t granule);
  /// Erases what is left: no end of a stream leaves key bytes behind.
  ~StreamEnd();

  /// Sender's: whether everything below `until` may be taken now.
  Take why_not(std::uint64_t until, const StreamMarks& marks) const noexcept;
  std::uint64_t round_up(std::uint64_t length) const noexcept {
    return (length + granule_ - 1) & ~(granule_ - 1);
  }
  /// Whole granules were delivered up to here.
  std::uint64_t usable_end() const noexcept { return end_ & ~(granule_ - 1); }
  std::uint8_t* at(std::uint64_t offset) const noexcept {
    return stream_->ring + (offset & (stream_->ring_bytes - 1));
  }
  /// Erases [offset, offset + round_up(length)) and counts `length` bytes as `column`, the rest as discarded.
  /// Asserts that all of it was open.
  void finish(std::uint64_t offset, std::uint64_t length, std::uint64_t KeyAccount::* column) noexcept;
  /// As finish() for `count` ranges of `length` bytes one after another, of which the caller has erased all
  /// but what rounding leaves over.
  void finish_erased(std::uint64_t offset, std::uint64_t length, std::uint64_t count,
                     std::uint64_t KeyAccount::* column) noexcept;
  /// As finish_erased(), where only `used` of the ranges served, and the others are discarded; all is erased.
  void finish_some(std::uint64_t offset, std::uint64_t length, std::uint64_t count,
                   std::uint64_t used) noexcept;
  /// As finish() for one granule, fast.
  void finish_one(std::uint64_t offset, std::uint64_t KeyAccount::* column) noexcept;
  /// Erases and discards what is still open of [offset, limit); whole granules.
  void drop(std::uint64_t offset, std::uint64_t limit) noexcept;
  void check() const noexcept;

  ssn_key_stream* stream_;
  RangeWindow window_;
  std::uint64_t granule_;
  std::uint64_t end_ = 0;        // delivered and believed
  std::uint64_t room_from_ = 0;  // what was released when the device was last asked
  bool ended_ = false;
  bool failed_ = false;  // the driver broke the interface: no more calls to it
  KeyAccount account_;
};

}  // namespace ssn::protocol
