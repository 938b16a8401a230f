// SPDX-License-Identifier: BSD-3-Clause
// Jobs of re-sharing, with shareholders on paper: docs/resharing.md, "What the control side does".
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "reshare_world.h"

namespace ssn::controller::test {
namespace {

ReshareRequest request_for(ReshareOperation operation, const std::string& name) {
  ReshareRequest request;
  request.operation = operation;
  request.owner = "alice";
  request.name = name;
  request.reason = "the test";
  return request;
}

constexpr ReshareOperation all_operations[] = {ReshareOperation::exchange, ReshareOperation::repair,
                                               ReshareOperation::refresh, ReshareOperation::redistribute};

ReshareRequest request_of(ReshareOperation operation, const Object& object) {
  ReshareRequest request = request_for(operation, object.name);
  if (operation == ReshareOperation::redistribute) {
    request.k = 2;
    request.n = 4;
  }
  if (operation == ReshareOperation::exchange || operation == ReshareOperation::repair) {
    request.away = object.layout.holders[2].node;
  }
  return request;
}

void expect_done(ReshareWorld& world, const Object& before, const ReshareJob& job) {
  ASSERT_EQ(job.step, ReshareStep::done) << job.trouble;
  const auto after = world.world->stat(world.world.now, "alice", before.name);
  ASSERT_OK(after);
  const Layout& layout = after.value().layout;
  if (job.same_generation()) {
    EXPECT_EQ(after.value().generation, before.generation);
    EXPECT_NE(layout.holders[2].node, before.layout.holders[2].node);
    EXPECT_EQ(layout.holders[2].state, ShareState::sealed);
  } else {
    EXPECT_GT(after.value().generation, before.generation);
  }
  if (job.operation == ReshareOperation::redistribute) {
    EXPECT_EQ(layout.k, 2U);
    EXPECT_EQ(layout.n, 4U);
  }
  EXPECT_EQ(count_of(layout, ShareState::sealed), layout.n);
}

TEST(Reshare, MakesSharesAnew) {
  for (const ReshareOperation operation : all_operations) {
    SCOPED_TRACE(name(operation));
    const auto database = make_memory_database();
    ReshareWorld world(*database, seed());
    const Object before = world.put("a");
    const auto job = world.manager->start(world.world.now, request_of(operation, before));
    ASSERT_OK(job);
    const ReshareJob over = world.finish(job.value().id);
    ASSERT_NO_FATAL_FAILURE(expect_done(world, before, over));
    EXPECT_FALSE(over.unverified);
    EXPECT_FALSE(over.computational);
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
    // The next one, of what it became.
    const auto again = world.manager->start(world.world.now, request_for(ReshareOperation::refresh, "a"));
    ASSERT_OK(again);
    EXPECT_NE(again.value().id, over.id);
    EXPECT_GT(again.value().target_generation, over.target_generation);
    EXPECT_EQ(world.finish(again.value().id).step, ReshareStep::done);
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  }
}

// At each transaction of each operation: once so that it is lost, once so that only its answer is.
TEST(Reshare, GoesOnAfterACrashAtEveryTransaction) {
  unsigned crashes = 0;
  for (const ReshareOperation operation : all_operations) {
    for (const bool applied : {false, true}) {
      for (unsigned at = 1;; ++at) {
        SCOPED_TRACE(fmt::format("{} {} {}", name(operation), at, applied));
        const auto database = make_memory_database();
        ReshareWorld world(*database, seed() + at);
        const Object before = world.put("a");
        const auto job = world.manager->start(world.world.now, request_of(operation, before));
        ASSERT_OK(job);
        world.database.fail_commit(at, applied);
        bool over = false;
        for (int i = 0; i < 20'000 && !over; ++i) {
          world.tick();
          ASSERT_FALSE(HasFatalFailure());
          if (world.database.failed() && world.kills == 0) world.kill();
          over = world.world->reshare(job.value().id).value().is_over();
        }
        ASSERT_TRUE(over) << "the job does not end";
        ASSERT_NO_FATAL_FAILURE(expect_done(world, before, world.world->reshare(job.value().id).value()));
        ASSERT_NO_FATAL_FAILURE(world.expect_clean());
        if (world.kills == 0) break;  // all of them are through
        ++crashes;
      }
    }
  }
  EXPECT_GT(crashes, 60U);
  fmt::print("{} crashes\n", crashes);
}

// Without progress for long: an alarm while it lasts, whatever rounds fail and begin again meanwhile.
TEST(Reshare, AJobThatComesNoFurtherIsAnAlarm) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  world.put("a");
  world.network.weather.busy = 1000;
  const auto job = world.manager->start(world.world.now, request_for(ReshareOperation::refresh, "a"));
  ASSERT_OK(job);
  const auto is_raised = [&] {
    const auto page = world.world->alarms(world.world.now, {}, "", page_max);
    EXPECT_OK(page);
    return std::any_of(page.value().alarms.begin(), page.value().alarms.end(),
                       [](const Alarm& alarm) { return alarm.key.type == "reshare_stalled"; });
  };
  for (int i = 0; i < 2980; ++i) world.tick();
  EXPECT_FALSE(is_raised());
  for (int i = 0; i < 60; ++i) world.tick();
  EXPECT_TRUE(is_raised());
  ASSERT_FALSE(world.world->reshare(job.value().id).value().is_over());
  world.network.weather.busy = 0;
  EXPECT_EQ(world.finish(job.value().id).step, ReshareStep::done);
  for (int i = 0; i < 100; ++i) world.tick();
  EXPECT_FALSE(is_raised());
}

// A node says that the round failed before all others were heard of: nobody is asked any more, and nothing
// was waited for but that.
TEST(Reshare, GoesOnWhereARoundFailedBeforeTheCrash) {
  for (const ReshareOperation operation : all_operations) {
    for (unsigned at = 5; at < 60; ++at) {
      SCOPED_TRACE(fmt::format("{} {}", name(operation), at));
      const auto database = make_memory_database();
      ReshareWorld world(*database, seed() + at);
      const Object before = world.put("a");
      const auto job = world.manager->start(world.world.now, request_of(operation, before));
      ASSERT_OK(job);
      for (unsigned i = 0; i < at; ++i) world.tick();
      for (auto& [node, state] : world.network.nodes) {
        const auto found = state.jobs.find(job.value().id);
        if (found == state.jobs.end() || found->second.status.state != ReshareState::running) continue;
        found->second.status.state = ReshareState::failed;
        found->second.status.trouble = ReshareTrouble::peer_lost;
        break;
      }
      world.kill();
      const ReshareJob over = world.finish(job.value().id);
      ASSERT_FALSE(HasFatalFailure());
      ASSERT_TRUE(over.is_over());
    }
  }
}

// At each moment, not only at transactions, with orders and answers on their way.
TEST(Reshare, GoesOnAfterACrashAtEveryMoment) {
  for (const ReshareOperation operation : all_operations) {
    for (unsigned at = 0; at < 120; ++at) {
      SCOPED_TRACE(fmt::format("{} {}", name(operation), at));
      const auto database = make_memory_database();
      ReshareWorld world(*database, seed() + at);
      const Object before = world.put("a");
      const auto job = world.manager->start(world.world.now, request_of(operation, before));
      ASSERT_OK(job);
      for (unsigned i = 0; i < at; ++i) world.tick();
      world.kill();
      const ReshareJob over = world.finish(job.value().id);
      ASSERT_NO_FATAL_FAILURE(expect_done(world, before, over));
    }
  }
}

// Whatever happens: one generation is readable at every moment, and the job is finished or undone.
TEST(Reshare, IsFinishedOrUndoneInAnyWeather) {
  unsigned done = 0;
  unsigned undone = 0;
  for (unsigned round = 0; round < 60; ++round) {
    const std::uint64_t its = seed() * 1000 + round;
    SCOPED_TRACE(fmt::format("seed {}", its));
    std::mt19937_64 random(its);
    const auto database = make_memory_database();
    Policy policy;
    policy.reshare_jobs = 2;
    ReshareWorld world(*database, its, policy);
    world.network.weather = {static_cast<unsigned>(random() % 200), static_cast<unsigned>(random() % 60),
                             static_cast<unsigned>(random() % 12), static_cast<unsigned>(random() % 3), 1};
    world.kill_chance = static_cast<unsigned>(random() % 30);
    std::vector<std::uint64_t> jobs;
    for (const char* const name : {"a", "b", "c"}) {
      const Object object = world.put(name);
      const auto job =
          world.manager->start(world.world.now, request_of(all_operations[random() % 4], object));
      ASSERT_OK(job);
      jobs.push_back(job.value().id);
    }
    for (const std::uint64_t job : jobs) {
      const ReshareJob over = world.finish(job);
      ASSERT_FALSE(HasFatalFailure());
      (over.step == ReshareStep::done ? done : undone) += 1;
    }
    world.network.weather = {};
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  }
  fmt::print("{} done, {} undone\n", done, undone);
  EXPECT_GT(done, 60U);
}

// A file that is closed and opened again when the controller is killed.
class SqliteFile final : public Database {
 public:
  explicit SqliteFile(std::string path) : path_(std::move(path)) { reopen(); }
  void reopen() {
    below_.reset();
    auto opened = open_sqlite_database(path_);
    ASSERT_OK(opened);
    below_ = std::move(opened.value());
  }
  Result<std::optional<std::string>> get(std::string_view key) override { return below_->get(key); }
  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override {
    return below_->scan(from, to, limit);
  }
  Outcome commit(const Changes& changes) override { return below_->commit(changes); }
  std::uint64_t commits() const override { return below_->commits(); }
  Outcome sync(std::uint64_t commits) override { return below_->sync(commits); }
  Outcome adopt() override { return below_->adopt(); }
  std::string trouble() const override { return below_->trouble(); }

 private:
  const std::string path_;
  std::unique_ptr<Database> below_;
};

TEST(Reshare, GoesOnFromTheFileOfTheDatabase) {
  for (const ReshareOperation operation : all_operations) {
    SCOPED_TRACE(name(operation));
    Folder folder;
    SqliteFile database(folder.path("db"));
    ReshareWorld world(database, seed());
    world.on_kill = [&] { database.reopen(); };
    world.kill_chance = 60;
    world.network.weather = {50, 20, 5, 0, 0};
    const Object before = world.put("a");
    const auto job = world.manager->start(world.world.now, request_of(operation, before));
    ASSERT_OK(job);
    world.kill();
    ASSERT_NO_FATAL_FAILURE(expect_done(world, before, world.finish(job.value().id)));
    world.network.weather = {};
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  }
}

TEST(Reshare, OneJobAnObjectAtATime) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object object = world.put("a");
  world.put("b");
  ASSERT_OK(world.manager->start(world.world.now, request_of(ReshareOperation::repair, object)));
  EXPECT_TRUE(fails(world.manager->start(world.world.now, request_for(ReshareOperation::refresh, "a")),
                    Exit::temporary));
  EXPECT_OK(world.manager->start(world.world.now, request_for(ReshareOperation::refresh, "b")));
}

// However many are over: a page of those that run is read from them, not from all.
TEST(Reshare, ListsThoseThatRun) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object object = world.put("a");
  world.put("b");
  for (int i = 0; i < 5; ++i) {
    const auto job = world.manager->start(world.world.now, request_for(ReshareOperation::refresh, "a"));
    ASSERT_OK(job);
    ASSERT_EQ(world.finish(job.value().id).step, ReshareStep::done);
  }
  std::set<std::uint64_t> running;
  for (const char* const name : {"a", "b"}) {
    const auto job = world.manager->start(world.world.now, request_for(ReshareOperation::refresh, name));
    ASSERT_OK(job);
    running.insert(job.value().id);
  }
  const auto all = world.world->reshares(0, 100);
  ASSERT_OK(all);
  EXPECT_EQ(all.value().jobs.size(), 7U);
  const auto first = world.world->reshares(0, 1, "", true);
  ASSERT_OK(first);
  ASSERT_EQ(first.value().jobs.size(), 1U);
  EXPECT_EQ(first.value().jobs[0].id, *running.begin());
  const auto second = world.world->reshares(first.value().next, 100, "alice", true);
  ASSERT_OK(second);
  ASSERT_EQ(second.value().jobs.size(), 1U);
  EXPECT_EQ(second.value().jobs[0].id, *running.rbegin());
  EXPECT_EQ(second.value().next, 0U);
  const auto bobs = world.world->reshares(0, 100, "bob", true);
  ASSERT_OK(bobs);
  EXPECT_TRUE(bobs.value().jobs.empty());
  EXPECT_OK(world.world->reshare(*running.begin(), "alice"));
  EXPECT_TRUE(fails(world.world->reshare(*running.begin(), "bob"), Exit::not_found));
}

// A wrong share is found by the masked check: nothing of it is ever committed.
TEST(Reshare, WrongSharesAreNeverCommitted) {
  for (const ReshareOperation operation : all_operations) {
    SCOPED_TRACE(name(operation));
    const auto database = make_memory_database();
    ReshareWorld world(*database, seed());
    world.network.weather.wrong = 1000;
    const Object before = world.put("a");
    const auto job = world.manager->start(world.world.now, request_of(operation, before));
    ASSERT_OK(job);
    const ReshareJob over = world.finish(job.value().id);
    EXPECT_EQ(over.step, ReshareStep::undone);
    EXPECT_NE(over.trouble.find("masked check failed"), std::string::npos) << over.trouble;
    const auto after = world.world->stat(world.world.now, "alice", "a");
    ASSERT_OK(after);
    EXPECT_EQ(after.value().generation, before.generation);
    EXPECT_EQ(after.value().layout.holders[2].node, before.layout.holders[2].node);
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
    // Another try takes another number, and no node gets a second share of a generation.
    world.network.weather.wrong = 0;
    const auto again = world.manager->start(world.world.now, request_of(operation, before));
    ASSERT_OK(again);
    if (!over.same_generation()) {
      EXPECT_GT(again.value().target_generation, over.target_generation);
    }
    ASSERT_NO_FATAL_FAILURE(expect_done(world, before, world.finish(again.value().id)));
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  }
}

// Two of five are lost: one repair after the other, the last surplus share gone meanwhile.
TEST(Reshare, RepairsWhatDeadNodesHad) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object before = world.put("a");
  for (const int at : {0, 1})
    world.network.nodes[before.layout.holders[static_cast<std::size_t>(at)].node].alive = false;
  for (int i = 0; i < 70; ++i) world.tick();
  std::vector<bool> unverified;
  for (int i = 0; i < 2; ++i) {
    const auto job = world.manager->start(world.world.now, request_for(ReshareOperation::repair, "a"));
    ASSERT_OK(job);
    const std::uint64_t begun_ms = world.world.now.monotonic_ms;
    const ReshareJob over = world.finish(job.value().id);
    ASSERT_EQ(over.step, ReshareStep::done) << over.trouble;
    EXPECT_NE(over.trouble.find("not erased yet"), std::string::npos);
    // Nobody waits for a dead node to erase: the second share is as urgent.
    EXPECT_LT(world.world.now.monotonic_ms - begun_ms, ReshareTiming().cancel_ms / 2);
    unverified.push_back(over.unverified);
  }
  EXPECT_EQ(unverified, (std::vector<bool>{true, false}));
  EXPECT_TRUE(fails(world.manager->start(world.world.now, request_for(ReshareOperation::repair, "a")),
                    Exit::refused));
  // They are back, and told to erase what they had.
  for (const int at : {0, 1})
    world.network.nodes[before.layout.holders[static_cast<std::size_t>(at)].node].alive = true;
  ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  // But they had shares of this generation once, so they get no others.
  const auto object = world.world->stat(world.world.now, "alice", "a");
  ReshareRequest back = request_for(ReshareOperation::repair, "a");
  back.away = object.value().layout.holders[4].node;
  back.to = before.layout.holders[0].node;
  EXPECT_TRUE(fails(world.manager->start(world.world.now, back), Exit::temporary));
}

TEST(Reshare, IsUndoneWhenItIsCancelledOrTheObjectGoes) {
  for (const bool removed : {false, true}) {
    for (const ReshareOperation operation : all_operations) {
      for (unsigned at = 0; at < 60; at += 3) {
        SCOPED_TRACE(fmt::format("{} {} {}", name(operation), at, removed));
        const auto database = make_memory_database();
        ReshareWorld world(*database, seed() + at);
        const Object before = world.put("a");
        const auto job = world.manager->start(world.world.now, request_of(operation, before));
        ASSERT_OK(job);
        for (unsigned i = 0; i < at; ++i) world.tick();
        bool asked = true;
        if (removed) {
          world.names.clear();
          ASSERT_OK(world.world->remove(world.world.now, "alice", "a", 0));
        } else {
          asked = world.manager->cancel(world.world.now, job.value().id, "me").ok();
        }
        const ReshareJob over = world.finish(job.value().id);
        ASSERT_FALSE(HasFatalFailure());
        if (asked && over.step == ReshareStep::done) {
          EXPECT_GT(at, 20U);
        }
        ASSERT_NO_FATAL_FAILURE(world.expect_clean());
        const auto status = world.world->status();
        ASSERT_OK(status);
        EXPECT_EQ(status.value().removals, 0U);
      }
    }
  }
}

TEST(Reshare, ProtectionNeverRisesAndTheMinimumHolds) {
  for (const bool strict : {false, true}) {
    const auto database = make_memory_database();
    Policy policy;
    policy.minimum_protection = strict ? Protection::information_theoretic : Protection::unknown;
    ReshareWorld world(*database, seed(), policy);
    world.network.weather.computational = 300;
    const Object before = world.put("a");
    const auto job = world.manager->start(world.world.now, request_of(ReshareOperation::refresh, before));
    ASSERT_OK(job);
    const ReshareJob over = world.finish(job.value().id);
    EXPECT_EQ(over.step, strict ? ReshareStep::undone : ReshareStep::done) << over.trouble;
    const auto after = world.world->stat(world.world.now, "alice", "a");
    EXPECT_EQ(after.value().protection,
              strict ? Protection::information_theoretic : Protection::computational);
  }
}

TEST(Reshare, NoMoreRunAtATimeThanThePolicySays) {
  const auto database = make_memory_database();
  Policy policy;
  policy.reshare_jobs = 2;
  ReshareWorld world(*database, seed(), policy);
  std::vector<std::uint64_t> jobs;
  for (int i = 0; i < 8; ++i) {
    const Object object = world.put(numbered("o", i));
    const auto job = world.manager->start(world.world.now, request_of(ReshareOperation::repair, object));
    ASSERT_OK(job);
    jobs.push_back(job.value().id);
  }
  std::size_t most = 0;
  for (int i = 0; i < 2000; ++i) {
    world.tick();
    const auto running = world.world->running_reshares();
    ASSERT_OK(running);
    if (running.value().empty()) break;
    most = std::max(most, static_cast<std::size_t>(std::count_if(
                              running.value().begin(), running.value().end(), [](const ReshareJob& job) {
                                return job.round != 0 && job.step < ReshareStep::erase;
                              })));
  }
  EXPECT_EQ(most, 2U);
  for (const std::uint64_t job : jobs) EXPECT_EQ(world.world->reshare(job).value().step, ReshareStep::done);
}

TEST(Reshare, WhatCannotBeDoneIsRefused) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object object = world.put("a");
  const Now now = world.world.now;
  ReshareRequest request = request_for(ReshareOperation::repair, "a");
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::refused));  // nothing is lost
  request.away = "h99";
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::refused));
  request.away = object.layout.holders[0].node;
  request.to = object.layout.holders[1].node;  // has a share
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::temporary));
  request = request_for(ReshareOperation::redistribute, "a");
  request.k = 5;
  request.n = 4;
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::usage));
  request.k = 1;
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::usage));
  request.k = 3;
  request.n = 8;  // seven nodes
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request), Exit::temporary));
  EXPECT_TRUE(fails(world.world->plan_reshare(now, request_for(ReshareOperation::check, "a")), Exit::usage));
  EXPECT_TRUE(
      fails(world.world->plan_reshare(now, request_for(ReshareOperation::refresh, "b")), Exit::not_found));
  EXPECT_OK(world.world->plan_reshare(now, request_for(ReshareOperation::refresh, "a")));
  EXPECT_TRUE(world.world->running_reshares().value().empty());  // a plan begins nothing
}

// There is nothing to make, but somebody has to be named for each share: or nodes could not be replaced.
TEST(Reshare, SharesOfAnEmptyObjectChangeHandsAtOnce) {
  for (const ReshareOperation operation : all_operations) {
    SCOPED_TRACE(name(operation));
    const auto database = make_memory_database();
    ReshareWorld world(*database, seed());
    const Object before = world.put("a", 0);
    ASSERT_EQ(before.cells, 0U);
    world.names.clear();  // on paper nobody has it
    const auto job = world.manager->start(world.world.now, request_of(operation, before));
    ASSERT_OK(job);
    world.kill_chance = 200;
    const ReshareJob over = world.finish(job.value().id);
    ASSERT_NO_FATAL_FAILURE(expect_done(world, before, over));
    EXPECT_EQ(world.network.orders, 0U);
  }
}

TEST(Reshare, ANodeIsReplacedObjectByObject) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  world.kill_chance = 5;
  for (int i = 0; i < 90; ++i) world.put(fmt::format("o{:02}", i), 3000);
  const std::string away = "h3";
  std::size_t held = world.world->holdings(away, 0, 1000).value().holdings.size();
  ASSERT_GT(held, 50U);
  world.network.nodes[away].alive = false;
  ASSERT_OK(world.world->replace_node(world.world.now, away, "", "its disk is broken"));
  for (int i = 0; i < 40'000 && !world.world->replacements().value().empty(); ++i) {
    world.tick();
    ASSERT_FALSE(HasFatalFailure());
    if (i % 500 == 250) world.kill();
  }
  EXPECT_TRUE(world.world->replacements().value().empty());
  for (const std::string& name : world.names) {
    const auto object = world.world->stat(world.world.now, "alice", name);
    for (const Holder& holder : object.value().layout.holders) EXPECT_NE(holder.node, away) << name;
  }
}

// Soon after an order, since small objects are done at once; less and less often then.
TEST(Reshare, NodesAreLookedAtSoonAfterAnOrder) {
  const auto database = make_memory_database();
  ReshareWorld world(*database, seed());
  const Object object = world.put("a");
  std::vector<std::uint64_t> looks;  // at one of those that give
  const std::string giver = object.layout.holders[0].node;
  world.network.on_ask = [&](const NodeQuestion& question) {
    if (question.call == NodeCall::list && question.node == giver) {
      looks.push_back(world.world.now.monotonic_ms);
    }
  };
  const auto job = world.manager->start(world.world.now, request_of(ReshareOperation::repair, object));
  ASSERT_OK(job);
  world.network.nodes[job.value().target.holders[2].node].alive = false;  // so nothing comes of it
  const std::uint64_t begun = world.world.now.monotonic_ms;
  for (int i = 0; i < 200 && (looks.empty() || looks[0] + 10'000 > world.world.now.monotonic_ms); ++i) {
    world.tick();
  }
  ASSERT_FALSE(looks.empty());
  const auto before = [&](std::uint64_t ms) {
    return std::count_if(looks.begin(), looks.end(), [&](auto at) { return at < looks[0] + ms; });
  };
  EXPECT_GE(before(1500), 3) << looks[0] - begun;
  EXPECT_LE(before(10'000), 26);
}

// A job begins with the most that nodes may have under way; one that has no memory for so much gets less,
// until it has.
TEST(Reshare, AsksForLessWhereANodeHasLittleMemory) {
  for (const unsigned room : {1000U, 100U, 20U, 3U}) {
    SCOPED_TRACE(room);
    const auto database = make_memory_database();
    ReshareWorld world(*database, seed());
    world.network.room = room;
    const Object before = world.put("a");
    const auto job = world.manager->start(world.world.now, request_of(ReshareOperation::repair, before));
    ASSERT_OK(job);
    EXPECT_EQ(job.value().window, 16U);
    const ReshareJob over = world.finish(job.value().id);
    ASSERT_NO_FATAL_FAILURE(expect_done(world, before, over));
    EXPECT_LE(over.window * over.unit_cells, room);
    EXPECT_GT(2 * over.window * over.unit_cells, std::min(room, 256U));
  }
}

// With one job at a time and others to come there is nearly always one that runs, however short they are.
TEST(Reshare, AReplacementDoesNotPauseBetweenJobs) {
  const auto database = make_memory_database();
  Policy policy;
  policy.reshare_jobs = 1;
  ReshareWorld world(*database, seed(), policy);
  for (int i = 0; i < 40; ++i) world.put(numbered("o", i), 3000);
  const std::string away = "h3";
  const std::size_t held = world.world->holdings(away, 0, 1000).value().holdings.size();
  ASSERT_GT(held, 15U);
  for (int i = 0; i < 40; ++i) world.tick();
  world.tick_ms = 10;
  world.network.weather.busy = 0;
  ASSERT_OK(world.world->replace_node(world.world.now, away, "", "its disk is broken"));
  std::size_t idle = 0;
  for (int i = 0; i < 20'000; ++i) {
    world.tick();
    const auto stands = world.world->replacements();
    ASSERT_OK(stands);
    if (stands.value().empty() || stands.value()[0].started == held) break;
    const std::vector<ReshareJob> jobs = world.world->running_reshares().value();
    const bool runs =
        std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return job.step < ReshareStep::erase; });
    idle += runs ? 0 : 1;
  }
  fmt::print("{} jobs, {} ticks without one\n", held, idle);
  EXPECT_LE(idle, 5 * held + 100);
}

TEST(Reshare, AHolderThatIsDownForLongIsReplacedByPolicy) {
  const auto database = make_memory_database();
  Policy policy;
  policy.reshare_after_ms = 20'000;
  ReshareWorld world(*database, seed(), policy);
  const Object before = world.put("a");
  const std::string away = before.layout.holders[1].node;
  world.network.nodes[away].alive = false;
  for (int i = 0; i < 150; ++i) world.tick();
  EXPECT_TRUE(world.world->replacements().value().empty());  // it may come back
  for (int i = 0; i < 1500; ++i) world.tick();
  const auto after = world.world->stat(world.world.now, "alice", "a");
  for (const Holder& holder : after.value().layout.holders) EXPECT_NE(holder.node, away);
  world.network.nodes[away].alive = true;
  ASSERT_NO_FATAL_FAILURE(world.expect_clean());
}

// What says that a node failed counts, not only that it is silent; and only as long as it stands.
TEST(Reshare, AHolderWhoseStoreFailedIsReplacedByPolicy) {
  const auto database = make_memory_database();
  Policy policy;
  policy.reshare_after_ms = 20'000;
  ReshareWorld world(*database, seed(), policy);
  const Object before = world.put("a");
  const std::string away = before.layout.holders[1].node;
  world.failed_store = away;
  for (int i = 0; i < 190; ++i) world.tick();
  EXPECT_TRUE(world.world->replacements().value().empty());
  for (int i = 0; i < 40 && world.world->replacements().value().empty(); ++i) world.tick();
  ASSERT_EQ(world.world->replacements().value().size(), 1U);
  EXPECT_EQ(world.world->replacements().value()[0].reason, "alarm store_failed");
  world.failed_store.clear();
  for (int i = 0; i < 20; ++i) world.tick();
  EXPECT_TRUE(world.world->replacements().value().empty());
}

// The time counts from when this controller knows it, whatever the clock on the wall says.
TEST(Reshare, ARestartCountsAnew) {
  const auto database = make_memory_database();
  Policy policy;
  policy.reshare_after_ms = 20'000;
  ReshareWorld world(*database, seed(), policy);
  const Object before = world.put("a");
  world.network.nodes[before.layout.holders[1].node].alive = false;
  for (int i = 0; i < 200; ++i) world.tick();
  world.world.now.wall_ms += 1'000'000;
  world.kill();
  for (int i = 0; i < 180; ++i) world.tick();
  EXPECT_TRUE(world.world->replacements().value().empty());
  for (int i = 0; i < 40 && world.world->replacements().value().empty(); ++i) world.tick();
  EXPECT_FALSE(world.world->replacements().value().empty());
}

}  // namespace
}  // namespace ssn::controller::test
