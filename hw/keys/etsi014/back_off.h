// SPDX-License-Identifier: BSD-3-Clause
// How long to wait after a failure: doubled with each one, with jitter so that many clients, or both ends of
// a link, do not come back together.
#pragma once

#include <algorithm>
#include <cstdint>

#include "types.h"

namespace ssn::hw::etsi014 {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): to spread retries, never for secrets.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// From half of `wait` to all of it, at least 1.
  Time spread(Time wait) noexcept {
    const auto half = static_cast<std::uint64_t>(wait / 2);
    return std::max<Time>(1, wait - static_cast<Time>(next() % (half + 1)));
  }

 private:
  std::uint64_t state_;
};

class BackOff {
 public:
  BackOff(Time least, Time most) : least_(least), most_(most) {}
  /// How long to wait after one more failure.
  Time failed(Jitter& jitter) noexcept {
    const Time wait = std::min(most_, least_ << std::min(failures_, 20U));
    ++failures_;
    return jitter.spread(wait);
  }
  void succeeded() noexcept { failures_ = 0; }
  unsigned failures() const noexcept { return failures_; }

 private:
  Time least_, most_;
  unsigned failures_ = 0;
};

}  // namespace ssn::hw::etsi014
