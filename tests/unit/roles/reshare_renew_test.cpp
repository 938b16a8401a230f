// SPDX-License-Identifier: BSD-3-Clause
// Refresh and redistribute: a new generation beside the old one, of the same data.
#include <gtest/gtest.h>

#include "reshare_orders.h"

namespace ssn::test {
namespace {

using roles::ReshareLayout;
using roles::ReshareOperation;
using roles::ReshareOrder;

std::uint64_t pads_taken(const ReshareWorld& world) {
  std::uint64_t out = 0;
  for (const auto& line : world.lines) {
    out += line->tie.there.pads_out.next() + line->tie.back.pads_out.next();
  }
  return out;
}

TEST(ReshareRenew, ARefreshMakesOtherSharesOfTheSameData) {
  for (const bool bad : {false, true}) {
    ReshareWorldOptions options;
    options.nodes = 5;
    if (bad) options.base.link = bad_link();
    ReshareWorld world(options, test_seed());
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 150, {{0, 0}, {70, 3}});
    const ReshareOrder order = renewal(object, ReshareOperation::refresh, object.at.layout, {1, 2, 3, 4, 5});
    ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
    const ReshareOrder seal = sealing(order);
    ASSERT_TRUE(world.carry_out(seal)) << world.describe(77);
    EXPECT_EQ(world.recover(object, seal.target), object.data);
    EXPECT_EQ(world.recover(object, object.at), object.data);
    for (unsigned share = 1; share <= 5; ++share) {
      EXPECT_NE(world.share(object, seal.target, share), world.share(object, object.at, share));
    }
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(ReshareRenew, WhatARoundWeakenedIsToldByLaterOnes) {
  for (const bool from_device : {false, true}) {
    ReshareWorldOptions options;
    options.nodes = 5;
    ReshareWorld world(options, test_seed());
    for (const auto& node : world.nodes) node->random.qrng = from_device;
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 64);
    const ReshareOrder order = renewal(object, ReshareOperation::refresh, object.at.layout, {1, 2, 3});
    ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
    ASSERT_TRUE(world.carry_out(sealing(order))) << world.describe(77);
    for (unsigned dealer = 0; dealer < 3; ++dealer) {
      EXPECT_EQ(world.status(dealer, 77).round, 2);
      EXPECT_EQ(world.status(dealer, 77).computational, !from_device) << dealer;
    }
  }
}

// d givers, all of them takers: d (n - 1) |D|.
TEST(ReshareRenew, ARefreshCostsWhatItMay) {
  ReshareWorldOptions options;
  options.nodes = 5;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 128);
  const std::uint64_t size = std::uint64_t{object.cells} * object.cell_bytes;
  ASSERT_TRUE(world.carry_out(renewal(object, ReshareOperation::refresh, object.at.layout, {1, 3, 4})));
  EXPECT_EQ(pads_taken(world), 3 * 4 * size);
  std::uint64_t random = 0;
  for (const auto& node : world.nodes) random += node->random.bytes;
  EXPECT_EQ(random, 3 * 2 * size);
}

struct Move {
  unsigned k, n, k2, n2;
  kernels::Scheme scheme, scheme2;
  unsigned blocks;
};

TEST(ReshareRenew, ARedistributionGoesToAnyOtherScheme) {
  using kernels::Scheme;
  const Move moves[] = {
      {3, 5, 2, 3, Scheme::systematic, Scheme::systematic, 1},
      {2, 3, 4, 6, Scheme::systematic, Scheme::systematic, 1},
      {3, 4, 3, 7, Scheme::systematic, Scheme::classic, 1},
      {3, 4, 4, 5, Scheme::classic, Scheme::systematic, 1},
      {4, 6, 5, 7, Scheme::ramp, Scheme::ramp, 2},
  };
  for (const Move& move : moves) {
    for (const bool rotates : {false, true}) {
      ReshareWorldOptions options;
      options.nodes = 8;
      if (rotates) options.base.link = bad_link();
      ReshareWorld world(options, test_seed());
      std::vector<unsigned> from, to;
      for (unsigned i = 0; i < move.n; ++i) from.push_back(i);
      for (unsigned i = 0; i < move.n2; ++i) to.push_back(7 - i);  // some of them have old shares, too
      ReshareLayout layout = world.layout(move.k, from, move.scheme, move.blocks);
      ReshareLayout next = world.layout(move.k2, to, move.scheme2, move.blocks);
      if (rotates) {
        layout.row_rule = next.row_rule = roles::RowRule::rotating;
        layout.cells_per_turn = 24;
        next.cells_per_turn = 10;
      }
      const SharedObject object = world.put(9, layout, 90, {{0, 2}, {33, 4}});
      std::vector<std::uint8_t> givers;
      for (unsigned i = 0; i < move.k; ++i)
        givers.push_back(static_cast<std::uint8_t>(move.n - move.k + 1 + i));
      ReshareOrder order = renewal(object, ReshareOperation::redistribute, next, givers);
      ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
      const ReshareOrder seal = sealing(order);
      ASSERT_TRUE(world.carry_out(seal));
      EXPECT_EQ(world.recover(object, seal.target), object.data)
          << move.k << ' ' << move.k2 << ' ' << rotates;
      EXPECT_EQ(world.recover(object, object.at), object.data);
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

// k n' |D|.
TEST(ReshareRenew, ARedistributionCostsWhatItMay) {
  ReshareWorldOptions options;
  options.nodes = 7;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(9, world.layout(2, {0, 1, 2}), 128);
  const std::uint64_t size = std::uint64_t{object.cells} * object.cell_bytes;
  const ReshareLayout next = world.layout(3, {3, 4, 5, 6});
  ASSERT_TRUE(world.carry_out(renewal(object, ReshareOperation::redistribute, next, {1, 3})));
  EXPECT_EQ(pads_taken(world), 2 * 4 * size);
}

// Another set of givers is another round: what takers have of the first one never combines with the second.
TEST(ReshareRenew, AnotherRoundGoesOnWhereAllTakersAre) {
  ReshareWorldOptions options;
  options.nodes = 6;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 300);
  ReshareOrder order = renewal(object, ReshareOperation::refresh, object.at.layout, {1, 2, 3, 4, 5});
  (void)world.order(order);
  // All have had a beginning, over links that lose.
  ASSERT_TRUE(world.run(20 * one_s, [&] {
    unsigned begun = 0;
    for (unsigned node = 0; node < 5; ++node) begun += world.status(node, 77).through >= 32 ? 1 : 0;
    return begun == 5;
  }));
  world.restart(2);
  ASSERT_TRUE(world.run(20 * one_s, [&] { return world.failed(order); }));
  std::uint32_t through = UINT32_MAX;
  for (const unsigned node : {0U, 1U, 3U, 4U}) through = std::min(through, world.status(node, 77).through);
  ASSERT_GT(through, 0U);
  order.round = 2;
  order.first = 16;  // what the one that was killed is known to have had
  order.from = {1, 2, 4, 5};
  ASSERT_LE(order.first, through);
  ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
  const ReshareOrder seal = sealing(order, {{0, 1}, {16, 2}});
  ASSERT_TRUE(world.carry_out(seal));
  EXPECT_EQ(world.recover(object, seal.target), object.data);
}

}  // namespace
}  // namespace ssn::test
