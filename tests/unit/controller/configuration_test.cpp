// SPDX-License-Identifier: BSD-3-Clause
// Versions of the network's configuration in the catalogue, and what follows from them.
#include "network_document.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

class ConfigurationTest : public testing::Test {
 protected:
  ConfigurationTest() : database_(make_memory_database()), world_(*database_, 1) { world_.start_nodes(); }

  Result<ConfigurationChange> apply(const std::string& text, std::uint64_t base = 0, bool dry_run = false) {
    ConfigurationRequest request;
    request.text = text;
    request.name = "net";
    request.base = base;
    request.comment = "because";
    request.dry_run = dry_run;
    return world_->configure(world_.now, request, "op");
  }
  Result<ConfigurationChange> rollback(std::uint64_t version) {
    ConfigurationRequest request;
    request.rollback_to = version;
    return world_->configure(world_.now, request, "op");
  }
  std::string text() { return world_->configuration(0).value().text; }
  std::uint64_t version() { return world_->configuration(0).value().number; }

  std::unique_ptr<Database> database_;
  World world_;
};

TEST_F(ConfigurationTest, BeginsWithDefaultsAsVersionOne) {
  const auto first = world_->configuration(0);
  ASSERT_OK(first);
  EXPECT_EQ(first.value().number, 1U);
  EXPECT_EQ(first.value().digest.size(), 64U);
  EXPECT_EQ(first.value().text.rfind("version = 1\n", 0), 0U);
  EXPECT_TRUE(differences_of(Policy(), read_network_document(text(), "").policy).empty());
  EXPECT_TRUE(fails(world_->configuration(2), Exit::not_found));
  world_.restart();
  EXPECT_EQ(world_->configuration(0).value().digest, first.value().digest);
  EXPECT_EQ(world_->configurations().value().size(), 1U);
}

// Nodes say what they do; a class has those only that do what it asks, and what is not known is not that.
TEST_F(ConfigurationTest, ClassesAskForRandomBlocksAndPads) {
  ASSERT_OK(
      apply("[[class]]\nname = \"sure\"\nrandom = \"stream\"\nshortage = \"pads\"\n"
            "[[class]]\nname = \"patient\"\nshortage = \"wait\"\n"));
  const auto say = [&](const std::string& node, RandomSource random, KeyShortage shortage) {
    Report report = World::report_of(node);
    report.key_settings = {random, shortage};
    ASSERT_OK(world_.report(node, report));
  };
  const auto write = [&](const std::string& class_name) {
    WriteRequest request = world_.request("a" + std::to_string(version()) + class_name);
    request.class_name = class_name;
    return world_->begin_write(world_.now, "alice", request);
  };
  EXPECT_TRUE(fails(write("sure"), Exit::temporary)) << "nobody said anything";
  EXPECT_NE(write("sure").error().why.find("s is not known to draw random"), std::string::npos);
  say("s", RandomSource::generator, KeyShortage::refuse);
  EXPECT_TRUE(fails(write("sure"), Exit::temporary));
  say("s", RandomSource::stream, KeyShortage::aes_256_gcm);
  EXPECT_NE(write("sure").error().why.find("s is not known to send under pads only"), std::string::npos);
  say("s", RandomSource::stream, KeyShortage::wait);
  EXPECT_TRUE(fails(write("sure"), Exit::temporary)) << "no shareholder did";
  say("h1", RandomSource::generator, KeyShortage::aes_256_gcm);
  for (int i = 2; i <= 6; ++i) say(numbered("h", i), RandomSource::generator, KeyShortage::refuse);
  const auto ticket = write("sure");
  ASSERT_OK(ticket);
  EXPECT_EQ(ticket.value().object.rules.keys, (KeyDemand{RandomDemand::stream, ShortageDemand::pads}));
  for (const Holder& holder : ticket.value().object.layout.holders) {
    EXPECT_TRUE(holder.node >= "h2" && holder.node <= "h6") << holder.node;
  }
  EXPECT_TRUE(fails(write("patient"), Exit::temporary)) << "they refuse";
  WriteRequest request;
  request.class_name = "patient";
  const auto explained = world_->explain_write(world_.now, request, "alice");
  ASSERT_OK(explained);
  EXPECT_FALSE(explained.value().refused.empty());
  EXPECT_EQ(explained.value().choices.at(0).rule, PlacementRule::excluded);
  EXPECT_EQ(explained.value().choices.at(0).subject, "not known to wait when keys run short");
  EXPECT_OK(write(""));
}

TEST_F(ConfigurationTest, IsAppliedLookedAtAndTakenBack) {
  const std::string first = text();
  const auto seen = apply("[policy]\nn = 6\n", 0, true);
  ASSERT_OK(seen);
  EXPECT_TRUE(seen.value().changed);
  EXPECT_EQ(seen.value().version.number, 1U);
  ASSERT_EQ(seen.value().differences.size(), 1U);
  EXPECT_EQ(seen.value().differences[0], (ConfigurationDifference{"policy.n", "5", "6"}));
  EXPECT_EQ(text(), first) << "a dry run";
  EXPECT_EQ(world_.put("alice", "a").layout.n, 5U);

  const auto applied = apply("[policy]\nn = 6\n");
  ASSERT_OK(applied);
  EXPECT_EQ(applied.value().version.number, 2U);
  EXPECT_EQ(applied.value().version.who, "op");
  EXPECT_EQ(applied.value().version.comment, "because");
  EXPECT_EQ(world_->begin_write(world_.now, "alice", world_.request("b")).value().object.layout.n, 6U);
  const auto events = world_->events(0, 1000);
  EXPECT_EQ(events.value().back().kind, "configuration_changed");
  EXPECT_NE(events.value().back().text.find("policy.n is 6, was 5"), std::string::npos);
  EXPECT_FALSE(events.value().back().alarm);

  // Again: it is so already, whoever did it.
  const auto again = apply("[policy]\nn = 6\n", 1);
  ASSERT_OK(again);
  EXPECT_FALSE(again.value().changed);
  EXPECT_EQ(version(), 2U);

  const auto back = rollback(1);
  ASSERT_OK(back);
  EXPECT_EQ(back.value().version.number, 3U);
  ASSERT_EQ(back.value().weaker.size(), 1U) << "fewer may be lost";
  EXPECT_TRUE(world_->events(0, 1000).value().back().alarm);
  EXPECT_EQ(text(), "version = 3" + first.substr(first.find('\n')));
  EXPECT_TRUE(fails(rollback(9), Exit::not_found));
  world_.restart();
  EXPECT_EQ(version(), 3U);
  const auto history = world_->configurations();
  ASSERT_OK(history);
  ASSERT_EQ(history.value().size(), 3U);
  EXPECT_EQ(history.value()[0].number, 3U);
  EXPECT_TRUE(history.value()[0].text.empty());
}

TEST_F(ConfigurationTest, NobodyOverwritesWhatHeDidNotSee) {
  ASSERT_OK(apply("version = 1\n[policy]\nn = 6\n"));
  EXPECT_TRUE(fails(apply("version = 1\n[policy]\nn = 7\n"), Exit::refused));
  EXPECT_TRUE(fails(apply("version = 1\n[policy]\nn = 7\n", 0, true), Exit::refused));
  EXPECT_TRUE(fails(apply("[policy]\nn = 7\n", 1), Exit::refused));
  EXPECT_EQ(version(), 2U);
  ASSERT_OK(apply("version = 2\n[policy]\nn = 7\n"));
  ASSERT_OK(apply("[policy]\nn = 6\n"));  // names none: any
  ASSERT_OK(apply("version = 1\n[policy]\nn = 7\n", 4));
  EXPECT_EQ(text(), "version = 5\n[policy]\nn = 7\n");
}

TEST_F(ConfigurationTest, WhatIsWrongChangesNothing) {
  const auto wrong = apply("[policy]\nn = 600\nfoo = 1\n");
  ASSERT_OK(wrong);
  EXPECT_FALSE(wrong.value().changed);
  ASSERT_EQ(wrong.value().problems.size(), 2U);
  EXPECT_EQ(wrong.value().problems[0].where.rfind("net:2:", 0), 0U);
  EXPECT_EQ(version(), 1U);
  ConfigurationRequest request;
  request.comment = "two\nlines";
  EXPECT_TRUE(fails(world_->configure(world_.now, request, "op"), Exit::usage));
}

TEST_F(ConfigurationTest, TheHistoryIsBounded) {
  for (std::uint64_t i = 0; i < configurations_max + 5; ++i) {
    ASSERT_OK(apply(i % 2 == 0 ? "[policy]\nn = 6\n" : "[policy]\nn = 7\n"));
  }
  const auto history = world_->configurations();
  ASSERT_EQ(history.value().size(), configurations_max);
  EXPECT_EQ(history.value().front().number, configurations_max + 6);
  EXPECT_EQ(history.value().back().number, 7U);
  EXPECT_TRUE(fails(rollback(6), Exit::not_found));
  world_.restart();
  EXPECT_EQ(version(), configurations_max + 6);
}

TEST_F(ConfigurationTest, ServiceStatesAreInIt) {
  ASSERT_OK(world_->set_node(world_.now, "h1", ServiceState::standby, "op"));
  EXPECT_NE(text().find("[[node]]\nname = \"h1\"\nservice = \"standby\"\n"), std::string::npos);
  EXPECT_EQ(world_->configuration(0).value().who, "op");
  world_.restart();
  const auto service = [&](const std::string& name) {
    const auto nodes = world_->nodes(world_.now);
    for (const Node& node : nodes.value()) {
      if (node.name == name) return node.service;
    }
    return ServiceState::in_service;
  };
  EXPECT_EQ(service("h1"), ServiceState::standby);
  ASSERT_OK(apply("[[node]]\nname = \"h2\"\nservice = \"reserved\"\n"));
  EXPECT_EQ(service("h1"), ServiceState::in_service);
  EXPECT_EQ(service("h2"), ServiceState::reserved);
  // Of a node that is replaced nobody puts new shares into the way.
  ASSERT_OK(world_->replace_node(world_.now, "h3", "", "old"));
  EXPECT_EQ(service("h3"), ServiceState::out_of_service);
  EXPECT_NE(text().find("name = \"h3\"\nservice = \"out-of-service\""), std::string::npos);
  EXPECT_TRUE(fails(apply("[policy]\n"), Exit::refused));
  EXPECT_TRUE(fails(rollback(1), Exit::refused));
  ASSERT_OK(apply("[[node]]\nname = \"h3\"\nservice = \"out-of-service\"\n"));
  EXPECT_EQ(service("h2"), ServiceState::in_service);
}

TEST_F(ConfigurationTest, AFailedCommitChangesNothing) {
  FaultyDatabase faulty(*database_);
  World world(faulty, 2);
  world.start_nodes();
  ConfigurationRequest request;
  request.text = "[policy]\nn = 6\n";
  faulty.fail_commit(1, false);
  EXPECT_TRUE(fails(world->configure(world.now, request, "op"), Exit::temporary));
  EXPECT_EQ(world->configuration(0).value().number, 1U);
  EXPECT_EQ(world.put("alice", "a").layout.n, 5U);
  ASSERT_OK(world->configure(world.now, request, "op"));
  EXPECT_EQ(world->configuration(0).value().number, 2U);
}

// Nodes hear of it with their next report: until then they are not down because they keep to the old one.
TEST_F(ConfigurationTest, MoreFrequentReportsTakeNobodyDown) {
  ASSERT_OK(apply("[policy]\nlease = \"1 h\"\nreport = \"60 s\"\n"));
  world_.report_all();
  world_.pass(50'000);
  ASSERT_OK(apply("[policy]\nlease = \"1 h\"\nreport = \"1 s\"\n"));
  EXPECT_EQ(world_.put("alice", "a").layout.n, 5U);
  EXPECT_EQ(world_.report("h1").value().report_ms, 1'000U);
  world_.pass(121'000);
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", world_.request("b")), Exit::temporary));
}

TEST_F(ConfigurationTest, ADatabaseOfBeforeKeepsItsServiceStates) {
  const auto database = make_memory_database();
  // As version 4 wrote it: instance, roles, addresses, site, version, service, time, labels, paths.
  std::string node{'\4'};
  node +=
      std::string(16, '\5') + std::string(pki::roles_count, '\0') + std::string("\0\0\0\0\2\7\0\0\0\0", 10);
  const std::string key = keys::node("h9");
  ASSERT_OK(database->commit({{key, with_checksum(key, node)}}));
  World world(*database, 3);
  EXPECT_NE(world->configuration(0).value().text.find("name = \"h9\"\nservice = \"standby\""),
            std::string::npos);
  EXPECT_EQ(world->nodes(world.now).value().at(0).service, ServiceState::standby);
}

TEST_F(ConfigurationTest, ClassesSayWhatObjectsGet) {
  ASSERT_OK(
      apply("[[class]]\nname = \"wide\"\nk = 2\nn = 7\ncell = \"640 B\"\n"
            "[[class]]\nname = \"strict\"\nminimum_protection = \"information-theoretic\"\n"
            "[[owner]]\nname = \"alice\"\nclass = \"wide\"\nclasses = [\"strict\"]\n"
            "[[owner]]\nname = \"bob\"\nclass = \"strict\"\n"));
  const auto begin = [&](const std::string& owner, auto change) {
    WriteRequest request = world_.request("x");
    change(request);
    return world_->begin_write(world_.now, owner, request);
  };
  const auto as_it_is = [](WriteRequest&) {};
  const auto of_class = [](const char* name) {
    return [name](WriteRequest& request) { request.class_name = name; };
  };
  const Object wide = begin("alice", as_it_is).value().object;
  EXPECT_EQ(wide.class_name, "wide");
  EXPECT_EQ(wide.layout.k, 2U);
  EXPECT_EQ(wide.layout.n, 7U);
  EXPECT_EQ(wide.cell_bytes, 640U);
  const Object strict = begin("alice", of_class("strict")).value().object;
  EXPECT_EQ(strict.minimum_protection, Protection::information_theoretic);
  EXPECT_EQ(strict.layout.n, 5U);
  EXPECT_EQ(begin("carol", of_class("wide")).value().object.layout.n, 7U);
  EXPECT_EQ(begin("carol", as_it_is).value().object.class_name, "");
  EXPECT_TRUE(fails(begin("carol", of_class("none")), Exit::not_found));
  // Whose classes are listed gets what they say; others may ask for something else.
  EXPECT_TRUE(fails(begin("alice", [](WriteRequest& request) { request.k = 3; }), Exit::refused));
  EXPECT_OK(begin("alice", [](WriteRequest& request) { request.k = 2; }));
  EXPECT_TRUE(
      fails(begin("alice", [](WriteRequest& request) { request.scheme = Scheme::rs; }), Exit::refused));
  EXPECT_EQ(begin("bob", [](WriteRequest& request) { request.k = 4; }).value().object.layout.k, 4U);
  EXPECT_OK(begin("bob", of_class("wide")));
  ASSERT_OK(
      apply("[[class]]\nname = \"wide\"\n[[class]]\nname = \"other\"\n"
            "[[owner]]\nname = \"alice\"\nclasses = [\"wide\"]\n"));
  EXPECT_TRUE(fails(begin("alice", of_class("other")), Exit::refused));
  EXPECT_EQ(begin("alice", as_it_is).value().object.class_name, "");
  EXPECT_TRUE(world_->explain_write(world_.now, world_.request("y"), "alice").ok());
}

TEST_F(ConfigurationTest, AnObjectKeepsItsClass) {
  ASSERT_OK(apply("[[class]]\nname = \"wide\"\nn = 6\n[[owner]]\nname = \"alice\"\nclass = \"wide\"\n"));
  WriteRequest request = world_.request("a");
  const auto ticket = world_->begin_write(world_.now, "alice", request);
  ASSERT_OK(ticket);
  world_.restart();
  world_.report_all();
  EXPECT_EQ(world_->begin_write(world_.now, "alice", request).value().object.class_name, "wide");
  request.class_name = "other";
  EXPECT_TRUE(fails(world_->begin_write(world_.now, "alice", request), Exit::refused)) << "another request";
  ASSERT_OK(world_->sealed(world_.now, "s", World::seal(ticket.value().object, 6)));
  ASSERT_OK(world_->commit(world_.now, "alice", ticket.value().object.key(), false));
  ASSERT_OK(apply("[policy]\nn = 5\n"));  // the class is gone, the object stays
  EXPECT_EQ(world_->stat(world_.now, "alice", "a").value().class_name, "wide");
  EXPECT_OK(world_->explain(world_.now, "alice", "a"));
}

}  // namespace
}  // namespace ssn::controller::test
