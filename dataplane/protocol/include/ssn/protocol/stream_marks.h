// SPDX-License-Identifier: BSD-3-Clause
// What the worker that owns one end of a key stream and the thread that keeps the ledger tell each other: two
// numbers, without lock or system call.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>

namespace ssn::protocol {

/// The sender of a stream may use offsets below granted() only: the ledger has them on disk as "possibly
/// used" by then. Both numbers only grow, until revoke().
class alignas(64) StreamMarks {
 public:
  /// Worker: everything below `offset` was taken (sender) or some byte below it was seen (receiver).
  void advance(std::uint64_t offset) noexcept { progress_.store(offset, std::memory_order_relaxed); }
  /// Worker of a sender.
  std::uint64_t granted() const noexcept { return granted_.load(std::memory_order_acquire); }

  /// Ledger.
  std::uint64_t progress() const noexcept { return progress_.load(std::memory_order_relaxed); }
  /// Ledger: `offset` is durable.
  void grant(std::uint64_t offset) noexcept {
    assert(offset >= granted_.load(std::memory_order_relaxed));
    granted_.store(offset, std::memory_order_release);
  }
  /// Ledger: the epoch ended, or the ledger can no longer be written. Nothing more is taken.
  void revoke() noexcept { granted_.store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<std::uint64_t> granted_{0};
};

}  // namespace ssn::protocol
