// SPDX-License-Identifier: BSD-3-Clause
// A bounded queue of commands from any number of threads to one. Neither side locks, allocates or makes a
// system call.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ssn::dataplane {

struct Command {
  void (*run)(void* argument) = nullptr;
  void* argument = nullptr;  ///< must live until the command has run
};

/// The place of a command among all that were posted, from 1.
using Ticket = std::uint64_t;

/// D. Vyukov's bounded queue: each place has a sequence number that says whose turn it is.
template <std::size_t size>
class Inbox {
  static_assert(size >= 2 && (size & (size - 1)) == 0);

 public:
  Inbox() noexcept {
    for (std::size_t i = 0; i < size; ++i) {
      places_[i].turn.store(i, std::memory_order_relaxed);
    }
  }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// Any thread. 0: full.
  Ticket post(Command command) noexcept {
    std::uint64_t next = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Place& place = places_[next & (size - 1)];
      const std::uint64_t turn = place.turn.load(std::memory_order_acquire);
      if (turn == next) {
        if (tail_.compare_exchange_weak(next, next + 1, std::memory_order_relaxed)) {
          place.command = command;
          place.turn.store(next + 1, std::memory_order_release);
          return next + 1;
        }
      } else if (turn < next) {
        return 0;
      } else {
        next = tail_.load(std::memory_order_relaxed);
      }
    }
  }

  /// The one consumer. False: nothing there. After it has run the command it calls done().
  bool take(Command& command) noexcept {
    Place& place = places_[head_ & (size - 1)];
    if (place.turn.load(std::memory_order_acquire) != head_ + 1) {
      return false;
    }
    command = place.command;
    place.turn.store(head_ + size, std::memory_order_release);
    ++head_;
    return true;
  }
  void done() noexcept { done_.store(head_, std::memory_order_release); }

  /// Any thread. What the command did is visible then.
  bool is_done(Ticket ticket) const noexcept { return done_.load(std::memory_order_acquire) >= ticket; }
  /// The one consumer: cheap, may miss what is just being posted.
  bool is_empty() const noexcept {
    return places_[head_ & (size - 1)].turn.load(std::memory_order_acquire) != head_ + 1;
  }

 private:
  struct Place {
    std::atomic<std::uint64_t> turn{0};
    Command command;
  };

  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::uint64_t head_ = 0;
  std::atomic<std::uint64_t> done_{0};
  alignas(64) std::array<Place, size> places_;
};

}  // namespace ssn::dataplane
