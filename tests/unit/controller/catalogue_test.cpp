// SPDX-License-Identifier: BSD-3-Clause
#include "catalogue.h"

#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace ssn::controller::test {
namespace {

class CatalogueTest : public testing::Test {
 protected:
  CatalogueTest() : database_(make_memory_database()), world_(*database_, 1, policy()) {
    world_.start_nodes();
  }

  static Policy policy() {
    Policy policy;
    policy.writes_max = 4;
    policy.objects_max = 6;
    policy.nodes_max = 8;
    return policy;
  }
  Object begin(const std::string& owner, const std::string& name) {
    const auto ticket = world_->begin_write(world_.now, owner, world_.request(name));
    EXPECT_OK(ticket);
    return ticket.value().object;
  }
  std::string names(const std::string& owner, const std::string& prefix = "") {
    const auto page = world_->list(world_.now, owner, prefix, "", 100);
    EXPECT_OK(page);
    std::string all;
    for (const ObjectSummary& object : page.value().objects) {
      all += object.name + ";";
    }
    return all;
  }
  Result<SealedAnswer> seal(const Object& object, std::uint32_t shares) {
    return world_->sealed(world_.now, "s", World::seal(object, shares));
  }
  Result<CommitAnswer> commit(const std::string& owner, const Object& object, bool degraded = false) {
    return world_->commit(world_.now, owner, object.key(), degraded);
  }
  std::size_t alarms(const std::string& kind) {
    std::size_t count = 0;
    const auto events = world_->events(0, 1000);
    EXPECT_OK(events);
    for (const Event& event : events.value()) {
      count += event.alarm && event.kind == kind ? 1 : 0;
    }
    return count;
  }

  std::unique_ptr<Database> database_;
  World world_;
};

TEST_F(CatalogueTest, NothingIsVisibleBeforeTheCommit) {
  const Object object = begin("alice", "a");
  EXPECT_EQ(object.state, ObjectState::writing);
  EXPECT_EQ(object.generation, 1U);
  EXPECT_EQ(object.layout.holders.size(), 5U);
  EXPECT_FALSE(object.layout.reason.empty());
  EXPECT_EQ(names("alice"), "");
  EXPECT_TRUE(fails(world_->stat(world_.now, "alice", "a"), Exit::not_found));
  EXPECT_TRUE(fails(world_->open_read(world_.now, "alice", "a"), Exit::not_found));
  EXPECT_TRUE(fails(commit("alice", object), Exit::temporary));
  const auto few = seal(object, 2);
  ASSERT_OK(few);
  EXPECT_EQ(few.value().state, ObjectState::writing);
  EXPECT_TRUE(fails(commit("alice", object, true), Exit::temporary));
  EXPECT_EQ(seal(object, 5).value().state, ObjectState::sealed);
  EXPECT_EQ(names("alice"), "");
  ASSERT_OK(commit("alice", object));
  EXPECT_EQ(names("alice"), "a;");
  EXPECT_EQ(names("bob"), "");
  const auto shown = world_->stat(world_.now, "alice", "a");
  ASSERT_OK(shown);
  EXPECT_EQ(shown.value().state, ObjectState::committed);
  EXPECT_EQ(shown.value().size, 10'000U);
  EXPECT_TRUE(shown.value().layout.holders[0].up);
  const auto read = world_->open_read(world_.now, "alice", "a");
  ASSERT_OK(read);
  EXPECT_EQ(read.value().object.id, object.id);
  EXPECT_EQ(read.value().ssa.node, "s");
  EXPECT_EQ(read.value().ssa.agent, "192.0.2.1:7000");
}

TEST_F(CatalogueTest, CallsCanBeRepeated) {
  const WriteRequest request = world_.request("a");
  const auto first = world_->begin_write(world_.now, "alice", request);
  ASSERT_OK(first);
  EXPECT_EQ(world_->begin_write(world_.now, "alice", request).value().object.id, first.value().object.id);
  WriteRequest other = request;
  other.name = "b";
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", other), Exit::refused));
  // A token is the owner's own.
  EXPECT_NE(world_->begin_write(world_.now, "bob", request).value().object.id, first.value().object.id);
  const Object& object = first.value().object;
  ASSERT_OK(seal(object, 5));
  ASSERT_OK(seal(object, 5));
  ASSERT_OK(commit("alice", object));
  ASSERT_OK(commit("alice", object));
  EXPECT_EQ(world_->begin_write(world_.now, "alice", request).value().object.state, ObjectState::committed);
  const Object next = world_.put("alice", "a");
  EXPECT_NE(next.id, object.id);
  EXPECT_OK(commit("alice", object));  // it was, although it is replaced now
  EXPECT_EQ(world_->stat(world_.now, "alice", "a").value().id, next.id);
  EXPECT_EQ(world_->remove(world_.now, "alice", "a", next.id).value(), next.id);
  EXPECT_EQ(world_->remove(world_.now, "alice", "a", next.id).value(), next.id);
  EXPECT_TRUE(fails(world_->remove(world_.now, "alice", "a", 0), Exit::not_found));
  const Object given_up = begin("alice", "a");
  EXPECT_OK(world_->abort(world_.now, "alice", given_up.key()));
  EXPECT_OK(world_->abort(world_.now, "alice", given_up.key()));
  EXPECT_TRUE(fails(commit("alice", given_up), Exit::refused));
}

TEST_F(CatalogueTest, TwoWritersOfOneName) {
  const Object first = begin("alice", "a");
  const Object second = begin("alice", "a");
  WriteRequest careful = world_.request("a");
  careful.create_only = true;
  const auto third = world_->begin_write(world_.now, "alice", careful);
  ASSERT_OK(third);
  for (const Object& object : {first, second, third.value().object}) {
    ASSERT_OK(seal(object, 5));
  }
  EXPECT_EQ(commit("alice", second).value().replaced, 0U);
  EXPECT_TRUE(fails(commit("alice", third.value().object), Exit::refused));
  EXPECT_EQ(commit("alice", first).value().replaced, second.id);
  EXPECT_EQ(names("alice"), "a;");
  EXPECT_EQ(world_->stat(world_.now, "alice", "a").value().id, first.id);
  careful.token[5] = static_cast<std::uint8_t>(careful.token[5] + 2);
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", careful), Exit::refused));
  EXPECT_TRUE(fails(world_->remove(world_.now, "alice", "a", third.value().object.id), Exit::refused));
}

TEST_F(CatalogueTest, OthersSeeAndTouchNothing) {
  const Object object = begin("alice", "a");
  ASSERT_OK(seal(object, 5));
  EXPECT_TRUE(fails(commit("bob", object), Exit::not_found));
  EXPECT_TRUE(fails(world_->abort(world_.now, "bob", object.key()), Exit::not_found));
  ASSERT_OK(commit("alice", object));
  EXPECT_TRUE(fails(world_->stat(world_.now, "bob", "a"), Exit::not_found));
  EXPECT_TRUE(fails(world_->remove(world_.now, "bob", "a", 0), Exit::not_found));
  EXPECT_TRUE(fails(world_->remove(world_.now, "bob", "a", object.id), Exit::not_found));
  // A node: only its own.
  std::set<std::string> holders;
  for (const Holder& holder : object.layout.holders) {
    holders.insert(holder.node);
    EXPECT_OK(world_->object_for(world_.now, holder.node, object.key()));
  }
  for (int i = 1; i <= 7; ++i) {
    const std::string node = numbered("h", i);
    EXPECT_EQ(world_->object_for(world_.now, node, object.key()).ok(), holders.count(node) == 1);
    EXPECT_TRUE(fails(world_->sealed(world_.now, node, World::seal(object, 5)), Exit::not_found));
    EXPECT_EQ(world_->holdings(node, 0, 10).value().holdings.size(), holders.count(node));
  }
  EXPECT_TRUE(fails(world_->object_for(world_.now, "s", {object.id, 2}), Exit::not_found));
}

TEST_F(CatalogueTest, FewerThanTheQuorumMustBeAskedFor) {
  const Object object = begin("alice", "a");
  ASSERT_OK(seal(object, 3));
  EXPECT_TRUE(fails(commit("alice", object), Exit::temporary));
  EXPECT_TRUE(commit("alice", object, true).value().degraded);
  EXPECT_TRUE(commit("alice", object).value().degraded);
  // Later ones come in after the commit.
  EXPECT_EQ(seal(object, 5).value().sealed, 5U);
  EXPECT_FALSE(commit("alice", object).value().degraded);
  EXPECT_EQ(world_->list(world_.now, "alice", "", "", 10).value().objects[0].shares, 5U);
}

TEST_F(CatalogueTest, SealsThatContradictAreRefused) {
  const Object object = begin("alice", "a");
  SealedReport good = World::seal(object, 3);
  good.shares[2].sealed = false;
  good.shares[2].trouble = "disk full";
  ASSERT_OK(world_->sealed(world_.now, "s", good));
  const auto refused = [&](auto change) {
    SealedReport bad = World::seal(object, 5);
    change(bad);
    const auto answer = world_->sealed(world_.now, "s", bad);
    return !answer.ok() && (answer.error().code == Exit::integrity || answer.error().code == Exit::usage);
  };
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.size = 9'999; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.cells += 1; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.attempts[0].attempt = 1; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.attempts[0].cells -= 1; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.attempts.clear(); }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.attempts.push_back({8, 1, 0}); }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.shares[0].share = 0; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.shares[0].share = 6; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.shares[0].node = bad.shares[1].node; }));
  EXPECT_TRUE(refused([](SealedReport& bad) { bad.shares[1] = bad.shares[0]; }));
  EXPECT_EQ(world_->object_for(world_.now, "s", object.key()).value().layout.holders[2].trouble, "disk full");
  // What has sealed stays so, whatever a later report says.
  SealedReport back = World::seal(object, 1);
  back.shares[0].sealed = false;
  EXPECT_EQ(world_->sealed(world_.now, "s", back).value().sealed, 2U);
  EXPECT_EQ(seal(object, 5).value().sealed, 5U);
}

TEST_F(CatalogueTest, AttemptsFollowEachOther) {
  WriteRequest request = world_.request("a");
  request.size.reset();
  const Object object = world_->begin_write(world_.now, "alice", request).value().object;
  EXPECT_FALSE(object.size_known);
  SealedReport report = World::seal(object, 5);
  report.attempts = {{0, 3, 0}, {3, 5, 1}};
  ASSERT_OK(world_->sealed(world_.now, "s", report));
  ASSERT_OK(commit("alice", object));
  EXPECT_EQ(world_->stat(world_.now, "alice", "a").value().attempts, report.attempts);
}

TEST_F(CatalogueTest, ProtectionBelowTheMinimumIsNoCommit) {
  WriteRequest request = world_.request("a");
  request.minimum_protection = Protection::information_theoretic;
  const Object object = world_->begin_write(world_.now, "alice", request).value().object;
  SealedReport report = World::seal(object, 4);
  ASSERT_OK(world_->sealed(world_.now, "s", report));
  EXPECT_TRUE(fails(commit("alice", object), Exit::refused));
  report.protection = Protection::information_theoretic;  // it never rises
  ASSERT_OK(world_->sealed(world_.now, "s", report));
  EXPECT_TRUE(fails(commit("alice", object), Exit::refused));
}

TEST_F(CatalogueTest, HoldersAreOrderedUntilTheyConfirm) {
  const Object object = world_.put("alice", "a");
  const std::string holder = object.layout.holders[0].node;
  EXPECT_TRUE(world_.report(holder).value().remove.empty());
  ASSERT_OK(world_->remove(world_.now, "alice", "a", 0));
  EXPECT_EQ(names("alice"), "");
  EXPECT_EQ(world_->status().value().removals, 5U);
  for (int i = 0; i < 2; ++i) {
    const auto orders = world_.report(holder).value().remove;
    ASSERT_EQ(orders.size(), 1U);
    EXPECT_EQ(orders[0], object.key());
  }
  world_.restart();
  EXPECT_EQ(world_.report(holder).value().remove.size(), 1U);
  EXPECT_EQ(world_->compare(world_.now, holder, {object.key()}).value()[0], Verdict::remove);
  Report done = World::report_of(holder);
  done.removed = {object.key(), object.key(), {12345, 1}};
  EXPECT_TRUE(world_.report(holder, done).value().remove.empty());
  EXPECT_EQ(world_->status().value().removals, 4U);
  EXPECT_EQ(world_->object_for(world_.now, "s", object.key()).value().state, ObjectState::deleting);
  EXPECT_TRUE(world_->holdings(holder, 0, 10).value().holdings.empty());
  world_.obey();
  EXPECT_EQ(world_->object_for(world_.now, "s", object.key()).value().state, ObjectState::gone);
  EXPECT_EQ(world_->status().value().removals, 0U);
  // Remembered for a while, then not; what turns up then is unknown, hence kept.
  world_.pass(3'599'000);
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_OK(commit("alice", object));
  EXPECT_EQ(alarms("unknown_holdings"), 0U);
  world_.pass(2'000);
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_TRUE(fails(commit("alice", object), Exit::not_found));
  EXPECT_EQ(world_->compare(world_.now, holder, {object.key()}).value()[0], Verdict::unknown);
  EXPECT_EQ(world_->compare(world_.now, holder, {object.key()}).value()[0], Verdict::unknown);
  EXPECT_EQ(alarms("unknown_holdings"), 1U);
  EXPECT_TRUE(world_.report(holder).value().remove.empty());
}

TEST_F(CatalogueTest, AWriteEndsWithItsLease) {
  const Object object = begin("alice", "a");
  Report renewal = World::report_of("s");
  renewal.writes = {object.key()};
  for (int i = 0; i < 3; ++i) {
    world_.pass(29'000);
    ASSERT_OK(world_->tick(world_.now));
    EXPECT_TRUE(world_.report("s", renewal).value().ended.empty());
  }
  // A restart does not take anything away.
  world_.pass(29'000);
  world_.restart();
  world_.pass(29'000);
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_TRUE(world_.report("s", renewal).value().ended.empty());
  world_.pass(30'000);
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_EQ(world_.report("s", renewal).value().ended.size(), 1U);
  EXPECT_TRUE(fails(seal(object, 5), Exit::refused));
  EXPECT_TRUE(fails(commit("alice", object), Exit::refused));
  EXPECT_EQ(world_.report(object.layout.holders[0].node).value().remove.size(), 1U);
  EXPECT_EQ(world_->status().value().writes, 0U);
  // Only its SSA renews it.
  world_.report_all();
  const Object other = begin("alice", "a");
  renewal.writes = {other.key()};
  renewal.instance = World::instance_of("h1");
  EXPECT_EQ(world_.report("h1", renewal).value().ended.size(), 1U);
}

TEST_F(CatalogueTest, OwnersHaveLimits) {
  std::vector<Object> open;
  for (int i = 0; i < 4; ++i) {
    open.push_back(begin("alice", numbered("w", i)));
  }
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", world_.request("x")), Exit::temporary));
  begin("bob", "x");
  for (const Object& object : open) {
    ASSERT_OK(seal(object, 5));
    ASSERT_OK(commit("alice", object));
  }
  world_.put("alice", "y");
  world_.put("alice", "z");
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", world_.request("x")), Exit::temporary));
  ASSERT_OK(world_->remove(world_.now, "alice", "z", 0));
  begin("alice", "x");
}

TEST_F(CatalogueTest, BadRequestsAreRefused) {
  const auto begin_bad = [&](auto change) {
    WriteRequest bad = world_.request("a");
    change(bad);
    return world_->begin_write(world_.now, "alice", bad);
  };
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.token = {}; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.name = ""; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.name = "\n"; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.cell_bytes = 65; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.cell_bytes = 16384; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.size = ~std::uint64_t{0}; }), Exit::usage));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.ssa = "h1"; }), Exit::temporary));
  EXPECT_TRUE(fails(begin_bad([](WriteRequest& bad) { bad.n = 9; }), Exit::temporary));
  EXPECT_TRUE(
      fails(begin_bad([](WriteRequest& bad) { bad.size = std::uint64_t{1} << 41; }), Exit::temporary));
  EXPECT_TRUE(fails(world_->stat(world_.now, "alice", ""), Exit::usage));
  EXPECT_EQ(world_->status().value().writes, 0U);
}

TEST_F(CatalogueTest, NodesGetSharesWhileTheyAreUpAndIn) {
  const auto holders = [&] {
    std::set<std::string> found;
    for (int i = 0; i < 10; ++i) {
      WriteRequest request = world_.request("a");
      const auto ticket = world_->begin_write(world_.now, numbered("owner", i), request);
      EXPECT_OK(ticket);
      for (const Holder& holder : ticket.value().object.layout.holders) {
        found.insert(holder.node);
      }
      EXPECT_OK(world_->abort(world_.now, numbered("owner", i), ticket.value().object.key()));
    }
    return found;
  };
  ASSERT_OK(world_->set_node(world_.now, "h1", ServiceState::out_of_service));
  Report full = World::report_of("h2");
  full.read_only = "an earlier sync failed";
  ASSERT_OK(world_.report("h2", full));
  EXPECT_EQ(holders(), (std::set<std::string>{"h3", "h4", "h5", "h6", "h7"}));
  world_.restart();
  world_.report_all();
  EXPECT_EQ(holders().count("h1"), 0U);
  ASSERT_OK(world_->set_node(world_.now, "h1", ServiceState::in_service));
  EXPECT_EQ(holders().size(), 7U);
  // Silent ones are down.
  world_.pass(5'001);
  ASSERT_OK(world_.report("s"));
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", world_.request("a")), Exit::temporary));
  EXPECT_TRUE(fails(world_->set_node(world_.now, "nobody", ServiceState::standby), Exit::not_found));
  EXPECT_EQ(world_->nodes(world_.now).value().size(), 8U);
}

// Calls read the clock before they get their turn, so a report may be younger than the call after it.
TEST_F(CatalogueTest, AReportFromTheFutureIsNoSilence) {
  const Now before = world_.now;
  world_.pass(1);
  world_.report_all();
  const std::vector<Node> nodes = world_->nodes(before).value();
  for (const Node& node : nodes) EXPECT_TRUE(node.up) << node.name;
  EXPECT_OK(world_->begin_write(before, "alice", world_.request("a")));
  EXPECT_EQ(world_->compare(world_.now, "h1", {{1, 1}}).value()[0], Verdict::unknown);
  EXPECT_EQ(world_->compare(before, "h1", {{1, 1}}).value()[0], Verdict::unknown);
  EXPECT_EQ(alarms("unknown_holdings"), 1U);
}

TEST_F(CatalogueTest, ANodeIsOneInstanceWithTheRolesOfItsCertificate) {
  EXPECT_TRUE(fails(world_.report("stranger", World::report_of("stranger")), Exit::not_found));
  Report other = World::report_of("h1");
  other.instance[8] = 1;
  EXPECT_TRUE(fails(world_.report("h1", other), Exit::refused));
  Registration registration;
  registration.instance = other.instance;
  registration.roles = {pki::Role::ssa};
  EXPECT_TRUE(
      fails(world_->register_node(world_.now, "h1", {pki::Role::shareholder}, registration), Exit::refused));
  registration.roles = {};
  EXPECT_TRUE(
      fails(world_->register_node(world_.now, "h1", {pki::Role::shareholder}, registration), Exit::usage));
  registration.roles = {pki::Role::shareholder, pki::Role::operators};
  EXPECT_TRUE(fails(
      world_->register_node(world_.now, "h1", {pki::Role::shareholder, pki::Role::operators}, registration),
      Exit::usage));
  registration.roles = {pki::Role::shareholder};
  EXPECT_OK(world_->register_node(world_.now, "h1", {pki::Role::shareholder}, registration));
  EXPECT_OK(world_.report("h1", other));
  EXPECT_TRUE(fails(world_.report("h1"), Exit::refused));
  EXPECT_TRUE(fails(world_->register_node(world_.now, "h9", {pki::Role::shareholder}, registration),
                    Exit::temporary));
}

TEST_F(CatalogueTest, AssociationsThatGoBackAreAnAlarm) {
  const auto say = [&](std::uint64_t epoch, std::uint64_t sent, std::uint64_t seen) {
    Report report = World::report_of("h1");
    report.associations = {{"h2", epoch, {{{1}, true, sent, 0}, {{2}, false, 0, seen}}}};
    ASSERT_OK(world_.report("h1", report));
  };
  say(3, 100, 50);
  say(3, 100, 60);
  EXPECT_EQ(world_->associations("h1").value().at(0).report.streams[1].seen, 60U);
  EXPECT_EQ(alarms("association_went_back"), 0U);
  say(3, 99, 60);
  say(3, 100, 59);
  say(2, 500, 500);
  EXPECT_EQ(alarms("association_went_back"), 1U);  // it stands
  EXPECT_EQ(world_->associations("h1").value().at(0).report.epoch, 3U);
  world_.pass(599'000);
  say(2, 500, 500);
  EXPECT_EQ(alarms("association_went_back"), 1U);
  world_.pass(600'000);
  ASSERT_OK(world_->tick(world_.now));  // it was quiet
  say(2, 500, 500);
  EXPECT_EQ(alarms("association_went_back"), 2U);
  say(4, 1, 1);
  EXPECT_EQ(world_->associations("h1").value().at(0).report.epoch, 4U);
  EXPECT_TRUE(world_->associations("h2").value().empty());
}

TEST_F(CatalogueTest, ListsInPages) {
  for (const char* const name : {"b/2", "a", "b/10", "c"}) {
    world_.put("alice", name);
  }
  EXPECT_EQ(names("alice"), "a;b/10;b/2;c;");
  EXPECT_EQ(names("alice", "b/"), "b/10;b/2;");
  EXPECT_EQ(names("alice", "b/10"), "b/10;");
  EXPECT_EQ(names("alice", "d"), "");
  std::string all;
  std::string after;
  do {
    const auto page = world_->list(world_.now, "alice", "", after, 1);
    ASSERT_OK(page);
    all += page.value().objects.empty() ? "end" : page.value().objects[0].name + ";";
    after = page.value().next;
  } while (!after.empty());
  EXPECT_EQ(all, "a;b/10;b/2;c;end");
}

TEST_F(CatalogueTest, OldEventsMakeRoom) {
  for (std::uint64_t i = 0; i < events_max + 20; ++i) {
    ASSERT_OK(
        world_->set_node(world_.now, "h1", i % 2 == 0 ? ServiceState::standby : ServiceState::in_service));
  }
  const auto oldest = world_->events(0, 1);
  ASSERT_OK(oldest);
  EXPECT_GT(oldest.value().at(0).number, 20U);
  EXPECT_EQ(world_->events(oldest.value().at(0).number + events_max - 2, 1000).value().size(), 1U);
}

TEST(Catalogue, ADamagedRecordIsAnErrorNotAnAnswer) {
  const auto database = make_memory_database();
  World world(*database, 1);
  world.start_nodes();
  const Object object = world.put("alice", "a");
  std::string bytes = database->get(keys::object(object.id)).value().value_or("");
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_OK(database->commit({{keys::object(object.id), bytes}}));
  EXPECT_TRUE(fails(world->stat(world.now, "alice", "a"), Exit::integrity));
  EXPECT_TRUE(fails(world->list(world.now, "alice", "", "", 10), Exit::integrity));
  EXPECT_TRUE(fails(world->remove(world.now, "alice", "a", 0), Exit::integrity));
  EXPECT_TRUE(fails(world->commit(world.now, "alice", object.key(), false), Exit::integrity));
  ASSERT_OK(database->commit({{keys::object(object.id), std::nullopt}}));
  EXPECT_TRUE(fails(world->stat(world.now, "alice", "a"), Exit::integrity));
}

// Every commit of a day in the life fails once, before or after it was done; asked again, all ends as it
// should.
TEST(Catalogue, EveryWriteMayFailOnce) {
  for (unsigned nth = 1, more = 1; more != 0; ++nth) {
    more = 0;
    for (const bool applied : {false, true}) {
      const auto below = make_memory_database();
      FaultyDatabase database(*below);
      World world(database, 7);
      world.start_nodes();
      database.fail_commit(nth, applied);
      const auto insist = [&](auto call) {
        auto result = call();
        if (!result.ok()) {
          EXPECT_EQ(result.error().code, Exit::temporary);
          if (applied) {  // such a thing is seen after the next start only
            world.restart();
            world.report_all();
          }
          result = call();
        }
        EXPECT_OK(result);
        return result.value();
      };
      Object last;
      for (int round = 0; round < 2; ++round) {
        const WriteRequest request = world.request("a");
        last = insist([&] { return world->begin_write(world.now, "alice", request); }).object;
        Report renewal = World::report_of("s");
        renewal.writes = {last.key()};
        EXPECT_TRUE(insist([&] { return world.report("s", renewal); }).ended.empty());
        insist([&] { return world->sealed(world.now, "s", World::seal(last, 5)); });
        insist([&] { return world->commit(world.now, "alice", last.key(), false); });
      }
      const WriteRequest request = world.request("b");
      const Object given_up = insist([&] { return world->begin_write(world.now, "alice", request); }).object;
      insist([&] { return world->abort(world.now, "alice", given_up.key()); });
      EXPECT_EQ(world->stat(world.now, "alice", "a").value().id, last.id);
      insist([&] { return world->remove(world.now, "alice", "a", last.id); });
      for (int i = 1; i <= 7; ++i) {
        const std::string node = numbered("h", i);
        Report done = World::report_of(node);
        done.removed = insist([&] { return world.report(node); }).remove;
        insist([&] { return world.report(node, done); });
      }
      EXPECT_EQ(world->list(world.now, "alice", "", "", 10).value().objects.size(), 0U);
      world.restart();
      const Status status = world->status().value();
      EXPECT_EQ(status.objects, 0U) << nth;
      EXPECT_EQ(status.writes, 0U) << nth;
      EXPECT_EQ(status.removals, 0U) << nth;
      const auto owner = decode<OwnerRecord>(keys::owner("alice"), *below->get(keys::owner("alice")).value());
      EXPECT_EQ(owner.value().objects + owner.value().writes, 0U) << nth;
      more += database.failed() ? 1U : 0U;
    }
  }
}

// What the catalogue should say, in the simplest words.
struct Model {
  std::map<std::pair<std::string, std::string>, std::uint64_t> names;
  std::map<std::uint64_t, std::pair<std::string, Object>> open;  // owner
  std::map<std::string, std::set<std::uint64_t>> holdings;

  void check(World& world) const {
    for (const char* const owner : {"alice", "bob"}) {
      std::map<std::pair<std::string, std::string>, std::uint64_t> found;
      const auto page = world->list(world.now, owner, "", "", 1000);
      ASSERT_OK(page);
      for (const ObjectSummary& object : page.value().objects) {
        found[{owner, object.name}] = object.id;
      }
      for (const auto& [name, id] : names) {
        if (name.first == owner) {
          ASSERT_EQ(found[name], id);
          ASSERT_EQ(world->stat(world.now, owner, name.second).value().id, id);
        }
      }
      const auto count = std::count_if(names.begin(), names.end(),
                                       [&](const auto& name) { return name.first.first == owner; });
      ASSERT_EQ(page.value().objects.size(), static_cast<std::size_t>(count));
    }
    for (const auto& [node, objects] : holdings) {
      std::set<std::uint64_t> found;
      const auto page = world->holdings(node, 0, 1000);
      ASSERT_OK(page);
      for (const Holding& holding : page.value().holdings) {
        found.insert(holding.key.object);
      }
      ASSERT_EQ(found, objects) << node;
    }
    const Status status = world->status().value();
    ASSERT_EQ(status.objects, names.size());
    ASSERT_EQ(status.writes, open.size());
  }
};

void random_day(Database& database, std::uint64_t day_seed, int steps) {
  std::mt19937_64 random(day_seed);
  World world(database, day_seed);
  world.start_nodes();
  Model model;
  const auto any_open = [&] {
    return std::next(model.open.begin(), static_cast<long>(random() % model.open.size()));
  };
  for (int step = 0; step < steps; ++step) {
    const std::string owner = random() % 2 == 0 ? "alice" : "bob";
    const std::string name(1, static_cast<char>('a' + random() % 4));
    const unsigned action = static_cast<unsigned>(random() % 10);
    if (action < 3) {
      const auto ticket = world->begin_write(world.now, owner, world.request(name));
      ASSERT_OK(ticket);
      const Object& object = ticket.value().object;
      model.open[object.id] = {owner, object};
      for (const Holder& holder : object.layout.holders) {
        model.holdings[holder.node].insert(object.id);
      }
    } else if (action < 6 && !model.open.empty()) {
      const auto write = any_open();
      const auto [its_owner, object] = write->second;
      const auto shares = static_cast<std::uint32_t>(random() % 6);
      const auto sealed = world->sealed(world.now, "s", World::seal(object, shares));
      ASSERT_OK(sealed);
      const auto committed = world->commit(world.now, its_owner, object.key(), random() % 2 == 0);
      if (committed.ok()) {
        ASSERT_GE(sealed.value().sealed, 3U);
        model.names[{its_owner, object.name}] = object.id;
        model.open.erase(write);
      } else {
        ASSERT_LT(sealed.value().sealed, 4U);
      }
    } else if (action == 6 && !model.open.empty()) {
      const auto write = any_open();
      ASSERT_OK(world->abort(world.now, write->second.first, write->second.second.key()));
      model.open.erase(write);
    } else if (action == 7) {
      const bool there = model.names.erase({owner, name}) == 1;
      ASSERT_EQ(world->remove(world.now, owner, name, 0).ok(), there);
    } else if (action == 8) {
      world.obey();
      for (auto& [node, objects] : model.holdings) {
        std::erase_if(objects, [&](std::uint64_t id) {
          return model.open.count(id) == 0 && std::none_of(model.names.begin(), model.names.end(),
                                                           [&](const auto& n) { return n.second == id; });
        });
      }
    } else if (action == 9) {
      world.restart();
      world.report_all();
    }
    ASSERT_NO_FATAL_FAILURE(model.check(world)) << "step " << step;
  }
}

TEST(Catalogue, DoesWhatItsModelDoes) {
  const std::uint64_t first = seed();
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto memory = make_memory_database();
    ASSERT_NO_FATAL_FAILURE(random_day(*memory, first + i, 150)) << "seed " << first + i;
  }
  Folder folder;
  const auto sqlite = open_sqlite_database(folder.path("db"));
  ASSERT_OK(sqlite);
  random_day(*sqlite.value(), first, 150);
}

}  // namespace
}  // namespace ssn::controller::test
