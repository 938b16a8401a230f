// SPDX-License-Identifier: BSD-3-Clause
// Exchange and repair: shares move and are made again, over good links and bad ones, and cost what they may.
#include <gtest/gtest.h>

#include "reshare_orders.h"

namespace ssn::test {
namespace {

using roles::ReshareOperation;
using roles::ReshareOrder;

TEST(Reshare, AShareMovesToAnotherNode) {
  for (unsigned run = 0; run < 6; ++run) {
    const bool bad = run != 0;
    ReshareWorldOptions options;
    if (bad) options.base.link = bad_link();
    ReshareWorld world(options, test_seed() + run);
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 200, {{0, 0}, {70, 3}});
    const ReshareOrder order = replacement(world, object, ReshareOperation::exchange, 2, 5);
    const Bytes before = world.share(object, object.at, 2);
    ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
    ASSERT_TRUE(world.carry_out(sealing(order)));
    EXPECT_EQ(world.share(object, order.target, 2), before);
    EXPECT_EQ(world.recover(object, order.target), object.data);
    EXPECT_EQ(world.status(1, 77).cells_given, 200U);
    EXPECT_EQ(world.wrong(), "");
  }
}

TEST(Reshare, ALostShareIsMadeAgain) {
  for (unsigned run = 0; run < 6; ++run) {
    const bool bad = run != 0;
    ReshareWorldOptions options;
    options.nodes = 6;
    if (bad) options.base.link = bad_link();
    ReshareWorld world(options, test_seed() + run);
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 200, {{0, 0}, {70, 3}});
    const Bytes lost = world.share(object, object.at, 4);
    world.kill(3);
    ReshareOrder order = replacement(world, object, ReshareOperation::repair, 4, 5);
    order.from = {1, 3, 5};
    ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
    ASSERT_TRUE(world.carry_out(sealing(order)));
    EXPECT_EQ(world.share(object, order.target, 4), lost);
    EXPECT_EQ(world.recover(object, order.target), object.data);
    EXPECT_EQ(world.wrong(), "");
  }
}

// Cells that are read, dealt, folded: a store that is short of memory for a moment costs that moment.
TEST(Reshare, AStoreMayBeBusy) {
  ReshareWorldOptions options;
  options.nodes = 6;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 200, {{0, 0}, {70, 3}});
  const Bytes lost = world.share(object, object.at, 4);
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 4, 5);
  order.from = {1, 3, 5};
  for (const auto& node : world.nodes) node->store.refuse_reads(7);
  ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
  ASSERT_TRUE(world.carry_out(sealing(order)));
  EXPECT_EQ(world.share(object, order.target, 4), lost);
  for (const auto& node : world.nodes) node->store.refuse_reads(7);
  const ReshareOrder check = checking(sealing(order), {1, 2, 3, 5}, order.target.layout.nodes[3]);
  ASSERT_TRUE(world.carry_out(check)) << world.describe(77);
  EXPECT_EQ(world.status(5, 77).verdict, roles::CheckVerdict::passed);
  EXPECT_EQ(world.wrong(), "");
}

// k |D| on the wire, k (k + 1) / 2 |D| of pad.
TEST(Reshare, ARepairCostsWhatItMay) {
  ReshareWorldOptions options;
  options.nodes = 7;
  ReshareWorld world(options, test_seed());
  const SharedObject object = world.put(5, world.layout(4, {0, 1, 2, 3, 4, 5}), 256);
  const std::uint64_t size = std::uint64_t{object.cells} * object.cell_bytes;
  std::uint64_t kept = 0;
  for (const auto& line : world.lines) {
    for (const auto* ends : {&line->tie.there, &line->tie.back}) kept += ends->pads_out.next();
  }
  ASSERT_EQ(kept, 0U);
  ReshareOrder order = replacement(world, object, ReshareOperation::repair, 6, 6);
  order.from = {1, 2, 4, 5};
  const std::uint64_t wire_before = world.bytes_on_wire();
  ASSERT_TRUE(world.carry_out(order)) << world.describe(77);
  std::uint64_t given = 0, masks = 0, orders = 0, pads = 0;
  for (unsigned i = 0; i < 7; ++i) {
    const roles::ReshareStatus status = world.status(i, 77);
    given += status.bytes_given;
    masks += status.mask_bytes;
    orders += status.mask_orders;
    EXPECT_EQ(status.masks_lost, 0U);
  }
  for (const auto& line : world.lines) {
    for (const auto* ends : {&line->tie.there, &line->tie.back}) pads += ends->pads_out.next();
  }
  EXPECT_EQ(given, 4 * size);
  const std::uint64_t wire = world.bytes_on_wire() - wire_before;
  const std::uint64_t packets = 4 * std::uint64_t{object.cells} * (object.cell_bytes + 64U);
  EXPECT_GT(wire, packets);
  EXPECT_LT(wire, packets * 5 / 4);  // and its mask orders and acknowledgements
  EXPECT_EQ(masks, 6 * size);
  EXPECT_EQ(orders, 6 * object.cells / order.unit_cells);
  EXPECT_EQ(pads, (4 + 6) * size + 64 * orders);  // behind each mask its check
}

}  // namespace
}  // namespace ssn::test
