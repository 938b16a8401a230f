// SPDX-License-Identifier: BSD-3-Clause
// Alarms as the controller keeps them: against a model, over restarts and commits that fail; what raises and
// clears each of its own; limits, and who may say what.
#include <set>

#include "cut_text.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

using alarms::ActiveAlarm;
using alarms::AlarmKey;
using alarms::Severity;

std::vector<Alarm> listed(World& world, AlarmFilter filter = {}, std::size_t limit = page_max) {
  std::vector<Alarm> all;
  std::string after;
  do {
    const auto page = world->alarms(world.now, filter, after, limit);
    EXPECT_OK(page);
    if (!page.ok()) break;
    all.insert(all.end(), page.value().alarms.begin(), page.value().alarms.end());
    EXPECT_TRUE(page.value().next.empty() || page.value().next > after);
    after = page.value().next;
  } while (!after.empty());
  return all;
}

// "node_down h1", ...
std::set<std::string> raised(World& world) {
  std::set<std::string> all;
  for (const Alarm& alarm : listed(world)) {
    EXPECT_EQ(alarm.cleared_ms, 0U);
    all.insert(alarm.key.type + " " + alarms::subject_of(alarm.key));
  }
  return all;
}

using Names = std::set<std::string>;

// Time in steps, at each of which `up` report.
void live(World& world, std::uint64_t ms, const std::set<std::string>& up,
          const std::map<std::string, std::vector<ActiveAlarm>>& say = {}) {
  for (const std::uint64_t end = world.now.monotonic_ms + ms; world.now.monotonic_ms < end;) {
    world.pass(1000);
    for (const std::string& node : up) {
      Report report = World::report_of(node);
      if (const auto found = say.find(node); found != say.end()) report.alarms = found->second;
      ASSERT_OK(world.report(node, report));
    }
    ASSERT_OK(world->tick(world.now));
  }
}

const std::set<std::string> everyone = {"h1", "h2", "h3", "h4", "h5", "h6", "h7", "s"};

std::set<std::string> all_but(const std::set<std::string>& away) {
  std::set<std::string> all;
  for (const std::string& node : everyone) {
    if (!away.contains(node)) all.insert(node);
  }
  return all;
}

std::vector<Event> changes_of(World& world, const std::string& type) {
  std::vector<Event> all;
  const auto events = world->events(0, page_max);
  EXPECT_OK(events);
  for (const Event& event : events.value()) {
    if (event.kind == type && event.change != AlarmChange::none) all.push_back(event);
  }
  return all;
}

class AlarmsTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.start_nodes();
    live(world_, 3000, everyone);
  }
  const std::unique_ptr<Database> database_ = make_memory_database();
  World world_{*database_, seed()};
};

TEST_F(AlarmsTest, ANodeThatIsSilentIsDownUntilItReports) {
  EXPECT_EQ(raised(world_), Names{});
  live(world_, 5000, all_but({"h2"}));
  EXPECT_EQ(raised(world_), Names{});
  live(world_, 2000, all_but({"h2"}));
  EXPECT_EQ(raised(world_), Names{"node_down h2"});
  const Alarm alarm = listed(world_).at(0);
  EXPECT_EQ(alarm.severity, Severity::major);
  EXPECT_EQ(alarm.sources, std::vector<std::string>{""});
  EXPECT_EQ(alarm.times, 1U);
  EXPECT_FALSE(alarm.text.empty());
  EXPECT_FALSE(alarm.repair.empty());
  EXPECT_EQ(world_->status().value().alarms[static_cast<std::size_t>(Severity::major)], 1U);
  live(world_, 4000, everyone);
  EXPECT_EQ(raised(world_), Names{"node_down h2"});  // not at once: it may go again
  live(world_, 3000, everyone);
  EXPECT_EQ(raised(world_), Names{});
  EXPECT_EQ(world_->status().value().alarms[static_cast<std::size_t>(Severity::major)], 0U);
  const std::vector<Event> changes = changes_of(world_, "node_down");
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].change, AlarmChange::raised);
  EXPECT_TRUE(changes[0].alarm);
  EXPECT_EQ(changes[0].severity, Severity::major);
  EXPECT_EQ(changes[0].subject, "h2");
  EXPECT_EQ(changes[1].change, AlarmChange::cleared);
  EXPECT_EQ(world_->last_event(), world_->events(0, page_max).value().back().number);
  // Remembered, and found by what it is.
  AlarmFilter all{true, "", "", Severity::none};
  ASSERT_EQ(listed(world_, all).size(), 1U);
  EXPECT_NE(listed(world_, all)[0].cleared_ms, 0U);
  all.least = Severity::critical;
  EXPECT_TRUE(listed(world_, all).empty());
}

TEST_F(AlarmsTest, ARestartForgetsNothingAndInventsNothing) {
  live(world_, 8000, all_but({"h2"}));
  world_.restart();
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_EQ(raised(world_), Names{"node_down h2"});
  live(world_, 4000, everyone);
  EXPECT_EQ(raised(world_), Names{"node_down h2"});
  live(world_, 7000, all_but({"h3"}));
  EXPECT_EQ(raised(world_), Names{"node_down h3"});
  EXPECT_EQ(changes_of(world_, "node_down").size(), 3U);
}

TEST_F(AlarmsTest, ANodeThatIsOutAndHoldsNothingMayBeGone) {
  const Object object = world_.put("alice", "a");
  const std::string holder = object.layout.holders[0].node;
  ASSERT_OK(world_->set_node(world_.now, holder, ServiceState::out_of_service));
  live(world_, 10'000, all_but({holder}));
  EXPECT_EQ(raised(world_), Names{"node_down " + holder});
  ASSERT_OK(world_->remove(world_.now, "alice", "a", 0));
  world_.obey();
  live(world_, 20'000, all_but({holder}));
  EXPECT_EQ(raised(world_), Names{});
}

TEST_F(AlarmsTest, TooFewNodesForThePolicy) {
  const std::set<std::string> few = {"h1", "h2", "h3", "h4", "s"};
  live(world_, 10'000, few);
  EXPECT_FALSE(raised(world_).contains("too_few_nodes network"));
  live(world_, 20'000, few);
  EXPECT_TRUE(raised(world_).contains("too_few_nodes network"));
  live(world_, 20'000, everyone);
  EXPECT_EQ(raised(world_), Names{});
}

TEST_F(AlarmsTest, SeveralWhoSayTheSameSayOneAlarm) {
  world_.start("s2", pki::Role::ssa);
  std::set<std::string> nodes = everyone;
  nodes.insert("s2");
  const ActiveAlarm slow{{"holder_failed", "h1", ""}, "slow"};
  live(world_, 1000, nodes, {{"s", {slow}}});
  live(world_, 1000, nodes, {{"s", {slow}}, {"s2", {slow}}});
  ASSERT_EQ(listed(world_).size(), 1U);
  EXPECT_EQ(listed(world_)[0].sources, (std::vector<std::string>{"s", "s2"}));
  live(world_, 1000, nodes, {{"s2", {slow}}});
  EXPECT_EQ(raised(world_), Names{"holder_failed h1"});
  live(world_, 1000, nodes);
  EXPECT_EQ(raised(world_), Names{});
  EXPECT_EQ(changes_of(world_, "holder_failed").size(), 2U);
}

TEST_F(AlarmsTest, NobodyRaisesWhatIsNotHis) {
  const auto alarm = [](const char* type, const char* resource, const char* peer = "") {
    return ActiveAlarm{{type, resource, peer}, "it says so"};
  };
  live(world_, 1000, everyone,
       {{"h1",
         {alarm("holder_failed", "h2"), alarm("store_failed", "h2"), alarm("node_down", "h1"),
          alarm("no_such_type", "h1"), alarm("association_down", "h1", "nobody"),
          alarm("association_down", "h1"), alarm("store_full", "h1", "h2"),
          alarm("database_failed", "controller")}},
        {"s", {alarm("holder_failed", "s"), alarm("holder_failed", "nobody"), alarm("store_full", "s")}}});
  EXPECT_EQ(raised(world_), Names{});
  live(world_, 1000, everyone,
       {{"h1", {alarm("store_full", "h1"), alarm("association_down", "h1", "s")}},
        {"s", {alarm("holder_lies", "h1")}}});
  EXPECT_EQ(raised(world_), (Names{"store_full h1", "association_down h1 s", "holder_lies h1"}));
  Report bad = World::report_of("h1");
  bad.alarms = {{{"store_full", "h 1", ""}, "x"}};
  EXPECT_TRUE(fails(world_.report("h1", bad), Exit::usage));
  bad.alarms.assign(reported_alarms_max + 1, alarm("store_full", "h1"));
  EXPECT_TRUE(fails(world_.report("h1", bad), Exit::usage));
}

// What it said stands while it is down, and goes with it.
TEST_F(AlarmsTest, ANodeTakenOutSaysNothingAnyMore) {
  live(world_, 1000, everyone, {{"h1", {{{"store_full", "h1", ""}, "full"}}}});
  live(world_, 10'000, all_but({"h1"}));
  EXPECT_EQ(raised(world_), (Names{"node_down h1", "store_full h1"}));
  ASSERT_OK(world_->set_node(world_.now, "h1", ServiceState::out_of_service));
  live(world_, 10'000, all_but({"h1"}));
  EXPECT_EQ(raised(world_), Names{});
}

// Nobody has to have keys with one that was taken away.
TEST_F(AlarmsTest, AnAssociationWithANodeThatIsGone) {
  const std::map<std::string, std::vector<ActiveAlarm>> say = {
      {"s", {{{"association_down", "s", "h1"}, "x"}}}};
  live(world_, 10'000, all_but({"h1"}), say);
  EXPECT_EQ(raised(world_), (Names{"node_down h1", "association_down s h1"}));
  ASSERT_OK(world_->set_node(world_.now, "h1", ServiceState::out_of_service));
  live(world_, 10'000, all_but({"h1"}), say);
  EXPECT_EQ(raised(world_), Names{});
}

TEST_F(AlarmsTest, UnknownHoldingsUntilTheNodeStartsAgain) {
  ASSERT_OK(world_->compare(world_.now, "h1", {{1, 1}}));
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_EQ(raised(world_), Names{"unknown_holdings h1"});
  world_.restart();
  live(world_, 3000, everyone);
  EXPECT_EQ(raised(world_), Names{"unknown_holdings h1"});
  Registration registration;
  registration.instance = {9};
  registration.roles = {pki::Role::shareholder};
  ASSERT_OK(world_->register_node(world_.now, "h1", {pki::Role::shareholder}, registration));
  EXPECT_EQ(raised(world_), Names{});
}

TEST(Alarms, ADatabaseThatCannotBeWrittenIsOne) {
  const auto below = make_memory_database();
  FaultyDatabase database(*below);
  World world(database, seed());
  world.start_nodes();
  live(world, 2000, everyone);
  database.fail_commit(1, false);
  EXPECT_TRUE(fails(world->set_node(world.now, "h1", ServiceState::out_of_service), Exit::temporary));
  database.fail_commit(1, false);
  EXPECT_TRUE(fails(world->tick(world.now), Exit::temporary));
  EXPECT_EQ(raised(world), Names{"database_failed controller"});
  EXPECT_EQ(world->status().value().alarms[static_cast<std::size_t>(Severity::critical)], 1U);
  ASSERT_OK(world->tick(world.now));  // it works again
  EXPECT_EQ(raised(world), Names{});
  const std::vector<Event> changes = changes_of(world, "database_failed");
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_NE(changes[0].text.find("the test wants it so"), std::string::npos);
}

TEST_F(AlarmsTest, AreListedInPages) {
  std::vector<ActiveAlarm> many;
  for (const char* const node : {"h1", "h2", "h3", "h4", "h5", "h6", "h7"}) {
    many.push_back({{"holder_failed", node, ""}, "slow"});
    many.push_back({{"association_down", "s", node}, "down"});
  }
  live(world_, 1000, everyone, {{"s", many}});
  const std::vector<Alarm> whole = listed(world_);
  EXPECT_EQ(whole.size(), 14U);
  for (const std::size_t limit : {1U, 3U, 14U}) {
    const std::vector<Alarm> paged = listed(world_, {}, limit);
    ASSERT_EQ(paged.size(), whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(paged[i].key, whole[i].key);
  }
  AlarmFilter filter;
  filter.resource = "h1";
  EXPECT_EQ(listed(world_, filter).size(), 2U);
  filter.type = "holder_failed";
  EXPECT_EQ(listed(world_, filter).size(), 1U);
}

TEST_F(AlarmsTest, WhatIsOverIsForgotten) {
  live(world_, 1000, everyone, {{"h1", {{{"store_full", "h1", ""}, "full"}}}});
  live(world_, 1000, everyone);
  const AlarmFilter all{true, "", "", Severity::none};
  EXPECT_EQ(listed(world_, all).size(), 1U);
  world_.now.wall_ms += alarms_kept_ms - 2000;
  live(world_, 1000, everyone);
  EXPECT_EQ(listed(world_, all).size(), 1U);
  live(world_, 3000, everyone);
  EXPECT_EQ(listed(world_, all).size(), 0U);
}

// The oldest first, and none that is raised.
TEST(Alarms, ThatAreOverAreForgottenByNumber) {
  const auto database = make_memory_database();
  Transaction changes(*database);
  for (std::size_t i = 0; i < alarms_kept_max + 50; ++i) {
    Alarm alarm;
    alarm.key = {"store_full", fmt::format("n{:05}", i), ""};
    alarm.times = 1;
    alarm.raised_ms = 1'700'000'000'000;
    alarm.cleared_ms = i < 5 ? 0 : 1'700'000'000'000 + i;
    if (i < 5) alarm.sources = {alarm.key.resource};
    alarm.text.assign(1, 'x');
    changes.put(keys::alarm(alarm.key), alarm);
  }
  ASSERT_OK(changes.commit());
  World world(*database, seed());
  world.now.wall_ms = std::max<std::uint64_t>(world.now.wall_ms, 1'700'000'100'000);
  ASSERT_OK(world->tick(world.now));
  const std::vector<Alarm> all = listed(world, {true, "", "", Severity::none});
  std::set<std::string> left;
  std::size_t over = 0;
  for (const Alarm& alarm : all) {
    left.insert(alarm.key.resource);
    over += alarm.cleared_ms != 0 ? 1 : 0;
  }
  EXPECT_EQ(over, alarms_kept_max);
  EXPECT_TRUE(left.contains("n00000"));   // still raised
  EXPECT_FALSE(left.contains("n00049"));  // the oldest that are over
  EXPECT_TRUE(left.contains("n00050"));
}

// Random conditions said by random nodes, restarts and commits that fail before or after: what is listed is
// what is said, events alternate, nothing is lost.
TEST(Alarms, AreWhatTheModelSays) {
  fmt::print("SSN_TEST_SEED={}\n", seed());
  const auto below = make_memory_database();
  FaultyDatabase database(*below);
  World world(database, seed());
  world.start_nodes();
  std::mt19937_64 random(seed());
  std::map<std::string, std::map<AlarmKey, std::string>> said;  // by node
  unsigned failures = 0;
  for (int step = 0; step < 3000; ++step) {
    const std::string node = random() % 3 == 0 ? "s" : numbered("h", 1 + random() % 7);
    const AlarmKey key = node == "s" ? AlarmKey{"holder_failed", numbered("h", 1 + random() % 3), ""}
                         : random() % 2 == 0
                             ? AlarmKey{"store_full", node, ""}
                             : AlarmKey{"association_down", node, numbered("h", 1 + random() % 7)};
    auto wanted = said[node];
    if (!wanted.erase(key)) wanted[key] = "said";
    Report report = World::report_of(node);
    for (const auto& [each, text] : wanted) report.alarms.push_back({each, text});
    if (random() % 5 == 0) database.fail_commit(1, random() % 2 == 0);
    Result<ReportAnswer> answer = world.report(node, report);
    if (!answer.ok()) {
      ++failures;
      database.fail_commit(0, false);
      if (random() % 2 == 0) world.restart();
      answer = world.report(node, report);  // as a node does
    }
    database.fail_commit(0, false);
    ASSERT_OK(answer);
    said[node] = wanted;
    world.pass(10);
    if (random() % 50 == 0) world.restart();
    std::set<AlarmKey> expected;
    for (const auto& [name, all] : said) {
      for (const auto& [each, text] : all) expected.insert(each);
    }
    std::set<AlarmKey> got;
    for (const Alarm& alarm : listed(world)) got.insert(alarm.key);
    ASSERT_EQ(got, expected) << "step " << step;
  }
  EXPECT_GT(failures, 100U);
  std::map<std::string, AlarmChange> latest;
  std::uint64_t after = 0;
  for (;;) {
    const auto events = world->events(after, page_max);
    ASSERT_OK(events);
    for (const Event& event : events.value()) {
      after = event.number;
      if (event.change == AlarmChange::none) continue;
      AlarmChange& before = latest[event.kind + " " + event.subject];
      ASSERT_NE(event.change, before) << event.kind << " " << event.subject;
      const bool first = before == AlarmChange::none;
      ASSERT_TRUE(!first || event.change == AlarmChange::raised) << event.kind << " " << event.subject;
      before = event.change;
    }
    if (events.value().size() < page_max) break;
  }
}

// At most so many; the one that says so has its place.
// What is shown of it is text still: half a character would make a whole page unreadable.
TEST_F(AlarmsTest, TextsAreCutBetweenCharacters) {
  for (std::size_t before = 0; before < 3; ++before) {
    std::string text(before, 'a');
    while (text.size() < 2 * text_max) text.append("\u20ac");
    const std::string cut = alarms::cut_text(text, text_max);
    EXPECT_LE(cut.size(), text_max);
    EXPECT_GT(cut.size(), text_max - 3);
    EXPECT_EQ((cut.size() - before) % 3, 0U);
    EXPECT_TRUE(is_good_name(cut, text_max));
  }
}

// A database of before had one for each object; now one stands for all of them, as long as it holds for one.
TEST(Alarms, ThoseOfObjectsOfBeforeBecomeOne) {
  const auto database = make_memory_database();
  Transaction changes(*database);
  for (std::uint64_t object = 1; object <= 20; ++object) {
    Alarm alarm;
    alarm.times = alarm.raised_ms = 1;
    alarm.severity = Severity::major;
    alarm.sources = {""};
    alarm.text = fmt::format("of object {}", object);
    alarm.key = {"share_exposed", fmt::format("{:016x}", object), "h9"};
    changes.put(keys::alarm(alarm.key), alarm);
    changes.put(keys::removal("h9", {object, 3}), NumberRecord{1});
    alarm.key = {"reshare_undone", fmt::format("{:016x}", object), ""};
    alarm.cleared_ms = object % 2;
    changes.put(keys::alarm(alarm.key), alarm);
  }
  ASSERT_OK(changes.commit());
  World world(*database, seed());
  world.start_nodes();
  live(world, 3000, everyone);
  EXPECT_EQ(raised(world), (Names{"share_exposed h9", "reshare_undone network"}));
  world.restart();
  for (std::uint64_t object = 1; object <= 20; ++object) {
    live(world, 1000, everyone);
    EXPECT_EQ(raised(world), (Names{"share_exposed h9", "reshare_undone network"})) << object;
    Transaction gone(*database);
    gone.erase(keys::mark("share_exposed", "h9", {object, 3}));
    gone.erase(keys::mark("reshare_undone", "network", {object, 0}));
    ASSERT_OK(gone.commit());
  }
  live(world, 1000, everyone);
  EXPECT_EQ(raised(world), Names{});
}

// However many other alarms there are, those that have nodes replaced are raised.
TEST(Alarms, OfNodesHaveAlwaysRoom) {
  const auto database = make_memory_database();
  Transaction changes(*database);
  for (std::size_t i = 0; i < alarms_max; ++i) {
    Alarm alarm;
    alarm.key = {"association_down", fmt::format("h{}", i + 10), "h9"};
    alarm.times = 1;
    alarm.raised_ms = 1;
    alarm.sources = {"h9"};
    alarm.text.assign(1, 'x');
    changes.put(keys::alarm(alarm.key), alarm);
  }
  ASSERT_OK(changes.commit());
  World world(*database, seed());
  world.start_nodes();
  live(world, 10'000, all_but({"h2"}));
  EXPECT_FALSE(changes_of(world, "node_down").empty());
}

// A device's own words: whatever they are, the node is alive.
TEST_F(AlarmsTest, OfTheControllersCertificate) {
  world_->tell_certificate(world_.now, "ends in 12 days");
  live(world_, 1000, everyone);
  EXPECT_EQ(raised(world_), Names{"controller_certificate_ends controller"});
  EXPECT_EQ(listed(world_)[0].text, "ends in 12 days");
  world_.restart();
  live(world_, 3000, everyone);
  EXPECT_EQ(raised(world_), Names{"controller_certificate_ends controller"}) << "nobody said that it is over";
  world_->tell_certificate(world_.now, "");
  live(world_, 3000, everyone);
  EXPECT_EQ(raised(world_), Names{});
}

TEST_F(AlarmsTest, AReportIsTakenWhateverItsTextsSay) {
  for (const std::string text : {"", "two\nlines\x1b[2J"}) {
    Report report = World::report_of("h2");
    report.alarms = {{{"store_failed", "h2", ""}, text}};
    ASSERT_OK(world_.report("h2", report));
  }
  for (const Alarm& alarm : listed(world_)) {
    EXPECT_EQ(alarm.text.find_first_of("\n\x1b"), std::string::npos);
  }
}

TEST_F(AlarmsTest, ANodeThatWasRemovedIsNotDown) {
  live(world_, 10'000, all_but({"h2"}));
  EXPECT_EQ(raised(world_), Names{"node_down h2"});
  ASSERT_OK(world_->remove_node(world_.now, "h2"));
  world_.restart();
  live(world_, 10'000, all_but({"h2"}));
  EXPECT_EQ(raised(world_), Names{});
}

TEST(Alarms, AreBounded) {
  const auto database = make_memory_database();
  Policy policy;
  policy.nodes_max = 512;
  World world(*database, seed(), policy);
  std::set<std::string> nodes;
  for (int i = 1; i <= 20; ++i) {
    nodes.insert(numbered("s", i));
    world.start(numbered("s", i), pki::Role::ssa);
  }
  for (int i = 1; i <= 256; ++i) world.start(numbered("h", i), pki::Role::shareholder);
  std::map<std::string, std::vector<ActiveAlarm>> say;
  for (const std::string& node : nodes) {
    for (int i = 1; i <= 256; ++i) say[node].push_back({{"association_down", node, numbered("h", i)}, "x"});
  }
  live(world, 2000, nodes, say);
  const std::set<std::string> all = raised(world);
  EXPECT_EQ(all.size(), alarms_max + 1);
  EXPECT_TRUE(all.contains("alarms_lost controller"));
}

}  // namespace
}  // namespace ssn::controller::test
