// SPDX-License-Identifier: BSD-3-Clause
// What the sessions of an SSA share: the connections to holders and owners, memory, counters, events.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <vector>

#include "ssn/protocol/channel.h"
#include "ssn/roles/ssa.h"

namespace ssn::roles {

/// A queue of a fixed length.
template <typename T>
class FixedQueue {
 public:
  explicit FixedQueue(std::size_t most = 0) : places_(most) {}
  bool empty() const noexcept { return count_ == 0; }
  bool full() const noexcept { return count_ == places_.size(); }
  std::size_t size() const noexcept { return count_; }
  bool push(const T& value) noexcept {
    if (full()) return false;
    places_[(first_ + count_) % places_.size()] = value;
    ++count_;
    return true;
  }
  const T& operator[](std::size_t at) const noexcept { return places_[(first_ + at) % places_.size()]; }
  void pop(std::size_t count = 1) noexcept {
    assert(count <= count_);
    if (count == 0) return;
    first_ = (first_ + count) % places_.size();
    count_ -= count;
  }
  void clear() noexcept { first_ = count_ = 0; }

 private:
  std::vector<T> places_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

/// How fast a holder answers reads, and whether it does.
class AnswerTime {
 public:
  void note(std::uint64_t sample_ns) noexcept;
  /// It was late: it counts as slower, until it proves the opposite.
  void note_late(std::uint64_t waited_ns) noexcept;
  std::uint64_t smoothed_ns() const noexcept { return smoothed_ns_; }
  std::uint64_t late_ns(const SsaOptions& options) const noexcept;

 private:
  std::uint64_t smoothed_ns_ = 1'000'000;
  std::uint64_t variation_ns_ = 500'000;
};

struct HolderLink {
  protocol::Channel* channel = nullptr;
  std::uint64_t since_ns = 0;        ///< that it has a connection, or has none
  std::uint64_t shaky_until_ns = 0;  ///< it was late: not counted on before that
  std::uint32_t late_times = 0;      ///< how often in a row
  bool mute = false;                 ///< and said nothing for far longer: not even a check waits for it
  std::uint32_t asked = 0;           ///< cells that reads wait for
  AnswerTime answers;
};

struct OwnerLink {
  protocol::Channel* channel = nullptr;
  std::uint32_t told_credit = UINT32_MAX;
};

class EventQueue {
 public:
  static constexpr std::size_t most = 256;
  void push(const SsaEvent& event, SsaCounters& counters) noexcept {
    if (!queue_.push(event)) ++counters.events_lost;
  }
  std::size_t take(std::span<SsaEvent> out) noexcept;

 private:
  FixedQueue<SsaEvent> queue_{most};
};

struct SsaContext {
  const SsaOptions* options = nullptr;
  const kernels::Implementation* kernels = nullptr;
  protocol::PacketPool* pool = nullptr;
  RandomBlocks* random = nullptr;
  std::vector<HolderLink> holders;
  std::vector<OwnerLink> owners;
  std::uint16_t holders_end = 0;  // behind the last number that was ever used
  std::uint16_t owners_end = 0;
  SsaCounters counters;
  EventQueue events;
  std::uint32_t writers = 0;  // writes that expect blocks
  std::uint32_t readers = 0;  // reads with batches, or requests that wait for them
};

/// What a share that was sent is known by when its Channel says what became of it.
struct ShareToken {
  SsaSession session = 0;  ///< slot in the low 10 bits
  std::uint8_t attempt = 0;
  std::uint32_t cell = 0;
};
inline constexpr unsigned slot_bits = 10;
inline constexpr std::uint32_t life_mask = 0x1fff;  // of a session, in tokens

constexpr std::uint32_t slot_of(SsaSession session) noexcept { return session & ((1U << slot_bits) - 1); }
constexpr std::uint64_t token_of(SsaSession session, std::uint16_t attempt, std::uint32_t cell) noexcept {
  return std::uint64_t{session & ((1U << slot_bits) - 1)} << 53 |
         std::uint64_t{session >> slot_bits & life_mask} << 40 | std::uint64_t{attempt & 0xffU} << 32 | cell;
}
constexpr bool token_is_of(std::uint64_t token, SsaSession session) noexcept {
  return (token >> 40 & life_mask) == (session >> slot_bits & life_mask);
}
constexpr std::uint32_t slot_of_token(std::uint64_t token) noexcept {
  return static_cast<std::uint32_t>(token >> 53);
}

}  // namespace ssn::roles
