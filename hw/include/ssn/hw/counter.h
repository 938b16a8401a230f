// SPDX-License-Identifier: BSD-3-Clause
// A number that one thread writes and others read, without a locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace ssn::hw {

class Counter {
 public:
  void add(std::uint64_t amount) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace ssn::hw
