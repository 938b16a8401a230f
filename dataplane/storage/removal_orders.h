// SPDX-License-Identifier: BSD-3-Clause
// Orders to remove shares that a worker was given, until it says how they ended. An order or its end can get
// lost: a worker that comes to it late may have no room for it, or none to tell.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "types.h"

namespace ssn::dataplane {

/// Times are milliseconds of a clock that does not jump. Thread-safe.
class RemovalOrders {
 public:
  /// After this nobody waits for an order any more. It may be given again: what is gone is not removed twice.
  static constexpr std::uint64_t patience_ms = 60'000;

  /// Its token, which no other order ever has.
  std::uint64_t begin(const controller::ObjectKey& key, std::uint64_t now_ms);
  /// What it was about. Nothing: it has ended or was given up.
  std::optional<controller::ObjectKey> end(std::uint64_t token);
  /// Those that nobody waits for from now on, the oldest first.
  std::vector<controller::ObjectKey> give_up(std::uint64_t now_ms);

 private:
  struct Order {
    controller::ObjectKey key;
    std::uint64_t until_ms = 0;
  };

  std::mutex mutex_;
  std::map<std::uint64_t, Order> orders_;  // in the order of their ends, too
  std::uint64_t next_ = 1;
};

}  // namespace ssn::dataplane
