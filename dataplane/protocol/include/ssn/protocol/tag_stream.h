// SPDX-License-Identifier: BSD-3-Clause
// A streams: the keys of tags.
//
//   block b, 16 + 2^24 bytes:  hash key r | mask of packet b*2^20 | mask of packet b*2^20 + 1 | ...
//
// Where a mask lies follows from the packet number. Packet numbers are never reused, so neither is a mask;
// a number whose packet was never sent takes its mask with it. The ring may be far smaller than a block: when
// a block begins, r is moved out of the ring into locked memory as an expanded key (TagKey), and masks pass
// through the ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/stream_end.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::protocol {

inline constexpr std::uint64_t mask_bytes = 16;
inline constexpr std::uint64_t hash_key_bytes = 16;
inline constexpr unsigned block_packets_log2 = 20;
/// Packets that share a hash key.
inline constexpr std::uint64_t block_packets = std::uint64_t{1} << block_packets_log2;
inline constexpr std::uint64_t tag_block_bytes = hash_key_bytes + block_packets * mask_bytes;
/// Packet numbers end here, long before offsets overflow.
inline constexpr std::uint64_t packet_number_end = std::uint64_t{1} << 56;

/// Where the hash key of a packet's block lies in the A stream.
constexpr std::uint64_t hash_key_offset(std::uint64_t packet) noexcept {
  return (packet >> block_packets_log2) * tag_block_bytes;
}
/// Where the mask of a packet lies in the A stream.
constexpr std::uint64_t mask_offset(std::uint64_t packet) noexcept {
  return hash_key_offset(packet) + hash_key_bytes + (packet & (block_packets - 1)) * mask_bytes;
}
/// The first packet whose mask lies at or above `offset`.
constexpr std::uint64_t packet_at(std::uint64_t offset) noexcept {
  const std::uint64_t within = offset % tag_block_bytes;
  const std::uint64_t index =
      within <= hash_key_bytes ? 0 : (within - hash_key_bytes + mask_bytes - 1) / mask_bytes;
  return offset / tag_block_bytes * block_packets + index;
}

/// The expanded keys of two successive blocks, in locked memory.
class TagKeys {
 public:
  /// What the memory that is given to the constructor must hold at least; any alignment.
  static constexpr std::size_t memory_bytes =
      2 * sizeof(kernels::TagKey) + alignof(kernels::TagKey) + 2 * hash_key_bytes;

  /// `memory` was made with Locking::required (asserted) and outlives this object.
  TagKeys(const kernels::Implementation& implementation, hw::SecretBuffer& memory);
  TagKeys(const TagKeys&) = delete;
  TagKeys& operator=(const TagKeys&) = delete;
  ~TagKeys();

  bool has(std::uint64_t block) const noexcept { return block_[block & 1] == block; }
  const kernels::TagKey& key(std::uint64_t block) const noexcept;
  /// As it came: for a device that expands it in its own way.
  const std::uint8_t* hash_key(std::uint64_t block) const noexcept;
  void set(std::uint64_t block, std::span<const std::uint8_t, hash_key_bytes> r) noexcept;
  void erase() noexcept;

 private:
  const kernels::Implementation* implementation_;
  kernels::TagKey* keys_;
  std::uint8_t* hash_keys_;  // behind them
  std::uint64_t block_[2] = {UINT64_MAX, UINT64_MAX};
};

/// Successive packet numbers of one block, from take() to finish() or discard(), exactly one of them.
struct TagBurst {
  std::uint64_t first = 0;  ///< packet number
  std::uint32_t count = 0;
  std::uint8_t* masks = nullptr;         ///< count * 16 bytes in the ring; a tag may be computed in place
  const kernels::TagKey* key = nullptr;  ///< of their block; valid until finish() or discard()
};

/// The one sender of an A stream: gives out packet numbers with what their tags need.
class TagSender : public StreamEnd {
 public:
  /// `stream` was just opened as SSN_KEY_SENDER; its ring holds at least 4 KiB. `memory`: see TagKeys.
  TagSender(ssn_key_stream& stream, StreamMarks& marks, const kernels::Implementation& implementation,
            hw::SecretBuffer& memory);

  /// Takes the next packet numbers: 1..most of them, fewer where the block or what was delivered ends.
  Take take(std::uint32_t most, TagBurst& burst) noexcept;
  /// Takes runs of `each` successive packet numbers of one block: 1..most of them. Numbers at the end of a
  /// block that hold no run are discarded.
  Take take_runs(std::uint32_t each, std::uint32_t most, TagBurst& burst) noexcept;
  /// The hash key of a burst's block.
  const std::uint8_t* hash_key(const TagBurst& burst) const noexcept {
    return keys_.hash_key(burst.first >> block_packets_log2);
  }
  /// The tags are made: erases the masks.
  void finish(const TagBurst& burst) noexcept;
  /// The packets will not be sent. Their numbers are not given out again.
  void discard(const TagBurst& burst) noexcept;

  /// The next packet number.
  std::uint64_t next() const noexcept { return next_; }
  void end() noexcept;

 private:
  Take begin_block(std::uint64_t block) noexcept;
  Take ready(std::uint32_t least, std::uint64_t& count) noexcept;

  StreamMarks* marks_;
  TagKeys keys_;
  std::uint64_t next_ = 0;
};

/// The receiving end of an A stream. Knows which packet numbers were seen: its window is the replay window.
class TagReceiver : public StreamEnd {
 public:
  /// `stream` was just opened as SSN_KEY_RECEIVER. Packets up to `window` numbers behind the highest are
  /// still accepted: 64 <= window <= 2^19, and the ring holds at least twice as many masks.
  TagReceiver(ssn_key_stream& stream, StreamMarks& marks, const kernels::Implementation& implementation,
              hw::SecretBuffer& memory, std::uint64_t window);

  enum ssn_status poll() noexcept;
  /// What is needed to check the tag of a packet. Nothing that a forger could see or want changes: at most
  /// the hash key of the packet's block is moved from the ring to locked memory. Found::ready: fresh; `mask`
  /// is its mask and `key` its key. already_opened: seen before. pad_gone: behind the window, or given up.
  /// not_yet: beyond what was delivered. invalid: no packet number.
  Found find(std::uint64_t packet, const std::uint8_t*& mask, const kernels::TagKey*& key) noexcept;
  /// Of `most` >= 1 packets one after another: how many from the first one on are fresh and can be checked
  /// with one key. Their masks are contiguous from `masks` on. Changes what find() changes; 0 says no more
  /// than that find() knows why.
  std::uint32_t find_run(std::uint64_t packet, std::uint32_t most, const std::uint8_t*& masks,
                         const kernels::TagKey*& key) noexcept;
  /// The key of a packet that was accepted, to judge a second one with its number; null: no longer held.
  const kernels::TagKey* held_key(std::uint64_t packet) const noexcept {
    const std::uint64_t block = packet >> block_packets_log2;
    return !ended() && keys_.has(block) ? &keys_.key(block) : nullptr;
  }
  /// The packet was found ready and its tag was right: erases the mask, so that the number is not accepted
  /// again, and moves the window.
  void accept(std::uint64_t packet) noexcept;
  /// The same for `count` >= 1 packets as in find_run().
  void accept_run(std::uint64_t packet, std::uint32_t count) noexcept;
  /// Whether packets that find_run() found are all fresh yet.
  bool fresh(std::uint64_t packet, std::uint32_t count) const noexcept {
    const std::uint64_t first = mask_offset(packet) / mask_bytes;
    return !ended() && packet >= floor_ && first >= window_.base() && window_.all_open(first, count);
  }
  /// As accept_run(), where only `used` of the packets were accepted, the last of them being number `last`
  /// (from 0), and the others are not wanted any more.
  void accept_some(std::uint64_t packet, std::uint32_t count, std::uint32_t used,
                   std::uint32_t last) noexcept;
  /// The hash key of a packet whose key is held.
  const std::uint8_t* hash_key(std::uint64_t packet) const noexcept {
    return keys_.hash_key(packet >> block_packets_log2);
  }
  /// The sender sends nothing below `packet` any more: discards those masks.
  void discard_below(std::uint64_t packet) noexcept;

  /// Packets below this can be checked once they are delivered: the ring has room. Only grows.
  std::uint64_t credit() const noexcept;
  /// The highest number accepted, plus one.
  std::uint64_t seen() const noexcept { return seen_; }
  /// Numbers below are no longer accepted.
  std::uint64_t floor() const noexcept { return floor_; }
  void end() noexcept;

 private:
  bool load_key(std::uint64_t block) noexcept;
  void note_seen(std::uint64_t packet) noexcept;
  void drop_below_floor() noexcept;

  StreamMarks* marks_;
  TagKeys keys_;
  std::uint64_t span_;
  std::uint64_t floor_ = 0;
  std::uint64_t seen_ = 0;
  std::uint64_t dropped_ = 0;  // offset; everything below is done with
};

}  // namespace ssn::protocol
