// SPDX-License-Identifier: BSD-3-Clause
// How long to wait after a failure: twice as long each time, within limits, some of it by chance so that two
// nodes do not meet again and again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace ssn::dataplane {

class BackOff {
 public:
  using Clock = std::chrono::steady_clock;

  BackOff(std::chrono::milliseconds least, std::chrono::milliseconds most, std::uint32_t seed)
      : least_(least), most_(most), chance_(seed) {}

  /// Something failed: when to try again.
  Clock::time_point failed(Clock::time_point now) {
    delay_ = delay_.count() == 0 ? least_ : std::min(most_, delay_ * 2);
    std::uniform_int_distribution<std::int64_t> part(0, std::max<std::int64_t>(delay_.count() / 2, 1));
    return now + delay_ + std::chrono::milliseconds(part(chance_));
  }
  void succeeded() noexcept { delay_ = std::chrono::milliseconds(0); }
  std::chrono::milliseconds delay() const noexcept { return delay_; }

 private:
  std::chrono::milliseconds least_;
  std::chrono::milliseconds most_;
  std::chrono::milliseconds delay_{0};
  std::minstd_rand chance_;
};

}  // namespace ssn::dataplane
