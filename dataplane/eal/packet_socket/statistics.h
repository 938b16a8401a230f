// SPDX-License-Identifier: BSD-3-Clause
// What a queue counts: one thread writes, any reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace ssn::dataplane {

class QueueCounter {
 public:
  void add(std::uint64_t more) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct ReceiveStatistics {
  QueueCounter packets, bytes;
  QueueCounter runs;       ///< frames that were several datagrams
  QueueCounter errors;     ///< frames that the kernel could not give
  QueueCounter no_memory;  ///< packets that there was no room for
};

struct SendStatistics {
  QueueCounter packets, bytes;
  QueueCounter runs;
  QueueCounter errors;  ///< packets that the kernel did not want, for good
};

}  // namespace ssn::dataplane
