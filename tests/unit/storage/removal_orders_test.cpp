// SPDX-License-Identifier: BSD-3-Clause
#include "removal_orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ssn::dataplane {
namespace {

using controller::ObjectKey;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t patience = RemovalOrders::patience_ms;

TEST(RemovalOrders, EndOnce) {
  RemovalOrders orders;
  const std::uint64_t first = orders.begin({1, 1}, 0);
  const std::uint64_t second = orders.begin({2, 1}, 0);
  EXPECT_NE(first, second);
  EXPECT_EQ(orders.end(second), (ObjectKey{2, 1}));
  EXPECT_EQ(orders.end(second), std::nullopt);
  EXPECT_EQ(orders.end(second + 1), std::nullopt);
  EXPECT_EQ(orders.end(first), (ObjectKey{1, 1}));
  EXPECT_THAT(orders.give_up(patience), IsEmpty());
}

TEST(RemovalOrders, AreGivenUpAfterAWhileAndGivenAgain) {
  RemovalOrders orders;
  const std::uint64_t lost = orders.begin({1, 1}, 0);
  orders.begin({2, 1}, 1);
  orders.begin({3, 1}, 2);
  EXPECT_THAT(orders.give_up(patience - 1), IsEmpty());
  EXPECT_THAT(orders.give_up(patience + 1), ElementsAre(ObjectKey{1, 1}, ObjectKey{2, 1}));
  const std::uint64_t again = orders.begin({1, 1}, patience + 1);
  EXPECT_EQ(orders.end(lost), std::nullopt);  // which says nothing about the new one
  EXPECT_EQ(orders.end(again), (ObjectKey{1, 1}));
  EXPECT_THAT(orders.give_up(patience + 2), ElementsAre(ObjectKey{3, 1}));
}

}  // namespace
}  // namespace ssn::dataplane
