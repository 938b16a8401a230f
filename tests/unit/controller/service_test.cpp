// SPDX-License-Identifier: BSD-3-Clause
// What operators have nodes for: docs/controller.md, "Service states of nodes".
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "reshare_world.h"

namespace ssn::controller::test {
namespace {

TEST(Service, AnSsaOnStandbyServesWhereNoOtherIsUp) {
  const auto database = make_memory_database();
  World world_(*database, seed());
  world_.start_nodes();
  const auto ssa = [&](const std::string& wanted) {
    WriteRequest request = world_.request("a");
    request.ssa = wanted;
    const auto ticket = world_->begin_write(world_.now, "alice", request);
    if (!ticket.ok()) return std::string(name(ticket.error().code));
    EXPECT_OK(world_->abort(world_.now, "alice", ticket.value().object.key()));
    return ticket.value().object.ssa;
  };
  EXPECT_EQ(ssa(""), "s");
  ASSERT_OK(world_->set_node(world_.now, "s", ServiceState::standby));
  EXPECT_EQ(ssa(""), "s");
  ASSERT_OK(world_->set_node(world_.now, "s", ServiceState::reserved));
  EXPECT_EQ(ssa(""), name(Exit::temporary));
  EXPECT_EQ(ssa("s"), "s");
  ASSERT_OK(world_->set_node(world_.now, "s", ServiceState::out_of_service));
  EXPECT_EQ(ssa("s"), name(Exit::temporary));
  EXPECT_TRUE(fails(world_->set_node(world_.now, "s", ServiceState{7}), Exit::usage));
}

// Of seven nodes two are for what fails: they get nothing of new objects, and then before all others.
TEST(Service, StandbysTakeOverAndReservedOnesWaitToBeNamed) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const auto set = [&](const std::string& node, ServiceState service) {
    ASSERT_OK(world.world->set_node(world.world.now, node, service));
  };
  set("h2", ServiceState::standby);
  set("h6", ServiceState::reserved);
  world.kill();  // it is in the catalogue
  for (int i = 0; i < 20; ++i) world.tick();
  for (int i = 0; i < 10; ++i) world.put(fmt::format("o{}", i));
  EXPECT_TRUE(world.world->holdings("h2", 0, 10).value().holdings.empty());
  EXPECT_TRUE(world.world->holdings("h6", 0, 10).value().holdings.empty());
  set("h7", ServiceState::reserved);
  ReshareRequest request;
  request.owner = "alice";
  request.name = "o0";
  request.reason = "the test";
  request.away = "h3";
  const auto taker = [&](const std::string& to) {
    request.to = to;
    const auto job = world.world->plan_reshare(world.world.now, request);
    if (!job.ok()) return job.error().why;
    const Layout& layout = job.value().target;
    return std::string(layout.holders[job.value().share - 1].node);
  };
  EXPECT_EQ(taker(""), "h2");
  EXPECT_EQ(taker("h6"), "h6");
  set("h2", ServiceState::in_service);
  EXPECT_EQ(taker(""), "h2");  // the reserved one is not named
  set("h2", ServiceState::reserved);
  EXPECT_NE(taker("").find("reserved"), std::string::npos);
  set("h2", ServiceState::out_of_service);
  EXPECT_NE(taker("h2").find("out-of-service"), std::string::npos);
  set("h2", ServiceState::standby);
  set("h5", ServiceState::standby);  // with a share, which stays
  request.to.clear();
  const auto job = world.manager->start(world.world.now, request);
  ASSERT_OK(job);
  ASSERT_EQ(world.finish(job.value().id).step, ReshareStep::done);
  const auto object = world.world->stat(world.world.now, "alice", "o0");
  std::set<std::string> holders;
  for (const Holder& holder : object.value().layout.holders) holders.insert(holder.node);
  EXPECT_EQ(holders, (std::set<std::string>{"h1", "h2", "h4", "h5", "h7"}));
}

TEST(Service, ANodeIsForgottenOnceItHoldsNothing) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object object = world.put("a");
  const std::string away = object.layout.holders[0].node;
  const auto refused = [&](const std::string& node) {
    return fails(world.world->remove_node(world.world.now, node), Exit::refused);
  };
  EXPECT_TRUE(fails(world.world->remove_node(world.world.now, "h99"), Exit::not_found));
  EXPECT_TRUE(refused(away));  // up
  world.network.nodes[away].alive = false;
  for (int i = 0; i < 70; ++i) world.tick();
  EXPECT_TRUE(refused(away));  // holds a share
  ASSERT_OK(world.world->replace_node(world.world.now, away, "", "it is old"));
  EXPECT_TRUE(fails(world.world->set_node(world.world.now, away, ServiceState::in_service), Exit::refused));
  EXPECT_TRUE(refused(away));  // being replaced
  for (int i = 0; i < 5000 && !world.world->replacements().value().empty(); ++i) world.tick();
  EXPECT_TRUE(refused(away));  // has not confirmed that it erased
  world.network.nodes[away].alive = true;
  for (int i = 0; i < 50; ++i) world.tick();
  world.network.nodes[away].alive = false;
  for (int i = 0; i < 70; ++i) world.tick();
  ASSERT_OK(world.world->remove_node(world.world.now, away));
  const auto there = [&] {
    const auto nodes = world.world->nodes(world.world.now);
    return std::any_of(nodes.value().begin(), nodes.value().end(),
                       [&](const Node& node) { return node.name == away; });
  };
  EXPECT_FALSE(there());
  world.kill();
  EXPECT_FALSE(there());
}

// It owes more erasures than fit into one transaction, and removed objects wait for it alone.
TEST(Service, ANodeWhoseStoreIsDestroyedOwesNoErasures) {
  const auto database = make_memory_database();
  World world_(*database, seed());
  world_.start_nodes();
  const auto forget = [&](StoreDestroyed destroyed) {
    return world_->remove_node(world_.now, "h1", destroyed);
  };
  const auto others_obey = [&] {
    for (int i = 2; i <= 7; ++i) {
      const std::string node = numbered("h", i);
      while (true) {
        const auto orders = world_.report(node);
        ASSERT_OK(orders);
        if (orders.value().remove.empty()) break;
        Report done = World::report_of(node);
        done.removed = orders.value().remove;
        ASSERT_OK(world_.report(node, done));
      }
    }
  };
  const auto at_h1 = [](const Object& object) {
    return std::any_of(object.layout.holders.begin(), object.layout.holders.end(),
                       [](const Holder& holder) { return holder.node == "h1"; });
  };
  Object held = world_.put("alice", "held");
  for (int i = 0; !at_h1(held); ++i) held = world_.put("alice", fmt::format("held{}", i));
  std::size_t owed = 0;
  for (int i = 0; owed <= page_max; ++i) {
    const Object object = world_.put("alice", fmt::format("o{}", i));
    owed += at_h1(object) ? 1 : 0;
    ASSERT_OK(world_->remove(world_.now, "alice", object.name, object.id));
    if (i % 200 == 0) world_.report_all();
  }
  EXPECT_TRUE(fails(forget(StoreDestroyed::yes), Exit::refused));  // up
  world_.pass(600'000);
  others_obey();
  EXPECT_TRUE(fails(forget(StoreDestroyed::no), Exit::refused));
  EXPECT_EQ(world_->status().value().removals, owed);
  EXPECT_TRUE(fails(forget(StoreDestroyed::yes), Exit::refused));  // a share of it counts still
  EXPECT_EQ(world_->status().value().removals, 0U);
  ASSERT_OK(world_->remove(world_.now, "alice", held.name, held.id));
  others_obey();
  ASSERT_OK(forget(StoreDestroyed::yes));
  world_.restart();  // what is counted is in the catalogue, too
  EXPECT_EQ(world_->status().value().removals, 0U);
  const auto events = world_->events(0, page_max);
  ASSERT_OK(events);
  EXPECT_TRUE(std::any_of(events.value().begin(), events.value().end(), [](const Event& event) {
    return event.kind == "node_store_destroyed" && event.subject == "h1";
  }));
}

}  // namespace
}  // namespace ssn::controller::test
