// SPDX-License-Identifier: BSD-3-Clause
// Meters of owners and classes at an SSA: who shares which, what the controller says of them, when they go.
#include "owner_rates.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <set>

namespace ssn::dataplane {
namespace {

using controller::RateLimit;
using controller::RateUse;

constexpr std::uint64_t one_s = 1'000'000'000;

controller::Object object(const std::string& owner, const std::string& class_name, const RateLimit& rate,
                          const RateLimit& class_rate = {}) {
  controller::Object made;
  made.owner = owner;
  made.class_name = class_name;
  made.rules = {rate, class_rate, {}};
  return made;
}

TEST(OwnerRates, SessionsOfOneOwnerShareAMeter) {
  OwnerRates rates;
  const auto one = rates.hold(object("alice", "bulk", {1 << 20, 0, 0}, {0, 1 << 21, 0}));
  const auto two = rates.hold(object("alice", "", {1 << 20, 0, 0}));
  const auto bob = rates.hold(object("bob", "bulk", {}, {0, 1 << 21, 0}));
  EXPECT_EQ(one.meters(true)[0], two.meters(true)[0]);
  EXPECT_NE(one.meters(true)[0], one.meters(false)[0]);
  EXPECT_NE(one.meters(true)[0], bob.meters(true)[0]);
  EXPECT_EQ(one.meters(false)[1], bob.meters(false)[1]);
  EXPECT_EQ(two.meters(true)[1], nullptr);
  EXPECT_TRUE(one.meters(true)[0]->limited());
  EXPECT_FALSE(one.meters(false)[0]->limited());
  EXPECT_EQ(bob.meters(false)[1]->bytes_per_second(), 1U << 21);
  // A class may be called as an owner is.
  EXPECT_NE(rates.hold(object("x", "x", {})).meters(true)[0],
            rates.hold(object("x", "x", {})).meters(true)[1]);
}

TEST(OwnerRates, TheLesserOneIsTold) {
  const auto told = [](const RateLimit& owner, const RateLimit& of_class, bool writes) {
    return OwnerRates::tell(object("alice", "bulk", owner, of_class), writes);
  };
  EXPECT_EQ(told({5, 0, 0}, {7, 0, 0}, true).whose, "owner alice");
  EXPECT_EQ(told({9, 0, 0}, {7, 0, 0}, true).bytes_per_second, 7U);
  EXPECT_EQ(told({9, 0, 0}, {7, 0, 0}, true).whose, "class bulk");
  EXPECT_EQ(told({9, 0, 0}, {7, 3, 0}, false).whose, "class bulk");
  EXPECT_EQ(told({9, 4, 0}, {7, 0, 0}, false).bytes_per_second, 4U);
  EXPECT_EQ(told({}, {}, true).bytes_per_second, 0U);
  EXPECT_TRUE(told({}, {}, true).whose.empty());
}

TEST(OwnerRates, WhatTheControllerSaysCountsForOpenSessions) {
  OwnerRates rates;
  const auto held = rates.hold(object("alice", "bulk", {1 << 20, 0, 0}));
  const auto asked = rates.ask();
  ASSERT_EQ(asked, (std::vector<RateUse>{{false, "alice", false}, {true, "bulk", false}}));
  rates.take(asked, {{2 << 20, 1 << 20, 0}, {1 << 19, 0, 0}});
  EXPECT_EQ(held.meters(true)[0]->bytes_per_second(), 2U << 20);
  EXPECT_EQ(held.meters(false)[0]->bytes_per_second(), 1U << 20);
  EXPECT_EQ(held.meters(true)[1]->bytes_per_second(), 1U << 19);
  rates.take(asked, {});  // a controller of before
  EXPECT_EQ(held.meters(true)[0]->bytes_per_second(), 2U << 20);
  // Who waited since the last report is told once.
  std::uint64_t now = one_s;
  while (held.meters(true)[0]->reserve(100'000, now) == now) continue;
  EXPECT_EQ(rates.ask()[0], (RateUse{false, "alice", true}));
  EXPECT_EQ(rates.ask()[0], (RateUse{false, "alice", false}));
}

// To close a session and open another one brings no new burst.
TEST(OwnerRates, AMeterStaysUntilItIsAsNew) {
  OwnerRates rates;
  const std::uint64_t now = 100 * one_s;
  {
    const auto held = rates.hold(object("alice", "", {1 << 20, 0, 1 << 20}));
    EXPECT_EQ(held.meters(true)[0]->reserve(1 << 20, now), now);
  }
  rates.tend(now + one_s / 2);
  EXPECT_EQ(rates.size(), 1U);
  {
    const auto held = rates.hold(object("alice", "", {1 << 20, 0, 1 << 20}));
    EXPECT_GT(held.meters(true)[0]->reserve(1 << 20, now + one_s / 2), now + one_s / 2);
    rates.tend(now + 10 * one_s);
    EXPECT_EQ(rates.size(), 1U) << "a session has it";
  }
  rates.tend(now + 10 * one_s);
  EXPECT_EQ(rates.size(), 0U);
}

TEST(OwnerRates, ManyAreAskedForInTurns) {
  OwnerRates rates;
  std::vector<OwnerRates::Held> held;
  for (std::size_t i = 0; i < controller::rates_max * 5 / 2; ++i) {
    held.push_back(rates.hold(object(fmt::format("o{}", i), "", {})));
  }
  std::set<std::string> seen;
  for (int i = 0; i < 3; ++i) {
    const auto asked = rates.ask();
    EXPECT_EQ(asked.size(), controller::rates_max);
    for (const RateUse& each : asked) seen.insert(each.name);
  }
  EXPECT_EQ(seen.size(), held.size());
}

}  // namespace
}  // namespace ssn::dataplane
