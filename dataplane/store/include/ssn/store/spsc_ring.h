// SPDX-License-Identifier: BSD-3-Clause
// A bounded ring of pointers between exactly one producer and one consumer thread.
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <memory>

namespace ssn::store {

/// No lock, no allocation after construction. What push() saw written, pop() sees.
template <typename T>
class SpscRing {
 public:
  /// `capacity`: a power of two.
  explicit SpscRing(std::size_t capacity) : mask_(capacity - 1), slots_(new T*[capacity]()) {
    assert(std::has_single_bit(capacity));
  }
  std::size_t capacity() const noexcept { return mask_ + 1; }

  /// Producer. False: full.
  bool push(T* item) noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - seen_head_ > mask_) {
      seen_head_ = head_.load(std::memory_order_acquire);
      if (tail - seen_head_ > mask_) return false;
    }
    slots_[tail & mask_] = item;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// Consumer. Null: empty.
  T* pop() noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == seen_tail_) {
      seen_tail_ = tail_.load(std::memory_order_acquire);
      if (head == seen_tail_) return nullptr;
    }
    T* const item = slots_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return item;
  }
  /// Any thread; exact on neither side while the other works.
  std::size_t size() const noexcept {
    const std::size_t head = head_.load(std::memory_order_acquire);
    return tail_.load(std::memory_order_acquire) - head;
  }

 private:
  const std::size_t mask_;
  const std::unique_ptr<T*[]> slots_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::size_t seen_head_ = 0;  // the producer's
  alignas(64) std::atomic<std::size_t> head_{0};
  std::size_t seen_tail_ = 0;  // the consumer's
};

}  // namespace ssn::store
