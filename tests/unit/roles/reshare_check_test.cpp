// SPDX-License-Identifier: BSD-3-Clause
// The masked check: right shares pass, whoever asks; what is wrong anywhere is found; without surplus share
// nothing is said.
#include <gtest/gtest.h>

#include "reshare_orders.h"

namespace ssn::test {
namespace {

using protocol::OpenResult;
using roles::CheckVerdict;
using roles::ReshareLayout;
using roles::ReshareOperation;
using roles::ReshareOrder;

CheckVerdict verdict(ReshareWorld& world, const ReshareOrder& order) {
  if (!world.carry_out(order)) return CheckVerdict::none;
  roles::ReshareStatus status;
  (void)world.by_id(order.checker)->resharer->status(order.job, status);
  return status.verdict;
}

void flip_some(protocol::Cell& cell, std::uint32_t at) {
  if (cell.open_result != OpenResult::contributed || cell.header.placement.cell != at) return;
  std::uint8_t* const bytes = cell.target != nullptr ? cell.target : cell.data;
  bytes[7] ^= 0x20;
}

TEST(ReshareCheck, RightSharesPassWhoeverChecks) {
  ReshareWorldOptions options;
  options.base.link = bad_link();
  ReshareWorld world(options, test_seed());
  ReshareLayout layout = world.layout(3, {0, 1, 2, 3, 4});
  layout.row_rule = roles::RowRule::rotating;
  layout.cells_per_turn = 20;
  const SharedObject object = world.put(5, layout, 150, {{0, 0}, {70, 3}});
  ReshareOrder order = renewal(object, ReshareOperation::refresh, layout, {1, 2, 4});
  ASSERT_TRUE(world.carry_out(order));
  const ReshareOrder seal = sealing(order);
  ASSERT_TRUE(world.carry_out(seal));
  for (std::uint16_t i = 0; i < 3; ++i) {
    const ReshareOrder check =
        checking(seal, {1, 2, 3, 4, 5}, layout.nodes[i], static_cast<std::uint16_t>(i + 1));
    EXPECT_EQ(verdict(world, check), CheckVerdict::passed);
  }
  // An audit of what has been there all the time.
  ReshareOrder audit = order_about(object, ReshareOperation::check, 78);
  audit.from = {1, 2, 3, 5};
  audit.checker = layout.nodes[4];
  EXPECT_EQ(verdict(world, audit), CheckVerdict::passed);
  EXPECT_EQ(world.wrong(), "");
}

TEST(ReshareCheck, OneBitOfOneCellIsFound) {
  ReshareWorldOptions options;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 150);
  ReshareOrder audit = order_about(object, ReshareOperation::check);
  audit.from = {1, 2, 3, 4, 5};
  audit.checker = object.at.layout.nodes[0];
  ASSERT_EQ(verdict(world, audit), CheckVerdict::passed);
  for (unsigned share = 1; share <= 5; ++share) {
    const Bytes right = world.share(object, object.at, share);
    Bytes bytes = right;
    bytes[world.random.below(bytes.size())] ^= 1;
    world.replace_share(object, share, bytes);
    ++audit.round;
    EXPECT_EQ(verdict(world, audit), CheckVerdict::failed) << share;
    world.replace_share(object, share, right);
    ++audit.round;
    EXPECT_EQ(verdict(world, audit), CheckVerdict::passed);
  }
}

TEST(ReshareCheck, AWrongHelperIsCaughtByASurplusShare) {
  ReshareWorldOptions options;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 100);
  world.kill(3);
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 4, 5);
  order.from = {1, 2, 3};
  world.node(1).lies = [](protocol::Cell& cell) { flip_some(cell, 41); };
  ASSERT_TRUE(world.carry_out(order));
  world.node(1).lies = nullptr;
  const ReshareOrder seal = sealing(order);
  ASSERT_TRUE(world.carry_out(seal));
  const std::uint64_t checker = order.target.layout.nodes[3];
  EXPECT_EQ(verdict(world, checking(seal, {1, 2, 3, 5}, checker, 1)), CheckVerdict::failed);
  // The k that it was made from: it lies to nobody who keeps to its story, so this says nothing good or bad
  // but of the one who folds what it really has.
  EXPECT_EQ(verdict(world, checking(seal, {1, 2, 3}, checker, 2)), CheckVerdict::failed);
}

TEST(ReshareCheck, WithoutSurplusNothingIsVerified) {
  ReshareWorldOptions options;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3}), 100);
  world.kill(3);
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 4, 5);
  order.from = {1, 2, 3};
  ASSERT_TRUE(world.carry_out(order));
  const ReshareOrder seal = sealing(order);
  ASSERT_TRUE(world.carry_out(seal));
  EXPECT_EQ(verdict(world, checking(seal, {1, 2, 3}, order.target.layout.nodes[3])),
            CheckVerdict::unverified);
}

TEST(ReshareCheck, AWrongDealerIsCaught) {
  for (const ReshareOperation operation : {ReshareOperation::refresh, ReshareOperation::redistribute}) {
    ReshareWorldOptions options;
    options.nodes = 8;
    ReshareWorld world(options, test_seed());
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 100);
    const ReshareLayout next =
        operation == ReshareOperation::refresh ? object.at.layout : world.layout(2, {5, 6, 7, 0});
    const ReshareOrder order = renewal(object, operation, next, {1, 2, 4});
    world.node(1).lies = [](protocol::Cell& cell) { flip_some(cell, 80); };
    ASSERT_TRUE(world.carry_out(order));
    world.node(1).lies = nullptr;
    const ReshareOrder seal = sealing(order);
    ASSERT_TRUE(world.carry_out(seal));
    EXPECT_EQ(verdict(world, checking(seal, {1, 2, 3, 4, 5}, next.nodes[2])), CheckVerdict::failed);
    EXPECT_EQ(world.recover(object, object.at), object.data);  // what is committed was not touched
  }
}

}  // namespace
}  // namespace ssn::test
