// SPDX-License-Identifier: BSD-3-Clause
// Between opening and closing a session the SSA allocates nothing, whatever holders do.
#include <gtest/gtest.h>

#include "counted_new.h"
#include "ssa_world.h"

namespace ssn::test {
namespace {

TEST(SsaAllocation, NothingWhilePacketsFlow) {
  counts_allocation = [] { return inside_ssa; };
  SsaWorldOptions options;
  options.layout.cell_bytes = 128;
  options.ssa.window = 128;
  options.channel.sender.packets = 4096;
  options.link.loss_percent = 2;
  SsaWorld world(options, 1);
  {  // the test's own pool makes its cells as they are asked for
    std::vector<protocol::Cell*> cells(8000);
    ASSERT_EQ(world.pool.take(cells), cells.size());
    world.pool.give_back(cells);
  }
  const Bytes content = world.random_content(1200);
  world.at(20 * one_ms, [&world] { world.kill(1); });
  world.at(60 * one_ms, [&world] { world.restart(1); });
  world.at(80 * one_ms, [&world] { world.kill(4); });
  const roles::WriteResult written = world.put({7, 1}, content);
  ASSERT_EQ(written.why, roles::SsaTrouble::none) << world.wrong();
  EXPECT_GT(world.ssa->counters().cells_split_again, 0U);
  world.holders[2]->lies_percent = 20;
  const TestOwner& reader = world.get({7, 1}, 1200, written);
  EXPECT_EQ(reader.got_count + reader.refused_count, 1200U);
  EXPECT_GT(world.count_events(roles::SsaEvent::Kind::holder_lies) +
                world.count_events(roles::SsaEvent::Kind::contradiction),
            0U);
  EXPECT_EQ(allocations, 0U);
  inside_ssa = true;
  const Bytes one(1);
  inside_ssa = false;
  EXPECT_EQ(allocations, 1U) << "the counter counts";
}

}  // namespace
}  // namespace ssn::test
