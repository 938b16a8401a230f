// SPDX-License-Identifier: BSD-3-Clause
// A bounded queue of values from a worker to a control thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

namespace ssn::dataplane {

/// One thread on each side. Neither locks, allocates or waits.
template <typename T, std::size_t size>
class EventQueue {
  static_assert(size >= 2 && (size & (size - 1)) == 0);

 public:
  /// False: full.
  bool push(const T& value) noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == size) return false;
    values_[tail & (size - 1)] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  bool pop(T& value) noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    value = values_[head & (size - 1)];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

 private:
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::atomic<std::size_t> head_{0};
  std::array<T, size> values_{};
};

}  // namespace ssn::dataplane
