// SPDX-License-Identifier: BSD-3-Clause
#include "removal_orders.h"

namespace ssn::dataplane {

std::uint64_t RemovalOrders::begin(const controller::ObjectKey& key, std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  orders_[next_] = {key, now_ms + patience_ms};
  return next_++;
}

std::optional<controller::ObjectKey> RemovalOrders::end(std::uint64_t token) {
  const std::lock_guard lock(mutex_);
  const auto found = orders_.find(token);
  if (found == orders_.end()) return std::nullopt;
  const controller::ObjectKey key = found->second.key;
  orders_.erase(found);
  return key;
}

std::vector<controller::ObjectKey> RemovalOrders::give_up(std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  std::vector<controller::ObjectKey> all;
  while (!orders_.empty() && orders_.begin()->second.until_ms <= now_ms) {
    all.push_back(orders_.begin()->second.key);
    orders_.erase(orders_.begin());
  }
  return all;
}

}  // namespace ssn::dataplane
