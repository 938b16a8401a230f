// SPDX-License-Identifier: BSD-3-Clause
// A node's shares go to others: which objects are begun with, and when it ends. What becomes of the jobs:
// reshare_test.cpp.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "support.h"

namespace ssn::controller::test {
namespace {

constexpr const char* away = "h3";

bool is_holder(const Object& object, const std::string& node) {
  return std::any_of(object.layout.holders.begin(), object.layout.holders.end(),
                     [&](const Holder& holder) { return holder.node == node; });
}

// A catalogue of which h3 goes down. Jobs are carried out by nobody: they are over when the test says so.
class ReplacementWorld : public World {
 public:
  explicit ReplacementWorld(Database& database, Policy policy = {}) : World(database, seed(), policy) {
    start_nodes();
  }

  // With a share at h3.
  Object put_there(const std::string& name) {
    for (int i = 0; i < 100; ++i) {
      Object object = put("alice", name);
      if (is_holder(object, away)) return object;
      EXPECT_OK((*this)->remove(now, "alice", name, 0));
    }
    ADD_FAILURE() << "no object of a hundred has a share at " << away;
    return {};
  }

  // h3 says nothing, the others carry out what they are ordered.
  void pass_without(std::uint64_t ms) {
    for (std::uint64_t passed = 0; passed < ms; passed += 1000) {
      pass(1000);
      report_without();
      ASSERT_OK((*this)->tick(now));
    }
  }
  void report_without() {
    for (int i = 1; i <= 7; ++i) {
      const std::string node = numbered("h", i);
      if (node == away) continue;
      const auto orders = report(node);
      ASSERT_OK(orders);
      Report done = report_of(node);
      done.removed = orders.value().remove;
      ASSERT_OK(report(node, done));
    }
    ASSERT_OK(report("s"));
  }

  void finish(const ReshareJob& job) {
    const auto committed = (*this)->commit_reshare(now, job);
    ASSERT_OK(committed);
    report_without();
    const auto over = (*this)->clean_reshare(now, committed.value(), true);
    ASSERT_OK(over);
    ASSERT_EQ(over.value().step, ReshareStep::done) << over.value().trouble;
  }
  // h3 has its share of the new generation, and that of before, which it does not erase.
  void refresh(const std::string& name) {
    ReshareRequest request;
    request.operation = ReshareOperation::refresh;
    request.owner = "alice";
    request.name = name;
    const auto job = (*this)->start_reshare(now, request);
    ASSERT_OK(job);
    ASSERT_NO_FATAL_FAILURE(finish(job.value()));
  }

  std::size_t count(const std::string& kind) {
    const auto events = (*this)->events(0, 1000);
    EXPECT_OK(events);
    return static_cast<std::size_t>(std::count_if(events.value().begin(), events.value().end(),
                                                  [&](const Event& event) { return event.kind == kind; }));
  }
  // What the manager does each second.
  void step_for(std::uint64_t ms) {
    for (std::uint64_t passed = 0; passed < ms; passed += 1000) {
      pass_without(1000);
      const auto jobs = (*this)->step_replacements(now, 10);
      ASSERT_OK(jobs);
      for (const ReshareJob& job : jobs.value()) ASSERT_NO_FATAL_FAILURE(finish(job));
    }
  }

  // Until the replacement is over; the objects that jobs were begun with.
  std::vector<std::uint64_t> replace_all(std::size_t room) {
    std::vector<std::uint64_t> objects;
    for (int i = 0; i < 1000 && !(*this)->replacements().value().empty(); ++i) {
      pass_without(1000);
      const auto jobs = (*this)->step_replacements(now, room);
      EXPECT_OK(jobs);
      for (const ReshareJob& job : jobs.value()) {
        objects.push_back(job.object);
        finish(job);
      }
    }
    EXPECT_TRUE((*this)->replacements().value().empty()) << "it does not end";
    return objects;
  }
};

// A generation of before, which the node did not erase yet, lies before the one that counts. Where a step
// ends between the two, by its room or its page, the object is not passed over.
TEST(Replacement, EndsNoStepWithinAnObject) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database);
  const Object object = world.put_there("a");
  world.pass_without(10'000);
  world.refresh("a");
  ASSERT_EQ(world->holdings(away, 0, 10).value().holdings.size(), 2U);
  ASSERT_OK(world->replace_node(world.now, away, "", "its disk is broken"));
  ASSERT_TRUE(world->step_replacements(world.now, 0).value().empty());
  ASSERT_EQ(world->replacements().value().size(), 1U) << "it is over, and the share is still there";
  EXPECT_EQ(world.replace_all(1), std::vector<std::uint64_t>{object.id});
}

TEST(Replacement, TakesWholeObjectsForAPage) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database);
  std::map<std::uint64_t, std::string> there;
  for (int i = 0; i < 35; ++i) there[world.put_there(numbered("o", i)).id] = numbered("o", i);
  world.pass_without(10'000);
  // All but the first one have two generations there, so that the page, of 64, ends between two.
  for (auto at = std::next(there.begin()); at != there.end(); ++at) world.refresh(at->second);
  const std::vector<Holding> all = world->holdings(away, 0, 1000).value().holdings;
  ASSERT_EQ(all.size(), 69U);
  ASSERT_EQ(all[63].key.object, all[64].key.object);
  ASSERT_OK(world->replace_node(world.now, away, "", "its disk is broken"));
  std::vector<std::uint64_t> objects = world.replace_all(1000);
  std::sort(objects.begin(), objects.end());
  EXPECT_TRUE(std::equal(objects.begin(), objects.end(), there.begin(), there.end(),
                         [](std::uint64_t object, const auto& each) { return object == each.first; }))
      << objects.size() << " of " << there.size();
}

// What is planned is what would be begun with: each object once, however many generations the node has of it.
TEST(Replacement, PlansWhatItBeginsWith) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database);
  const Object object = world.put_there("a");
  const Object moved = world.put_there("b");
  const Object removed = world.put_there("c");
  world.pass_without(10'000);
  world.refresh("a");
  ReshareRequest request;
  request.object = moved.id;
  request.away = away;
  const auto job = world->start_reshare(world.now, request);
  ASSERT_OK(job);
  ASSERT_NO_FATAL_FAILURE(world.finish(job.value()));  // but h3 has not erased it
  ASSERT_OK(world->remove(world.now, "alice", "c", 0));
  ASSERT_EQ(world->holdings(away, 0, 10).value().holdings.size(), 4U);
  const auto plan = world->plan_replacement(world.now, away, "", 0, 100);
  ASSERT_OK(plan);
  ASSERT_EQ(plan.value().planned.size(), 1U);
  EXPECT_EQ(plan.value().planned[0].object, object.id);
  EXPECT_TRUE(plan.value().troubles.empty());
  ASSERT_OK(world->replace_node(world.now, away, "", "its disk is broken"));
  EXPECT_EQ(world.replace_all(10), std::vector<std::uint64_t>{object.id});
}

// A job that may yet make the node a holder is waited for.
TEST(Replacement, WaitsForJobsThatGiveTheNodeAShare) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database);
  Object object = world.put("alice", "a");
  while (is_holder(object, away)) object = world.put("alice", "a");
  ReshareRequest request;
  request.object = object.id;
  request.away = object.layout.holders[0].node;
  request.to = away;
  const auto job = world->start_reshare(world.now, request);
  ASSERT_OK(job);
  world.pass_without(10'000);
  ASSERT_OK(world->replace_node(world.now, away, "", "its disk is broken"));
  EXPECT_TRUE(world->step_replacements(world.now, 10).value().empty());
  ASSERT_EQ(world->replacements().value().size(), 1U) << "it is over before the node got its share";
  ASSERT_NO_FATAL_FAILURE(world.finish(job.value()));
  EXPECT_EQ(world.replace_all(10), std::vector<std::uint64_t>{object.id});
}

Policy down_for_20_s() {
  Policy policy;
  policy.reshare_after_ms = 20'000;
  return policy;
}

// What it should erase stays in its rows until it is back: that begins nothing again, also not after a
// restart of the controller. Back, and down for long once more, it is replaced once more.
TEST(Replacement, BeginsOnceByItself) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database, down_for_20_s());
  world.put_there("a");
  ASSERT_NO_FATAL_FAILURE(world.step_for(60'000));
  EXPECT_FALSE(is_holder(world->stat(world.now, "alice", "a").value(), away));
  EXPECT_EQ(world->holdings(away, 0, 10).value().holdings.size(), 1U);
  EXPECT_EQ(world.count("replacement_started"), 1U);
  EXPECT_EQ(world.count("replacement_done"), 1U);
  world.restart();
  ASSERT_NO_FATAL_FAILURE(world.step_for(60'000));
  EXPECT_EQ(world.count("replacement_started"), 1U);

  for (int i = 0; i < 10; ++i) {  // until the alarm is over
    ASSERT_OK(world.report(away));
    ASSERT_NO_FATAL_FAILURE(world.step_for(1000));
  }
  ASSERT_OK(world.report(away));
  world.put_there("b");
  ASSERT_NO_FATAL_FAILURE(world.step_for(60'000));
  EXPECT_EQ(world.count("replacement_started"), 2U);
  EXPECT_EQ(world.count("replacement_done"), 2U);
  EXPECT_FALSE(is_holder(world->stat(world.now, "alice", "b").value(), away));
}

TEST(Replacement, StaysCancelled) {
  const auto database = make_memory_database();
  ReplacementWorld world(*database, down_for_20_s());
  world.put_there("a");
  ASSERT_NO_FATAL_FAILURE(world.pass_without(30'000));
  ASSERT_TRUE(world->step_replacements(world.now, 0).value().empty());
  ASSERT_EQ(world->replacements().value().size(), 1U);
  ASSERT_OK(world->cancel_replacement(world.now, away));
  ASSERT_NO_FATAL_FAILURE(world.step_for(30'000));
  world.restart();
  ASSERT_NO_FATAL_FAILURE(world.step_for(30'000));
  EXPECT_TRUE(world->replacements().value().empty());
  EXPECT_EQ(world.count("replacement_started"), 1U);
  EXPECT_TRUE(is_holder(world->stat(world.now, "alice", "a").value(), away));
  // An operator may still want it.
  ASSERT_OK(world->replace_node(world.now, away, "", "its disk is broken"));
  EXPECT_EQ(world.replace_all(10).size(), 1U);
}

}  // namespace
}  // namespace ssn::controller::test
