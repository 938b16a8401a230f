// SPDX-License-Identifier: BSD-3-Clause
#include "link_model.h"

#include <gtest/gtest.h>

#include <random>

namespace ssn::kme {
namespace {

constexpr Microseconds second = 1'000'000;

LinkModel make(std::uint64_t rate, std::uint64_t stock, std::uint64_t start = 0,
               std::vector<Outage> outages = {}) {
  return LinkModel({rate, stock, start, std::move(outages)}, 0);
}

TEST(LinkModel, MakesKeyAtItsRateUpToItsStock) {
  LinkModel link = make(1000, 5000);
  EXPECT_EQ(link.stock_bits(0), 0u);
  EXPECT_EQ(link.stock_bits(second), 1000u);
  EXPECT_EQ(link.stock_bits(second + 1), 1000u);
  EXPECT_EQ(link.stock_bits(second + 1000), 1001u);
  EXPECT_EQ(link.stock_bits(100 * second), 5000u);
  EXPECT_EQ(link.made_bits(100 * second), 5000u);
}

TEST(LinkModel, LosesNoBitHoweverOftenItIsAsked) {
  LinkModel link = make(333, LinkModel::stock_bits_max);
  for (Microseconds at = 0; at <= 3 * second; at += 7) {
    link.stock_bits(at);
  }
  EXPECT_EQ(link.stock_bits(3 * second), 999u);
}

TEST(LinkModel, DrawsAllOrNothing) {
  LinkModel link = make(1, 1000);
  LinkModel full = make(0, 1000, 1000);
  full.begin_outage(0, 0);
  EXPECT_FALSE(link.draw(0, 8));
  EXPECT_TRUE(full.draw(0, 600));
  EXPECT_FALSE(full.draw(0, 408));
  EXPECT_EQ(full.stock_bits(0), 400u);
  EXPECT_EQ(full.draw_bytes(0, 100), 50u);
  EXPECT_EQ(full.draw_bytes(0, 100), 0u);
}

TEST(LinkModel, UnlimitedIsAlwaysFullWhileItIsUp) {
  LinkModel link = make(0, 1000);
  EXPECT_TRUE(link.draw(0, 1000));
  EXPECT_TRUE(link.draw(0, 1000));
  link.begin_outage(0, second);
  EXPECT_TRUE(link.draw(0, 1000));
  EXPECT_FALSE(link.draw(0, 8));
  EXPECT_FALSE(link.draw(second - 1, 8));
  EXPECT_TRUE(link.draw(second, 8));
}

TEST(LinkModel, OutagesMakeNothing) {
  LinkModel link = make(1000, 1'000'000, 0, {{2 * second, second, 0}, {10 * second, second, 5 * second}});
  EXPECT_EQ(link.stock_bits(2 * second), 2000u);
  EXPECT_FALSE(link.up(2 * second));
  EXPECT_EQ(link.stock_bits(3 * second), 2000u);
  EXPECT_TRUE(link.up(3 * second));
  EXPECT_EQ(link.stock_bits(10 * second), 9000u);
  EXPECT_EQ(link.stock_bits(20 * second), 9000u + 8000u);  // out from 10 to 11 and from 15 to 16
}

TEST(LinkModel, OneOutageMayBeginInAnother) {
  LinkModel link = make(1000, 1'000'000, 0, {{second, 2 * second, 0}, {2 * second, 3 * second, 0}});
  EXPECT_EQ(link.stock_bits(5 * second), 1000u);
  EXPECT_EQ(link.stock_bits(6 * second), 2000u);
}

TEST(LinkModel, OutagesOnCommandEndOnCommand) {
  LinkModel link = make(1000, 1'000'000);
  link.begin_outage(second, 0);
  EXPECT_EQ(link.stock_bits(1000 * second), 1000u);
  link.end_outage(1000 * second);
  EXPECT_EQ(link.stock_bits(1001 * second), 2000u);
}

TEST(LinkModel, DebtOfTheOtherEndIsPaidBack) {
  LinkModel link = make(1000, 4000, 1000);
  link.note_drawn(0, 3000);
  EXPECT_EQ(link.stock_bits(0), 0u);
  EXPECT_FALSE(link.draw(2 * second, 8));
  EXPECT_EQ(link.stock_bits(3 * second), 1000u);
  link.note_drawn(3 * second, UINT64_MAX / 2);  // nonsense does not stop the link for ever
  EXPECT_EQ(link.stock_bits(8 * second), 1000u);
}

TEST(LinkModel, AYearPassesInAMoment) {
  LinkModel link = make(LinkModel::bits_per_second_max, LinkModel::stock_bits_max, 0, {{0, 1, second}});
  const Microseconds year = 365ULL * 24 * 3600 * second;
  EXPECT_EQ(link.stock_bits(year), LinkModel::stock_bits_max);
  EXPECT_EQ(link.stock_bits(year - 1), LinkModel::stock_bits_max);  // a clock that seems to go back
}

// Whatever happens: drawn + in stock = at start + made.
TEST(LinkModel, TheAccountBalances) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  LinkModel link = make(77'777, 1'000'000, 500'000);
  std::uint64_t drawn = 0;
  Microseconds at = 0;
  for (int i = 0; i < 10'000; ++i) {
    at += random() % 200'000;
    const std::uint64_t bits = random() % 20'000;
    switch (random() % 6) {
      case 0:
        link.begin_outage(at, random() % second);
        break;
      case 1:
        link.end_outage(at);
        break;
      case 2:
        drawn += 8 * link.draw_bytes(at, bits);
        break;
      default:
        drawn += link.draw(at, bits) ? bits : 0;
    }
    ASSERT_EQ(drawn + link.stock_bits(at), 500'000 + link.made_bits(at));
    ASSERT_LE(link.stock_bits(at), 1'000'000u);
  }
}

}  // namespace
}  // namespace ssn::kme
