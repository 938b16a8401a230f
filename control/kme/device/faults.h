// SPDX-License-Identifier: BSD-3-Clause
// Faults that wait to hit something. Used by the thread of the model only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "device_model.h"

namespace ssn::kme {

inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(FaultKind::vanish) + 1;

class FaultPlan {
 public:
  using Clock = std::chrono::steady_clock;

  void add(const Fault& fault, Clock::time_point now) noexcept {
    const auto index = static_cast<std::size_t>(fault.kind);
    left_[index] = fault.count;
    until_[index] = now + fault.duration;
    waiting_ = true;
  }
  void clear() noexcept { *this = FaultPlan(); }

  /// Whether this event is to be hit; counts it.
  bool hits(FaultKind kind) noexcept {
    std::uint32_t& left = left_[static_cast<std::size_t>(kind)];
    if (left == 0) {
      return false;
    }
    --left;
    ++hit_;
    return true;
  }
  /// For faults with a duration.
  bool lasts(FaultKind kind, Clock::time_point now) const noexcept {
    return waiting_ && now < until_[static_cast<std::size_t>(kind)];
  }
  Clock::time_point until(FaultKind kind) const noexcept { return until_[static_cast<std::size_t>(kind)]; }
  /// False as long as nothing was ever planned: the one branch that a healthy device pays.
  bool waiting() const noexcept { return waiting_; }
  std::uint64_t hit() const noexcept { return hit_; }

 private:
  std::array<std::uint32_t, fault_kinds> left_{};
  std::array<Clock::time_point, fault_kinds> until_{};
  bool waiting_ = false;
  std::uint64_t hit_ = 0;
};

}  // namespace ssn::kme
