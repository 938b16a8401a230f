// SPDX-License-Identifier: BSD-3-Clause
// Which SSA writes an object, and which may read it.
#include <gtest/gtest.h>

#include "support.h"

namespace ssn::controller::test {
namespace {

// However its writes end; also those that a restart finds open.
TEST(Ssas, TheSsaWithTheFewestOpenWritesGetsTheNext) {
  const auto database = make_memory_database();
  World world(*database, seed());
  world.start_nodes();
  world.start("s2", pki::Role::ssa);
  const auto next = [&](const char* name) {
    const auto ticket = world->begin_write(world.now, "alice", world.request(name));
    EXPECT_OK(ticket);
    return ticket.value().object;
  };
  const auto report_all = [&] {
    ASSERT_NO_FATAL_FAILURE(world.report_all());
    ASSERT_OK(world.report("s2"));
  };
  const Object first = next("a");
  const Object second = next("b");
  EXPECT_NE(first.ssa, second.ssa);
  EXPECT_OK(world->abort(world.now, "alice", first.key()));
  EXPECT_EQ(next("c").ssa, first.ssa);
  EXPECT_OK(world->sealed(world.now, second.ssa, World::seal(second, 5)));
  EXPECT_OK(world->commit(world.now, "alice", second.key(), false));
  EXPECT_EQ(next("d").ssa, second.ssa);
  const Object fifth = next("e");
  EXPECT_NE(next("f").ssa, fifth.ssa);
  EXPECT_OK(world->abort(world.now, "alice", fifth.key()));
  world.restart();
  ASSERT_NO_FATAL_FAILURE(report_all());
  EXPECT_EQ(next("g").ssa, fifth.ssa);
  world.pass(Policy().lease_ms);
  ASSERT_NO_FATAL_FAILURE(report_all());
  ASSERT_OK(world->tick(world.now));
  EXPECT_EQ(world->status().value().writes, 0U);
  EXPECT_NE(next("h").ssa, next("i").ssa);
}

TEST(Ssas, AnySsaServesReadsWhereTheWriterIsDown) {
  const auto database = make_memory_database();
  World world(*database, seed());
  world.start_nodes();
  const Object object = world.put("alice", "a");
  const auto open = world->begin_write(world.now, "alice", world.request("b"));
  ASSERT_OK(open);
  world.start("s2", pki::Role::ssa);
  for (int i = 0; i < 120; ++i) {  // a minute in which "s" is silent
    world.pass(500);
    ASSERT_OK(world.report("s2"));
    for (int holder = 1; holder <= 7; ++holder) ASSERT_OK(world.report(numbered("h", holder)));
  }
  const auto read = world->open_read(world.now, "alice", "a");
  ASSERT_OK(read);
  ASSERT_EQ(read.value().ssa.node, "s2");
  EXPECT_OK(world->object_for(world.now, "s2", object.key()));
  EXPECT_TRUE(fails(world->object_for(world.now, "s2", open.value().object.key()), Exit::not_found))
      << "it is being written elsewhere";
  EXPECT_TRUE(fails(world->object_for(world.now, "s3", object.key()), Exit::not_found)) << "not registered";
}

}  // namespace
}  // namespace ssn::controller::test
