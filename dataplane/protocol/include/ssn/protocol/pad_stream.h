// SPDX-License-Identifier: BSD-3-Clause
// D streams: pads for data, cells and shares.
//
// A D stream has one sender. Its cursor only grows, ranges are named by explicit offsets, and each byte
// serves once. Ranges begin at multiples of 64 bytes and take whole 64-byte granules; what rounding leaves
// over is discarded at both ends.
//
// Who copies: sealing reads the pad in the ring and writes the ciphertext into the caller's packet; then
// use() erases the range. (Sealing in place in the ring and copying the ciphertext out is as correct: use()
// erases whatever lies there.) Nothing outside the ring ever holds pad bytes, but for keep orders, whose
// bytes become share bytes in the caller's memory for secrets. A retransmission sends the ciphertext that was
// kept; there is no way to get a range twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ssn/protocol/stream_end.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::protocol {

/// Ranges of D streams begin at multiples of this and take whole ones.
inline constexpr std::uint64_t pad_granule = 64;
/// Longest range: a keep order's (DESIGN par. 5). Also at most a quarter of the ring.
inline constexpr std::uint32_t pad_range_max = 256 * 1024;

/// A range of a sender's stream, from reserve() to use(), keep(), mask() or discard(), exactly one of them.
struct PadRange {
  std::uint8_t* pad = nullptr;  ///< contiguous in the ring
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

/// The one sender of a D stream.
class PadSender : public StreamEnd {
 public:
  /// `stream` was just opened as SSN_KEY_SENDER. `marks` is the ledger's for this stream. Also for
  /// SSN_KEY_RANDOM, whose bytes are taken, erased and accounted for like pads: then nothing is written
  /// ahead, and `marks` grants everything.
  PadSender(ssn_key_stream& stream, StreamMarks& marks);

  /// Longest range that this stream can give.
  std::uint32_t longest() const noexcept { return longest_; }
  /// Takes the next range of 1..longest() bytes.
  Take reserve(std::uint32_t length, PadRange& range) noexcept;
  /// Takes ranges of `length` bytes each until `ranges` is full; returns how many. `why` says what stopped
  /// it.
  std::size_t reserve_burst(std::uint32_t length, std::span<PadRange> ranges, Take& why) noexcept;

  /// Takes `count` ranges of `length` bytes each, one behind the other, or none of them. `first` is the first
  /// one; range i begins i * round_up(length) behind it.
  Take reserve_run(std::uint32_t length, std::uint32_t count, PadRange& first) noexcept;

  /// The ciphertext is made: erases the pad.
  void use(const PadRange& range) noexcept;
  /// As use() and discard() for ranges that one reserve_run() gave, or for a part of them.
  void use_run(const PadRange& first, std::uint32_t count) noexcept;
  void discard_run(const PadRange& first, std::uint32_t count) noexcept;
  /// As use() for ranges that one reserve_burst() gave, whose pads the caller has erased while it sealed.
  void use_erased(std::span<const PadRange> ranges) noexcept;
  /// Keep order: the pad becomes a share. Copies it to `share` (memory for secrets, range.length bytes) and
  /// erases it here.
  void keep(const PadRange& range, std::span<std::uint8_t> share) noexcept;
  /// Mask order: the pad becomes a mask that both ends hold. As keep(), counted as used.
  void mask(const PadRange& range, std::span<std::uint8_t> mask) noexcept;
  /// The range will not be used: abandoned write, failed offload. It is never a pad again.
  void discard(const PadRange& range) noexcept;

  /// Where the next range will begin.
  std::uint64_t next() const noexcept { return stream_->next; }
  /// Bytes that can be taken now, as far as device and ledger go.
  std::uint64_t available() const noexcept;
  /// ok, or why `whole` bytes, a multiple of the granule, cannot be taken now.
  Take can_take(std::uint64_t whole) const noexcept { return why_not(stream_->next + whole, *marks_); }

 private:
  void copy_out(const PadRange& range, std::span<std::uint8_t> out,
                std::uint64_t KeyAccount::* column) noexcept;

  StreamMarks* marks_;
  std::uint32_t longest_;
};

/// What a receiver knows of a range that a packet names.
enum class Found : std::uint8_t {
  ready,           ///< the pad is here
  not_yet,         ///< the device has not delivered it yet
  already_opened,  ///< all of it was opened or kept: acknowledge again, do not decrypt
  pad_gone,        ///< it was discarded, or will never be delivered
  overlap,         ///< part of it was opened: no honest sender does that
  too_old,         ///< further back than is remembered; it was done with
  invalid,         ///< no range: empty, too long, not aligned, or beyond all numbers
};

/// The receiving end of a D stream: opens ranges in any order, each byte at most once.
class PadReceiver : public StreamEnd {
 public:
  /// `stream` was just opened as SSN_KEY_RECEIVER. `marks` is told the highest offset seen.
  PadReceiver(ssn_key_stream& stream, StreamMarks& marks);

  std::uint32_t longest() const noexcept { return longest_; }
  /// Changes nothing, so that a forged packet does not either. With Found::ready `pad` is the range,
  /// contiguous; check the tag before opening with it, then call open(), keep(), mask() or discard().
  Found find(std::uint64_t offset, std::uint32_t length, std::uint8_t*& pad) const noexcept;

  /// Of `most` >= 1 ranges of `length` bytes one after another, as rounding lays them: how many from the
  /// first one on are ready. They are contiguous from `pads` on. Changes nothing; 0 says no more than that
  /// find() knows why.
  std::uint32_t find_run(std::uint64_t offset, std::uint32_t length, std::uint32_t most,
                         std::uint8_t*& pads) const noexcept;

  /// Whether `bytes` bytes, a multiple of the granule, as is `offset`, are all ready; as find_run(), but all
  /// or nothing, and faster.
  bool ready(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    const std::uint64_t first = offset / pad_granule;
    return !ended() && first >= window_.base() && bytes <= usable_end() && offset <= usable_end() - bytes &&
           window_.all_open(first, bytes / pad_granule);
  }
  /// Of what is ready.
  std::uint8_t* pad_at(std::uint64_t offset) const noexcept { return at(offset); }

  /// The range was found ready, its tag was right, and it is opened: erases the pad.
  void open(std::uint64_t offset, std::uint32_t length) noexcept;
  /// As open() of `count` ranges as in find_run(), where the caller has erased the pads while it opened.
  void open_erased(std::uint64_t offset, std::uint32_t length, std::uint32_t count = 1) noexcept;
  /// Of `count` ranges as in find_run(), all of them ready, `used` were opened, the last of them being number
  /// `last` (from 0). The others never will be. Erases all.
  void open_some(std::uint64_t offset, std::uint32_t length, std::uint32_t count, std::uint32_t used,
                 std::uint32_t last) noexcept;
  /// Keep order: as PadSender::keep.
  void keep(std::uint64_t offset, std::span<std::uint8_t> share) noexcept;
  /// Mask order: as PadSender::mask.
  void mask(std::uint64_t offset, std::span<std::uint8_t> mask) noexcept;
  /// The range will never be opened (the sender gave it up, or time did): erases what is not yet done with of
  /// it, and of it only what was delivered. Such a packet finds pad_gone from now on. Returns bytes
  /// discarded.
  std::uint64_t discard(std::uint64_t offset, std::uint64_t length) noexcept;
  /// The sender has nothing outstanding below `offset`: discards all holes there. Returns bytes discarded.
  std::uint64_t discard_below(std::uint64_t offset) noexcept;

  /// A sender may use offsets below this: the ring has room for them. Only grows.
  std::uint64_t credit() const noexcept { return stream_->released + stream_->ring_bytes; }
  /// The highest offset of which a byte was opened or kept, plus one.
  std::uint64_t seen() const noexcept { return seen_; }

 private:
  void done(std::uint64_t offset, std::uint64_t length, std::uint64_t KeyAccount::* column) noexcept;
  void note_seen(std::uint64_t behind) noexcept;

  StreamMarks* marks_;
  std::uint32_t longest_;
  std::uint64_t seen_ = 0;
};

}  // namespace ssn::protocol
