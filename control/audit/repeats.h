// SPDX-License-Identifier: BSD-3-Clause
// Keeps a log from being flooded: of decisions that are alike the first ones within a while are written, the
// others counted, and the count is written when the while is over. Nothing is left out of the count.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "decision.h"

namespace ssn::audit {

/// One thread. Times are ms of a monotonic clock.
class Repeats {
 public:
  static constexpr std::uint64_t while_ms = 60'000;
  static constexpr unsigned refusals_each = 5;    ///< alike, that are written one by one
  static constexpr unsigned refusals_all = 200;   ///< of all kinds
  static constexpr std::size_t kinds_max = 1024;  ///< that are counted apart; others together

  /// Whether it is to be written by itself. `routine`: also where it is allowed, one says enough.
  bool take(const Decision& decision, bool routine, std::uint64_t now_ms);
  /// Counts whose while is over; `all`: of every one.
  std::vector<Decision> due(std::uint64_t now_ms, bool all = false);

 private:
  using Kind = std::tuple<bool, std::string, std::string, std::string, std::string>;
  struct Count {
    std::uint64_t since_ms = 0;
    unsigned written = 0;
    Decision last;
    std::uint64_t times = 0;
  };
  std::map<Kind, Count> counts_;
  std::uint64_t refusals_since_ms_ = 0;
  unsigned refusals_ = 0;  // written since then
};

}  // namespace ssn::audit
