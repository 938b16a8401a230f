// SPDX-License-Identifier: BSD-3-Clause
// Which SSA writes an object, and which may read it.
#include <gtest/gtest.h>

#include <set>

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

// What the SSA says of its peers decides for its writes only, and for no longer than it says something.
TEST(Ssas, WritesGoWhereTheirSsaReaches) {
  const auto database = make_memory_database();
  World world(*database, seed());
  world.start_nodes();
  world.start("s2", pki::Role::ssa);
  Report report = World::report_of("s");
  for (int i = 1; i <= 5; ++i) report.peers.push_back({numbered("h", i), true, 1'000'000, 0, 100});
  report.peers.push_back({"h6", false, 0, 0, 0});  // and of h7 it does not know
  ASSERT_OK(world.report("s", report));
  ASSERT_OK(world.report("s2"));
  const auto holds = [&](const char* ssa) {
    WriteRequest request = world.request("a");
    request.ssa = ssa;
    const auto explained = world->explain_write(world.now, request);
    EXPECT_OK(explained);
    std::set<std::string> nodes;
    for (const NodeChoice& each : explained.value().choices) {
      if (each.share != 0) nodes.insert(each.node);
      EXPECT_EQ(each.path.peer, std::string(ssa) == "s" ? each.node : "");
    }
    return nodes;
  };
  const std::set<std::string> reached{"h1", "h2", "h3", "h4", "h5"};
  std::set<std::string> others;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(holds("s"), reached);
    others.merge(holds("s2"));
    world.put("bob", numbered("o", i));  // the next one has another id
  }
  EXPECT_EQ(others.size(), 7U);
  report.peers.push_back({"", true, 0, 0, 0});
  EXPECT_TRUE(fails(world.report("s", report), Exit::usage)) << "a peer has a name";
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
