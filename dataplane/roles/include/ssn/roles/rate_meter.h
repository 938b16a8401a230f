// SPDX-License-Identifier: BSD-3-Clause
// Limits of rate: a token bucket with one rate and a committed burst (RFC 2697) that paces. What does not fit
// is not marked or dropped: it is told when it fits, and waits.
//
//   RateMeter   what an owner, or a class, may move; all its sessions, at all workers, share it
//   Pacer       one session's part of it, at one worker
//
// Fair by construction: a session has at most one reservation at a time, and reservations come due in the
// order in which they were made, so those that want more than there is take turns. Where nobody waits nothing
// is lost to anybody. No lock, no allocation, no clock; rte_meter is not used because its state is one
// thread's, and because it says which color a packet has, not when its turn is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ssn::roles {

/// Of payload; bytes a second.
struct Rate {
  std::uint64_t bytes_per_second = 0;  ///< 0: no limit
  std::uint64_t burst_bytes = 0;       ///< that may come at once after a pause; 0: what 100 ms are worth
  bool operator==(const Rate&) const = default;
};

/// Any thread. All of its users have one clock.
class RateMeter {
 public:
  /// From the next reservation on; what was reserved keeps its time.
  void set(const Rate& rate) noexcept;
  bool limited() const noexcept { return rate_.load(std::memory_order_relaxed) != 0; }
  std::uint64_t bytes_per_second() const noexcept { return rate_.load(std::memory_order_relaxed); }
  std::uint64_t burst_bytes() const noexcept { return burst_.load(std::memory_order_relaxed); }

  /// From when on so many bytes may move: `now`, or later. They are taken.
  std::uint64_t reserve(std::uint64_t bytes, std::uint64_t now_ns) noexcept;
  /// Nothing of it is taken: forgetting it makes no difference.
  bool is_full(std::uint64_t now_ns) const noexcept;

  /// That were reserved while there was a limit.
  std::uint64_t reserved_bytes() const noexcept { return reserved_bytes_.load(std::memory_order_relaxed); }
  /// Reservations that had to wait, and how long, all in all.
  std::uint64_t waits() const noexcept { return waits_.load(std::memory_order_relaxed); }
  std::uint64_t waited_ns() const noexcept { return waited_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> rate_{0};
  std::atomic<std::uint64_t> burst_{0};
  std::atomic<std::uint64_t> depth_ns_{0};  // what the burst is worth
  std::atomic<std::uint64_t> taken_ns_{0};  // all tokens up to then are taken
  std::atomic<std::uint64_t> reserved_bytes_{0};
  std::atomic<std::uint64_t> waits_{0};
  std::atomic<std::uint64_t> waited_ns_{0};
};

/// Those of an owner and of a class, either may be null. They outlive the session.
using SessionMeters = std::array<RateMeter*, 2>;

/// One thread's.
class Pacer {
 public:
  /// Blocks are reserved together, so that a peer is told of several at once: a credit of one is not news.
  static constexpr std::uint32_t least_blocks = 4;
  static constexpr std::uint32_t most_blocks = 64;

  Pacer(const SessionMeters& meters, std::uint32_t block_bytes) noexcept
      : meters_(meters), block_bytes_(block_bytes) {}

  bool limited() const noexcept;
  /// Takes what has come due, and reserves until `wanted` blocks may move, or something must be waited for.
  /// Nothing without a limit.
  void refill(std::int64_t wanted, std::uint64_t now_ns) noexcept;
  /// That may move now. Below 0: that moved before a limit was set, and are paid for first.
  std::int64_t balance() const noexcept { return balance_; }
  void took(std::uint32_t blocks) noexcept { balance_ -= blocks; }
  /// How many it makes sense to have in advance.
  std::int64_t ahead() const noexcept;
  /// When refill() has something; UINT64_MAX: nothing was reserved.
  std::uint64_t due_ns() const noexcept { return coming_ != 0 ? due_ns_ : UINT64_MAX; }

 private:
  std::uint32_t quantum() const noexcept;

  SessionMeters meters_;
  std::uint32_t block_bytes_;
  std::uint32_t coming_ = 0;  // reserved, due at due_ns_
  std::int64_t balance_ = 0;
  std::uint64_t due_ns_ = 0;
};

}  // namespace ssn::roles
