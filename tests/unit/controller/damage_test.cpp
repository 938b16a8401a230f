// SPDX-License-Identifier: BSD-3-Clause
// Shares that their holders lost: who may say so, what becomes of the object, and who gets the share again.
#include <gtest/gtest.h>

#include <algorithm>

#include "support.h"

namespace ssn::controller::test {
namespace {

class Damage : public testing::Test {
 protected:
  Damage() : database_(make_memory_database()), world_(*database_, seed()) { world_.start_nodes(); }

  Result<ReportAnswer> tell(const std::string& node, std::vector<DamagedShare> damaged) {
    Report report = World::report_of(node);
    report.damaged = std::move(damaged);
    return world_.report(node, report);
  }
  Object stat(const std::string& name) {
    const auto object = world_->stat(world_.now, "alice", name);
    EXPECT_OK(object);
    return object.value();
  }
  static std::string holder(const Object& object, std::uint32_t share) {
    return object.layout.holders[share - 1].node;
  }
  ShareState state(const std::string& name, std::uint32_t share) {
    return stat(name).layout.holders[share - 1].state;
  }
  std::size_t alarms() {
    const auto events = world_->events(0, 1000);
    EXPECT_OK(events);
    return static_cast<std::size_t>(
        std::count_if(events.value().begin(), events.value().end(),
                      [](const Event& event) { return event.kind == "shares_damaged"; }));
  }
  Result<ReshareJob> plan(const std::string& away = "", const std::string& to = "") {
    ReshareRequest request;
    request.operation = ReshareOperation::repair;
    request.owner = "alice";
    request.name.push_back('a');
    request.away = away;
    request.to = to;
    return world_->plan_reshare(world_.now, request);
  }
  Result<ReshareJob> begin() {
    ReshareRequest request;
    request.operation = ReshareOperation::repair;
    request.owner = "alice";
    request.name.push_back('a');
    return world_->start_reshare(world_.now, request);
  }

  std::unique_ptr<Database> database_;
  World world_;
};

TEST_F(Damage, ALostShareIsFailedDegradedAndAnAlarmOnce) {
  const Object object = world_.put("alice", "a");
  const Object other = world_.put("alice", "b");
  const std::string node = holder(object, 2);
  EXPECT_TRUE(fails(plan(), Exit::refused)) << "nothing is to be repaired yet";
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  const Object after = stat("a");
  EXPECT_EQ(after.layout.holders[1].state, ShareState::failed);
  EXPECT_EQ(after.layout.holders[1].trouble, trouble_of(ShareDamage::missing));
  EXPECT_EQ(count_of(after.layout, ShareState::sealed), 4U);
  EXPECT_EQ(count_of(stat("b").layout, ShareState::sealed), 5U);
  EXPECT_EQ(alarms(), 1U);
  const auto page = world_->holdings(node, 0, 10);
  ASSERT_OK(page);
  for (const Holding& each : page.value().holdings) {
    EXPECT_EQ(each.sealed, each.key != object.key()) << "what it told once is asked for again";
  }
  world_.pass(120'000);
  world_.report_all();
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  EXPECT_EQ(alarms(), 1U) << "it is told again and again";
  EXPECT_EQ(world_->list(world_.now, "alice", "a", "", 1).value().objects[0].shares, 4U);
  world_.restart();
  world_.report_all();
  EXPECT_EQ(state("a", 2), ShareState::failed) << "it is forgotten with a restart";
}

// A disk that was not mounted, and is again.
TEST_F(Damage, AShareThatIsThereAfterAllCountsAgain) {
  const Object object = world_.put("alice", "a");
  const std::string node = holder(object, 2);
  const auto lost = [&] {
    const auto page = world_->holdings(node, 0, 10);
    EXPECT_OK(page);
    return page.value().holdings.at(0).lost;
  };
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::mended}}));  // it was never lost
  EXPECT_FALSE(lost());
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  EXPECT_TRUE(lost());
  ASSERT_OK(tell(holder(object, 3), {{object.key(), ShareDamage::mended}}));
  EXPECT_EQ(state("a", 2), ShareState::failed) << "only its holder can say so";
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::mended}}));
  EXPECT_EQ(state("a", 2), ShareState::sealed);
  EXPECT_EQ(stat("a").layout.holders[1].trouble, "");
  EXPECT_FALSE(lost());
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  ASSERT_OK(begin());
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::mended}}));
  EXPECT_EQ(state("a", 2), ShareState::failed) << "it is being made again";
}

TEST_F(Damage, NobodySpeaksOfTheSharesOfOthers) {
  const Object object = world_.put("alice", "a");
  for (int i = 1; i <= 7; ++i) {
    const std::string node = numbered("h", i);
    const bool holds = std::any_of(object.layout.holders.begin(), object.layout.holders.end(),
                                   [&](const Holder& each) { return each.node == node; });
    if (!holds) {
      ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
    }
  }
  ASSERT_OK(tell("s", {{object.key(), ShareDamage::missing}}));
  EXPECT_EQ(count_of(stat("a").layout, ShareState::sealed), 5U);
  ASSERT_OK(tell(holder(object, 3), {{object.key(), ShareDamage::missing}}));
  EXPECT_EQ(state("a", 3), ShareState::failed);
  EXPECT_EQ(count_of(stat("a").layout, ShareState::sealed), 4U) << "more than its own";
  EXPECT_EQ(alarms(), 1U);
}

// An object that is being written, that is gone, or of another generation: nothing of it is missing.
TEST_F(Damage, WhatShouldNotLieThereIsNotMissing) {
  const auto ticket = world_->begin_write(world_.now, "alice", world_.request("a"));
  ASSERT_OK(ticket);
  const Object& object = ticket.value().object;
  const std::string node = holder(object, 1);
  const auto should_have = [&] {
    const auto page = world_->holdings(node, 0, 10);
    EXPECT_OK(page);
    std::size_t count = 0;
    for (const Holding& each : page.value().holdings) count += each.sealed ? 1 : 0;
    return count;
  };
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  EXPECT_EQ(should_have(), 0U) << "nobody has sealed it";
  ASSERT_OK(world_->sealed(world_.now, "s", World::seal(object, 5)));
  EXPECT_EQ(should_have(), 0U) << "it is not committed";
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  ASSERT_OK(world_->commit(world_.now, "alice", object.key(), false));
  EXPECT_EQ(should_have(), 1U);
  EXPECT_EQ(state("a", 1), ShareState::sealed);
  for (const std::uint64_t generation : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{1} << 40U}) {
    ASSERT_OK(tell(node, {{{object.id, generation}, ShareDamage::missing}}));
  }
  ASSERT_OK(tell(node, {{{object.id + 1, 1}, ShareDamage::missing}}));
  EXPECT_EQ(state("a", 1), ShareState::sealed);
  ASSERT_OK(world_->remove(world_.now, "alice", "a", 0));
  EXPECT_EQ(should_have(), 0U) << "it was ordered to erase it";
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  world_.obey();
  EXPECT_EQ(alarms(), 0U);
}

TEST_F(Damage, WhatAnSsaSaysAgainDoesNotBringItBack) {
  const Object object = world_.put("alice", "a");
  ASSERT_OK(tell(holder(object, 2), {{object.key(), ShareDamage::missing}}));
  ASSERT_OK(world_->sealed(world_.now, "s", World::seal(object, 5)));
  EXPECT_EQ(state("a", 2), ShareState::failed);
}

// Cells of damaged shares still help while there are not k good ones; a missing share helps nobody.
TEST_F(Damage, TheLastSharesStayInUseThoughTheyAreDamaged) {
  const Object object = world_.put("alice", "a");
  for (std::uint32_t share = 1; share <= 3; ++share) {
    ASSERT_OK(tell(holder(object, share), {{object.key(), ShareDamage::damaged}}));
  }
  const Object after = stat("a");
  EXPECT_EQ(count_of(after.layout, ShareState::sealed), 3U);
  EXPECT_EQ(after.layout.holders[2].state, ShareState::sealed);
  EXPECT_EQ(after.layout.holders[2].trouble, trouble_of(ShareDamage::damaged));
  ASSERT_OK(tell(holder(object, 3), {{object.key(), ShareDamage::missing}}));
  EXPECT_EQ(state("a", 3), ShareState::failed);
}

// Nothing is left there: it may have the same share again, where nobody wants it elsewhere.
TEST_F(Damage, AHolderGetsItsOwnShareAgain) {
  const Object object = world_.put("alice", "a");
  const std::string node = holder(object, 2);
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  const auto away = plan(node);
  ASSERT_OK(away);
  EXPECT_NE(away.value().target.holders[1].node, node) << "it was to go away from there";
  const auto job = begin();
  ASSERT_OK(job);
  EXPECT_EQ(job.value().share, 2U);
  EXPECT_EQ(job.value().target.holders[1].node, node);
  EXPECT_EQ(job.value().target.holders[1].trouble, "");
  const auto committed = world_->commit_reshare(world_.now, job.value());
  ASSERT_OK(committed);
  EXPECT_EQ(state("a", 2), ShareState::sealed);
  const auto orders = world_.report(node);
  ASSERT_OK(orders);
  EXPECT_TRUE(orders.value().remove.empty()) << "it is ordered to erase what it was just given";
  const auto over = world_->clean_reshare(world_.now, committed.value(), false);
  ASSERT_OK(over);
  EXPECT_EQ(over.value().step, ReshareStep::done);
  EXPECT_EQ(world_->holdings(node, 0, 10).value().holdings[0].sealed, true);
  // And again.
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  ASSERT_OK(plan());
  EXPECT_EQ(plan().value().target.holders[1].node, node);
}

// A store never changes what it has: another node takes the share, and what is left of it is erased.
TEST_F(Damage, ADamagedShareGoesToAnotherNode) {
  const Object object = world_.put("alice", "a");
  const std::string node = holder(object, 2);
  for (const ShareDamage damage : {ShareDamage::damaged, ShareDamage::incomplete, ShareDamage::unknown}) {
    ASSERT_OK(tell(node, {{object.key(), damage}}));
    const auto planned = plan();
    ASSERT_OK(planned);
    EXPECT_NE(planned.value().target.holders[1].node, node);
  }
  const auto job = begin();
  ASSERT_OK(job);
  ASSERT_OK(world_->commit_reshare(world_.now, job.value()));
  EXPECT_EQ(world_.report(node).value().remove.size(), 1U);
}

// What could not be given to it once is given to another one.
TEST_F(Damage, AHolderThatCannotTakeItsShareIsNotAskedAgain) {
  const Object object = world_.put("alice", "a");
  const std::string node = holder(object, 2);
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  const auto job = begin();
  ASSERT_OK(job);
  ASSERT_OK(world_->abandon_reshare(world_.now, job.value()));
  const auto planned = plan();
  ASSERT_OK(planned);
  EXPECT_EQ(planned.value().share, 2U);
  EXPECT_NE(planned.value().target.holders[1].node, node);
}

TEST_F(Damage, ADownHolderIsNotGivenItsShareAgain) {
  const Object object = world_.put("alice", "a");
  const std::string node = holder(object, 2);
  ASSERT_OK(tell(node, {{object.key(), ShareDamage::missing}}));
  world_.pass(60'000);
  for (int i = 1; i <= 7; ++i) {
    if (numbered("h", i) != node) {
      ASSERT_OK(world_.report(numbered("h", i)));
    }
  }
  const auto planned = plan();
  ASSERT_OK(planned);
  EXPECT_NE(planned.value().target.holders[1].node, node);
}

TEST_F(Damage, ReportsOfItHaveALimit) {
  const Object object = world_.put("alice", "a");
  EXPECT_TRUE(fails(tell(holder(object, 1), std::vector<DamagedShare>(report_keys_max + 1,
                                                                      {object.key(), ShareDamage::missing})),
                    Exit::usage));
  EXPECT_EQ(state("a", 1), ShareState::sealed);
}

}  // namespace
}  // namespace ssn::controller::test
