// SPDX-License-Identifier: BSD-3-Clause
// CLOCK_MONOTONIC at the price of reading the time stamp counter. Where the kernel answers clock_gettime
// without a system call that costs as much again as a whole empty walk; where it does not, the hot path must
// not ask.
#pragma once

#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace ssn::dataplane {

inline std::uint64_t monotonic_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

#if defined(__x86_64__)

/// Never goes back. One thread.
class WorkerClock {
 public:
  std::uint64_t read() noexcept {
    const std::uint64_t passed = __rdtsc() - base_.ticks;
    // Also where the counter was set back, or its rate is not yet known.
    if (passed >= interval_) [[unlikely]] {
      anchor();
    } else {
      const std::uint64_t ns = base_.ns + (passed * ns_per_tick_ >> 32U);  // below 2^59: passed < interval_
      last_ = ns > last_ ? ns : last_;
    }
    return last_;
  }

 private:
  struct Sample {
    std::uint64_t ticks = 0;
    std::uint64_t ns = 0;
  };

  // Both clocks at one time: of several tries the one that was interrupted least.
  static Sample sample() noexcept {
    Sample best;
    std::uint64_t best_gap = UINT64_MAX;
    for (int i = 0; i < 8 && best_gap > short_gap; ++i) {
      const std::uint64_t before = __rdtsc();
      const std::uint64_t ns = monotonic_ns();
      const std::uint64_t gap = __rdtsc() - before;
      if (gap < best_gap) {
        best_gap = gap;
        best = {before + gap / 2, ns};
      }
    }
    return best;
  }

  // Asks the kernel. The rate of the counter follows from all the time since the first sample.
  void anchor() noexcept {
    const Sample now = sample();
    const std::uint64_t ticks = now.ticks - first_.ticks;
    if (first_.ns == 0 || ticks >= std::uint64_t{1} << 62U) {
      first_ = now;
    } else if (now.ns - first_.ns >= settle_ns) {
      ns_per_tick_ = static_cast<std::uint64_t>(static_cast<double>(now.ns - first_.ns) /
                                                static_cast<double>(ticks) * 4294967296.0);
      interval_ = (anchor_ns << 32U) / (ns_per_tick_ | 1);
    }
    base_ = now;
    last_ = now.ns > last_ ? now.ns : last_;
  }

  static constexpr std::uint64_t short_gap = 1000;         // ticks
  static constexpr std::uint64_t settle_ns = 10'000'000;   // the rate is known well enough after that
  static constexpr std::uint64_t anchor_ns = 100'000'000;  // no more error than that brings

  Sample first_;
  Sample base_;
  std::uint64_t ns_per_tick_ = 0;  // 32.32
  std::uint64_t interval_ = 0;     // ticks after which the kernel is asked again
  std::uint64_t last_ = 0;
};

#else

class WorkerClock {
 public:
  std::uint64_t read() noexcept { return monotonic_ns(); }
};

#endif

}  // namespace ssn::dataplane
