// SPDX-License-Identifier: BSD-3-Clause
// What begins by itself: lost shares are made again, old ones renewed; when, in which order, and when not.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "reshare_world.h"

namespace ssn::controller::test {
namespace {

constexpr std::uint64_t minute_ms = 60'000;

Policy policy_of(std::uint64_t repair_after_ms, std::uint64_t refresh_every_ms) {
  Policy policy;
  policy.repair_after_ms = repair_after_ms;
  policy.refresh_every_ms = refresh_every_ms;
  return policy;
}

class UpkeepWorld : public ReshareWorld {
 public:
  UpkeepWorld(Database& below, std::uint64_t random_seed, const Policy& policy)
      : ReshareWorld(below, random_seed, policy) {}

  void live(std::uint64_t ms) {
    for (std::uint64_t passed = 0; passed < ms && !testing::Test::HasFatalFailure(); passed += tick_ms)
      tick();
  }
  // Until it holds; false: it does not within that time.
  bool wait_for(const std::function<bool()>& what, std::uint64_t most_ms) {
    for (std::uint64_t passed = 0; passed < most_ms && !testing::Test::HasFatalFailure(); passed += tick_ms) {
      if (what()) return true;
      tick();
    }
    return what();
  }
  Object stat(const std::string& name) {
    const auto object = world->stat(world.now, "alice", name);
    EXPECT_OK(object);
    return object.value();
  }
  bool is_whole(const std::string& name) {
    return count_of(stat(name).layout, ShareState::sealed) == stat(name).layout.n;
  }
  std::vector<ReshareJob> jobs() {
    const auto page = world->reshares(0, page_max);
    EXPECT_OK(page);
    return page.value().jobs;
  }
  Upkeep upkeep() {
    const auto upkeep = world->upkeep(world.now);
    EXPECT_OK(upkeep);
    return upkeep.value();
  }
  std::set<std::string> raised() {
    std::set<std::string> all;
    const auto page = world->alarms(world.now, {}, "", page_max);
    EXPECT_OK(page);
    for (const Alarm& alarm : page.value().alarms) all.insert(alarm.key.type);
    return all;
  }

  // Objects of which every node had a share of this generation: nobody may have another one.
  std::uint64_t helpless() {
    std::uint64_t count = 0;
    for (const std::string& name : names) {
      ReshareRequest request;
      request.operation = ReshareOperation::repair;
      request.owner = "alice";
      request.name = name;
      const auto plan = world->plan_reshare(world.now, request);
      const bool none = !plan.ok() && plan.error().why.ends_with("had a share of this generation");
      count += none ? 1 : 0;
    }
    return count;
  }

  // The indices say what the objects' records say.
  void check_indices() {
    std::set<std::string> expected;
    const auto objects = database.scan(keys::object(0), keys::end_of("o"), 100'000);
    ASSERT_OK(objects);
    for (const Row& row : objects.value()) {
      const auto record = decode<ObjectRecord>(row.key, row.value);
      ASSERT_OK(record);
      const Object& object = record.value().object;
      const std::uint32_t sealed = count_of(object.layout, ShareState::sealed);
      if (object.state != ObjectState::committed) continue;
      expected.insert(keys::age(object.generation_ms, object.id));
      if (sealed < object.layout.n && sealed >= object.layout.k) {
        expected.insert(keys::repair(sealed - object.layout.k, object.id));
      }
    }
    std::set<std::string> got;
    for (const std::string_view index : {keys::all_ages, keys::all_repairs}) {
      const auto rows = database.scan(index, keys::end_of(std::string(index)), 100'000);
      ASSERT_OK(rows);
      for (const Row& row : rows.value()) got.insert(row.key);
    }
    ASSERT_EQ(got, expected);
  }
};

TEST(Upkeep, ALostShareIsMadeAgainAfterAWhile) {
  for (const ShareDamage damage : {ShareDamage::missing, ShareDamage::incomplete, ShareDamage::damaged}) {
    const auto database = make_memory_database();
    UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
    const Object before = world.put("a");
    world.live(1000);
    world.lose(before, 2, damage);
    world.live(19'000);
    EXPECT_TRUE(world.jobs().empty()) << "it may be there after all";
    EXPECT_EQ(world.upkeep().lost, 1U);
    ASSERT_TRUE(world.wait_for([&] { return world.is_whole("a"); }, minute_ms));
    ASSERT_EQ(world.jobs().size(), 1U);
    const ReshareJob job = world.jobs()[0];
    EXPECT_EQ(job.share, 2U);
    EXPECT_NE(job.reason.find("repair_after"), std::string::npos);
    const bool same = world.stat("a").layout.holders[1].node == before.layout.holders[1].node;
    EXPECT_EQ(same, damage == ShareDamage::missing) << "a store never changes what it has";
    EXPECT_EQ(world.upkeep().lost, 0U);
    ASSERT_NO_FATAL_FAILURE(world.check_indices());
    ASSERT_NO_FATAL_FAILURE(world.expect_clean());
  }
}

TEST(Upkeep, WhatIsMendedMeanwhileIsNot) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  const Object object = world.put("a");
  for (int i = 0; i < 5; ++i) {  // it comes and goes: never lost for long enough
    world.damaged[object.layout.holders[1].node] = {{object.key(), ShareDamage::missing}};
    world.live(15'000);
    world.damaged[object.layout.holders[1].node] = {{object.key(), ShareDamage::mended}};
    world.live(15'000);
  }
  EXPECT_TRUE(world.jobs().empty());
  EXPECT_TRUE(world.is_whole("a"));
}

TEST(Upkeep, NothingBeginsWithoutAPolicy) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), Policy());
  world.lose(world.put("a"), 2);
  world.tick_ms = 1000;
  world.live(120 * minute_ms);
  EXPECT_TRUE(world.jobs().empty());
  EXPECT_EQ(world.upkeep().lost, 1U);
  EXPECT_EQ(world.upkeep().repair_after_ms, 0U);
}

// A write that came to fewer holders than it should.
TEST(Upkeep, SharesThatWereNeverSealedAreMade) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  const auto ticket = world.world->begin_write(world.world.now, "alice", world.world.request("a"));
  ASSERT_OK(ticket);
  const Object object = ticket.value().object;
  SealedReport seal = World::seal(object, 4);
  seal.protection = Protection::information_theoretic;
  ASSERT_OK(world.world->sealed(world.world.now, "s", seal));
  ASSERT_OK(world.world->commit(world.world.now, "alice", object.key(), false));
  world.network.give(world.stat("a"));
  world.network.nodes[object.layout.holders[4].node].store.erase(object.key());
  world.names.insert("a");
  ASSERT_TRUE(world.wait_for([&] { return world.is_whole("a"); }, minute_ms));
  ASSERT_NO_FATAL_FAILURE(world.check_indices());
}

TEST(Upkeep, ACancelledRepairIsNotBegunAgain) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  const Object object = world.put("a");
  world.network.weather.busy = 1000;
  world.lose(object, 2);
  ASSERT_TRUE(world.wait_for([&] { return !world.jobs().empty(); }, minute_ms));
  ASSERT_OK(world.manager->cancel(world.world.now, world.jobs()[0].id, "bob"));
  world.network.weather.busy = 0;
  world.tick_ms = 1000;
  world.live(40 * minute_ms);
  world.kill();
  world.live(100 * minute_ms);
  EXPECT_FALSE(world.is_whole("a")) << "somebody did not want that";
  EXPECT_EQ(world.upkeep().held, 1U);
  // Another one is lost: that is something else.
  world.lose(object, 3);
  ASSERT_TRUE(world.wait_for([&] { return world.is_whole("a"); }, 5 * minute_ms));
  EXPECT_EQ(world.upkeep().lost, 0U);
}

// One alarm for all of them, however many they are; and they are tried again, later and later.
TEST(Upkeep, WhatWasUndoneIsTriedAgain) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  for (const char* const name : {"a", "b", "c"}) world.lose(world.put(name), 2, ShareDamage::damaged);
  world.network.weather.fails = 1000;
  const auto undone = [&] {
    const std::vector<ReshareJob> all = world.jobs();
    return std::count_if(all.begin(), all.end(),
                         [](const ReshareJob& job) { return job.step == ReshareStep::undone; });
  };
  ASSERT_TRUE(world.wait_for([&] { return undone() == 3; }, 20 * minute_ms));
  const std::uint64_t then = world.world.now.monotonic_ms;
  world.live(2000);
  const auto page = world.world->alarms(world.world.now, {}, "", page_max);
  ASSERT_EQ(page.value().alarms.size(), 1U);
  EXPECT_EQ(page.value().alarms[0].key.type, "reshare_undone");
  EXPECT_EQ(page.value().alarms[0].key.resource, "network");
  EXPECT_EQ(world.jobs().size(), 3U) << "at once";
  world.network.weather.fails = 0;
  ASSERT_TRUE(world.wait_for(
      [&] { return world.is_whole("a") && world.is_whole("b") && world.is_whole("c"); }, 5 * minute_ms));
  EXPECT_GT(world.world.now.monotonic_ms - then, 30'000U);
  world.live(2000);
  EXPECT_TRUE(world.raised().empty());
}

TEST(Upkeep, TheMostUrgentIsRepairedFirst) {
  const auto database = make_memory_database();
  Policy policy = policy_of(20'000, 0);
  policy.reshare_jobs = 1;
  UpkeepWorld world(*database, seed(), policy);
  std::vector<Object> objects;
  for (int i = 0; i < 8; ++i) objects.push_back(world.put(numbered("o", i)));
  for (const Object& object : objects) world.lose(object, 2);
  const Object& urgent = *std::max_element(objects.begin(), objects.end(),
                                           [](const Object& a, const Object& b) { return a.id < b.id; });
  world.lose(urgent, 4);
  ASSERT_TRUE(world.wait_for([&] { return !world.jobs().empty(); }, minute_ms));
  const std::vector<ReshareJob> first = world.jobs();
  EXPECT_TRUE(std::any_of(first.begin(), first.end(),
                          [&](const ReshareJob& job) { return job.object == urgent.id; }));
  EXPECT_LE(first.size(), 2U) << "the policy allows one at a time, and one that waits";
  ASSERT_TRUE(world.wait_for([&] { return world.upkeep().lost == 0; }, 60 * minute_ms));
  ASSERT_NO_FATAL_FAILURE(world.expect_clean());
}

// Its node may be back in a moment; what is lost is lost.
TEST(Upkeep, ANodeThatIsDownIsNotALostShare) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  const Object object = world.put("a");
  world.network.nodes[object.layout.holders[0].node].alive = false;
  world.lose(object, 3);
  ASSERT_TRUE(world.wait_for([&] { return world.is_whole("a"); }, 2 * minute_ms));
  world.live(2 * minute_ms);
  ASSERT_EQ(world.jobs().size(), 1U);
  EXPECT_EQ(world.jobs()[0].share, 3U);
}

TEST(Upkeep, OldSharesAreRenewedTheOldestFirst) {
  const auto database = make_memory_database();
  Policy policy = policy_of(0, 10 * minute_ms);
  policy.reshare_jobs = 1;
  UpkeepWorld world(*database, seed(), policy);
  std::vector<Object> objects;
  for (int i = 0; i < 4; ++i) {
    objects.push_back(world.put(numbered("o", i)));
    world.live(2 * minute_ms);
  }
  EXPECT_TRUE(world.jobs().empty());
  EXPECT_EQ(world.stat("o0").generation_age_ms, 8 * minute_ms);
  for (int i = 0; i < 4; ++i) {
    const std::string name = numbered("o", i);
    ASSERT_TRUE(world.wait_for([&] { return world.stat(name).generation == 2; }, 3 * minute_ms)) << i;
    EXPECT_LT(world.stat(name).generation_age_ms, minute_ms);
    for (int later = i + 1; later < 4; ++later) EXPECT_EQ(world.stat(numbered("o", later)).generation, 1U);
  }
  ASSERT_NO_FATAL_FAILURE(world.check_indices());
  EXPECT_TRUE(world.raised().empty());
  // And again, after the same time.
  EXPECT_TRUE(world.wait_for([&] { return world.stat("o3").generation == 3; }, 12 * minute_ms));
}

TEST(Upkeep, NothingIsRenewedBesideARepairThatWaits) {
  const auto database = make_memory_database();
  Policy policy = policy_of(20'000, 5 * minute_ms);
  policy.reshare_jobs = 2;
  UpkeepWorld world(*database, seed(), policy);
  std::vector<Object> objects;
  for (int i = 0; i < 6; ++i) objects.push_back(world.put(numbered("o", i)));
  world.live(5 * minute_ms - 40'000);
  for (int i = 0; i < 5; ++i) world.lose(objects[static_cast<std::size_t>(i)], 1);
  std::set<std::uint64_t> seen;
  const bool renewed = world.wait_for(
      [&] {
        bool all = true;
        for (const ReshareJob& job : world.jobs()) {
          if (!seen.insert(job.id).second || job.operation != ReshareOperation::refresh) continue;
          EXPECT_EQ(world.upkeep().lost, 0U) << "an object waits to be repaired";
        }
        for (int i = 0; i < 6; ++i) all = all && world.stat(numbered("o", i)).generation == 2;
        return all;
      },
      60 * minute_ms);
  EXPECT_TRUE(renewed);
}

// While the controller runs its clock is no clock on the wall, whichever way that one jumps.
// What ran when there was no room for the repair may have ended when there is for a renewal.
TEST(Upkeep, ARepairWithoutRoomHoldsRenewalsUp) {
  for (const bool lost : {false, true}) {
    const auto database = make_memory_database();
    UpkeepWorld world(*database, seed(), policy_of(20'000, 10 * minute_ms));
    const Object object = world.put("a");
    (void)world.put("b");
    world.live(10 * minute_ms - 15'000);
    if (lost) world.lose(object, 1);
    world.live(10'000);
    ASSERT_TRUE(world.jobs().empty());
    EXPECT_EQ(world.upkeep().lost, lost ? 1U : 0U);
    world.world.pass(20'000);  // both are due
    world.report();
    const auto started = world.world->step_upkeep(world.world.now, {0, 1});
    ASSERT_OK(started);
    ASSERT_EQ(started.value().size(), lost ? 0U : 1U);
    if (!lost) continue;
    const auto then = world.world->step_upkeep(world.world.now, {1, 1});
    ASSERT_OK(then);
    ASSERT_EQ(then.value().size(), 1U);
    EXPECT_EQ(then.value()[0].operation, ReshareOperation::repair);
  }
}

TEST(Upkeep, ClocksThatJumpRenewNothingTooEarlyAndNothingNever) {
  constexpr std::uint64_t year_ms = 365ULL * 24 * 3600 * 1000;
  for (const bool forward : {true, false}) {
    for (const bool restart : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", forward, restart));
      const auto database = make_memory_database();
      UpkeepWorld world(*database, seed(), policy_of(0, 30 * minute_ms));
      world.put("a");
      world.tick_ms = 1000;
      world.live(10 * minute_ms);
      world.world.now.wall_ms += forward ? year_ms : -year_ms;
      world.live(5 * minute_ms);
      if (restart) world.kill();
      world.live(14 * minute_ms - 5000);
      EXPECT_EQ(world.stat("a").generation, 1U) << "too early";
      ASSERT_TRUE(world.wait_for([&] { return world.stat("a").generation == 2; }, 3 * minute_ms));
      world.live(25 * minute_ms);
      EXPECT_EQ(world.stat("a").generation, 2U);
    }
  }
}

// What passed while no controller ran counts, as far as the clock on the wall knows it.
TEST(Upkeep, AgesGoOnWhileTheControllerIsAway) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(0, 30 * minute_ms));
  world.put("a");
  world.tick_ms = 1000;
  world.live(2 * minute_ms);
  const std::uint64_t age = world.stat("a").generation_age_ms;
  world.world.now.wall_ms += 20 * minute_ms;
  world.kill();
  EXPECT_NEAR(static_cast<double>(world.stat("a").generation_age_ms),
              static_cast<double>(age + 20 * minute_ms), static_cast<double>(minute_ms));
  world.live(2000);
  world.world.now.wall_ms -= 600 * minute_ms;
  world.kill();
  EXPECT_GE(world.stat("a").generation_age_ms, age + 19 * minute_ms) << "it went back";
}

TEST(Upkeep, RenewalsThatAreLateAreAnAlarm) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(0, 10 * minute_ms));
  const Object object = world.put("a");
  world.put("b");
  world.tick_ms = 1000;
  world.lose(object, 2);  // a renewal needs all shares
  world.live(12 * minute_ms);
  EXPECT_EQ(world.stat("b").generation, 2U) << "one that cannot be renewed stops another one";
  EXPECT_FALSE(world.raised().contains("refresh_late"));
  world.live(minute_ms);
  EXPECT_TRUE(world.raised().contains("refresh_late"));
  EXPECT_EQ(world.upkeep().old, 1U);
  world.damaged[object.layout.holders[1].node] = {{object.key(), ShareDamage::mended}};
  world.network.give(object);
  for (const Holder& holder : object.layout.holders) {
    PaperShare& share = world.network.nodes[holder.node].store[object.key()];
    for (std::uint64_t cell = object.cells / 2; cell < object.cells; ++cell) share.attempts[cell] = 3;
  }
  ASSERT_TRUE(world.wait_for([&] { return world.stat("a").generation == 2; }, 3 * minute_ms));
  world.live(10'000);
  EXPECT_FALSE(world.raised().contains("refresh_late"));
}

// One that was undone does not run all the time.
TEST(Upkeep, ARenewalThatWasUndoneWaits) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(0, 40 * minute_ms));
  world.put("a");
  world.tick_ms = 1000;
  world.live(39 * minute_ms);
  world.network.weather.busy = 1000;
  ASSERT_TRUE(world.wait_for([&] { return !world.jobs().empty(); }, 3 * minute_ms));
  ASSERT_OK(world.manager->cancel(world.world.now, world.jobs()[0].id, "bob"));
  world.network.weather.busy = 0;
  world.live(9 * minute_ms);
  EXPECT_EQ(world.jobs().size(), 1U);
  EXPECT_TRUE(world.wait_for([&] { return world.stat("a").generation == 3; }, 4 * minute_ms));
}

// Shares are lost, the controller is killed, nodes restart, owners remove: at the end all is whole, and at
// every moment the indices are right.
TEST(Upkeep, KeepsAllWholeInAnyWeather) {
  fmt::print("SSN_TEST_SEED={}\n", seed());
  unsigned repairs = 0;
  unsigned refreshes = 0;
  for (unsigned round = 0; round < 12; ++round) {
    const std::uint64_t its = seed() * 1000 + round;
    SCOPED_TRACE(fmt::format("seed {}", its));
    std::mt19937_64 random(its);
    const auto database = make_memory_database();
    Policy policy = policy_of(10'000, 3 * minute_ms);
    policy.remember_ms = 100 * minute_ms;
    UpkeepWorld world(*database, its, policy);
    world.network.weather = {static_cast<unsigned>(random() % 100),
                             static_cast<unsigned>(random() % 20),
                             static_cast<unsigned>(random() % 6),
                             0,
                             0,
                             100};
    for (int i = 0; i < 5; ++i) world.put(numbered("o", i), 40'000);
    for (int i = 0; i < 4000; ++i) {
      world.tick();
      ASSERT_FALSE(HasFatalFailure());
      if (random() % 400 == 0) {
        const Object object = world.stat(numbered("o", static_cast<int>(random() % 5)));
        if (count_of(object.layout, ShareState::sealed) == object.layout.n) {
          world.lose(object, 1 + static_cast<std::uint32_t>(random() % object.layout.n),
                     random() % 2 == 0 ? ShareDamage::missing : ShareDamage::damaged);
        }
      }
      if (random() % 500 == 0) world.kill();
      if (i % 50 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(world.check_indices());
    }
    world.network.weather = {};
    for (const auto& [node, lost] : world.damaged) ASSERT_TRUE(lost.size() < 10);
    ASSERT_TRUE(world.wait_for(
        [&] { return world.damaged.empty() && world.upkeep().lost == world.helpless(); }, 200 * minute_ms));
    ASSERT_NO_FATAL_FAILURE(world.check_indices());
    for (const ReshareJob& job : world.jobs()) {
      repairs += job.operation == ReshareOperation::repair && job.step == ReshareStep::done ? 1 : 0;
      refreshes += job.operation == ReshareOperation::refresh && job.step == ReshareStep::done ? 1 : 0;
    }
  }
  fmt::print("{} repairs, {} refreshes\n", repairs, refreshes);
  EXPECT_GT(repairs, 12U);
  EXPECT_GT(refreshes, 12U);
}

// A database of before: its objects get into the indices once, with the age that is known of them.
TEST(Upkeep, ADatabaseOfBeforeIsIndexed) {
  const auto database = make_memory_database();
  UpkeepWorld world(*database, seed(), policy_of(20'000, 0));
  for (int i = 0; i < 3; ++i) world.put(numbered("o", i));
  world.lose(world.stat("o1"), 2);
  world.live(2000);
  Transaction changes(world.database);
  for (const std::string_view index : {keys::all_ages, keys::all_repairs}) {
    const auto rows = world.database.scan(index, keys::end_of(std::string(index)), 100);
    for (const Row& row : rows.value()) changes.erase(row.key);
  }
  const auto objects = world.database.scan(keys::object(0), keys::end_of("o"), 100);
  for (const Row& row : objects.value()) {
    ObjectRecord record = decode<ObjectRecord>(row.key, row.value).value();
    record.object.generation_ms = 0;
    changes.put(row.key, record);
  }
  MetaRecord meta = *changes.get<MetaRecord>(keys::meta()).value();
  meta.indexed = false;
  changes.put(keys::meta(), meta);
  ASSERT_OK(changes.commit());
  world.kill();
  ASSERT_NO_FATAL_FAILURE(world.check_indices());
  EXPECT_EQ(world.upkeep().lost, 1U);
  EXPECT_LT(world.stat("o0").generation_age_ms, minute_ms);
  EXPECT_TRUE(world.wait_for([&] { return world.is_whole("o1"); }, minute_ms));
}

}  // namespace
}  // namespace ssn::controller::test
