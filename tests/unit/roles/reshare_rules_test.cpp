// SPDX-License-Identifier: BSD-3-Clause
// What no node does, whoever orders it: below the floor, for strangers, by a false layout, because a packet
// came.
#include <gtest/gtest.h>

#include "reshare_orders.h"

namespace ssn::test {
namespace {

using roles::ReshareAnswer;
using roles::ReshareLayout;
using roles::ReshareOperation;
using roles::ReshareOrder;
using roles::ReshareState;

struct Pins final : roles::PinnedLayouts {
  const ReshareLayout* find(std::uint64_t object, std::uint32_t generation) const noexcept override {
    return object == 5 && generation == 1 ? &layout : nullptr;
  }
  ReshareLayout layout;
};

ReshareOrder a_repair(ReshareWorld& world, const SharedObject& object) {
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 4, 5);
  order.from = {1, 2, 3};
  return order;
}

TEST(ReshareRules, NumbersThatMakeNoOrderAreRefused) {
  ReshareWorld world({}, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 40);
  const ReshareOrder good = a_repair(world, object);
  EXPECT_EQ(roles::check_order(good), ReshareAnswer::taken);
  const auto bad = [&](auto change) {
    ReshareOrder order = good;
    change(order);
    return roles::check_order(order) == ReshareAnswer::malformed;
  };
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.job = 0; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.round = 0; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.to = {0}; }));  // the secret's point has no number
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.to = {6}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.to = {3}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.to = {4, 5}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.from = {1, 2}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.from = {2, 1, 3}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.from = {1, 2, 3, 5}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.unit_cells = 12; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.first = 3; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.end = 41; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.cell_bytes = 100; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.source.layout.k = 4; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.target.layout.nodes[0] = 60; }));  // two shares at one node
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.target.layout.nodes[1] = 70; }));  // another one moves along
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.source.runs = {{1, 0}}; }));
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.source.runs = {{0, 1}, {8, 1}}; }));  // one run
  EXPECT_TRUE(bad([](ReshareOrder& o) { o.stall_ns = UINT64_MAX; }));
  ReshareOrder refresh = renewal(object, ReshareOperation::refresh, object.at.layout, {1, 2, 3});
  EXPECT_EQ(roles::check_order(refresh), ReshareAnswer::taken);
  refresh.from = {1, 2};  // t of them: they know every sharing
  EXPECT_EQ(roles::check_order(refresh), ReshareAnswer::malformed);
  ReshareOrder bare = renewal(object, ReshareOperation::redistribute,
                              world.layout(1, {3, 4, 5}, kernels::Scheme::rs), {1, 2, 3});
  EXPECT_EQ(roles::check_order(bare), ReshareAnswer::malformed);  // no secrecy at all
}

TEST(ReshareRules, FloorsAreKept) {
  ReshareWorldOptions options;
  options.nodes = 7;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 40);
  roles::ReshareFloor floor;
  floor.minimum_t = 2;
  for (unsigned i = 0; i < 6; ++i) floor.nodes.push_back({world.node(i).id, 1 + i / 2});
  const ReshareOrder good = a_repair(world, object);
  EXPECT_EQ(roles::FloorRule(floor).permits(good), ReshareAnswer::taken);
  const ReshareOrder away = replacement(world, object, ReshareOperation::exchange, 4, 6);
  EXPECT_EQ(roles::FloorRule(floor).permits(away), ReshareAnswer::unlisted);
  const ReshareOrder fewer =
      renewal(object, ReshareOperation::redistribute, world.layout(2, {0, 2, 4}), {1, 2, 3});
  EXPECT_EQ(roles::FloorRule(floor).permits(fewer), ReshareAnswer::below_floor);
  floor.minimum_domains = 4;
  EXPECT_EQ(roles::FloorRule(floor).permits(good), ReshareAnswer::below_floor);
  floor.minimum_domains = 1;
  for (roles::ListedNode& node : floor.nodes) node.domain = 1;
  EXPECT_EQ(roles::FloorRule(floor).permits(good), ReshareAnswer::below_floor);  // 5 > t in one domain
  floor.domain_limit = false;
  floor.permitted = 1U << static_cast<unsigned>(ReshareOperation::exchange);
  EXPECT_EQ(roles::FloorRule(floor).permits(good), ReshareAnswer::forbidden);
}

// What a false scheme would do: classic(3,5) has the secret at point 0. As ramp(3,1,5) the points of shares
// 1, 3 and 5 are the true ones plus 1, and that of share 2 is 1: 0 plus 1.
TEST(ReshareRules, AFalseLayoutIsRefusedWhereTheTrueOneIsPinned) {
  ReshareWorldOptions options;
  options.nodes = 7;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}, kernels::Scheme::classic), 40);
  Pins pins;
  pins.layout = object.at.layout;
  roles::ReshareFloor floor;
  for (const auto& node : world.nodes) floor.nodes.push_back({node->id, 0});
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 2, 5);
  EXPECT_EQ(roles::FloorRule(floor, &pins).permits(order), ReshareAnswer::taken);
  order.source.layout.scheme = order.target.layout.scheme = kernels::Scheme::ramp;
  order.from = {1, 3, 5};
  EXPECT_EQ(roles::check_order(order), ReshareAnswer::taken);
  EXPECT_EQ(roles::FloorRule(floor, &pins).permits(order), ReshareAnswer::unpinned);
  // Where nothing is pinned it would give the data itself to the taker.
  ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
  ASSERT_TRUE(world.carry_out(sealing(order)));
  EXPECT_EQ(world.share(object, order.target, 2), object.data);
  floor.pinned_only = true;
  EXPECT_EQ(roles::FloorRule(floor).permits(a_repair(world, object)), ReshareAnswer::unpinned);
}

// Only an order of the control side makes a node take or give anything.
TEST(ReshareRules, NothingIsDoneBecauseAPacketCame) {
  ReshareWorldOptions options;
  options.nodes = 6;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 40);
  ReshareOrder order = replacement(world, object, ReshareOperation::exchange, 2, 5);
  order.stall_ns = one_s;
  EXPECT_EQ(world.node(1).resharer->order(order, world.now_ns), ReshareAnswer::taken);
  EXPECT_EQ(world.node(3).resharer->order(order, world.now_ns), ReshareAnswer::no_part);
  (void)world.run(3 * one_s, [] { return false; });
  EXPECT_EQ(world.status(1, 77).state, ReshareState::failed);
  EXPECT_EQ(world.status(1, 77).trouble, roles::ReshareTrouble::stalled);
  EXPECT_EQ(world.status(1, 77).node, world.node(5).id);
  EXPECT_GT(world.node(5).resharer->counters().unexpected, 0U);
  EXPECT_EQ(world.node(5).resharer->counters().contributions, 0U);
  EXPECT_TRUE(world.share(object, order.target, 2).empty());
  EXPECT_TRUE(world.node(1).resharer->is_erased());
  // The same job and round is never begun again; a lower round is too late.
  EXPECT_EQ(world.node(1).resharer->order(order, world.now_ns), ReshareAnswer::again);
  order.round = 2;
  EXPECT_EQ(world.node(1).resharer->order(order, world.now_ns), ReshareAnswer::taken);
  order.round = 1;
  EXPECT_EQ(world.node(1).resharer->order(order, world.now_ns), ReshareAnswer::superseded);
  EXPECT_EQ(world.wrong(), "");
}

// Orders reach nodes one after the other; what comes too early is refused, and is burnt, but little of it.
TEST(ReshareRules, WhoHearsOfAnOrderLateIsWaitedFor) {
  ReshareWorldOptions options;
  options.base.link = bad_link();
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 200);
  const ReshareOrder order = a_repair(world, object);
  for (const unsigned node : {0U, 1U, 2U, 5U}) {
    EXPECT_EQ(world.node(node).resharer->order(order, world.now_ns), ReshareAnswer::taken);
    (void)world.run(200 * one_ms, [] { return false; });
  }
  ASSERT_TRUE(world.run(30 * one_s, [&] { return world.done(order) || world.failed(order); }));
  ASSERT_TRUE(world.done(order)) << world.describe(77);
  const std::uint64_t unit = std::uint64_t{order.unit_cells} * order.cell_bytes;
  for (const unsigned node : {0U, 1U}) EXPECT_LE(world.status(node, 77).masks_lost, 45 * unit);
  EXPECT_EQ(world.share(object, order.target, 4), world.share(object, object.at, 4));
}

// What was refused is not taken for received because it came once more: where the answer is lost, it is given
// again.
TEST(ReshareRules, WhatWasRefusedIsNotTakenForReceived) {
  for (std::uint64_t run = 0; run < 8; ++run) {
    ReshareWorldOptions options;
    options.base.link.loss_percent = 35;
    ReshareWorld world(options, test_seed() + run);
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 20);
    const ReshareOrder order = replacement(world, object, ReshareOperation::exchange, 2, 5);
    EXPECT_EQ(world.node(1).resharer->order(order, world.now_ns), ReshareAnswer::taken);
    (void)world.run(600 * one_ms, [] { return false; });
    EXPECT_EQ(world.node(5).resharer->order(order, world.now_ns), ReshareAnswer::taken);
    ASSERT_TRUE(world.run(30 * one_s, [&] { return world.done(order) || world.failed(order); }));
    ASSERT_TRUE(world.done(order)) << "run " << run << world.describe(77);
  }
}

}  // namespace
}  // namespace ssn::test
