// SPDX-License-Identifier: BSD-3-Clause
// What other domains say, and how long it counts; what they are told.
#include <gtest/gtest.h>

#include "domain_book.h"
#include "network_document.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

const DomainAgreement lending{"192.0.2.1:7101", "controller", {"h1"}, {}, 1 << 20, true};

DomainStatement statement(std::uint64_t number) {
  DomainStatement one;
  one.version = exchange_version;
  one.from = "west";
  one.to = "east";
  one.instance = {1};
  one.number = number;
  one.lends_bytes = 1000;
  LentNode node;
  node.name = "w1";
  node.up = true;
  one.nodes.push_back(node);
  return one;
}

class DomainsTest : public testing::Test {
 protected:
  void SetUp() override { follow(lending, 0); }
  void follow(const DomainAgreement& agreement, std::uint64_t now_ms) {
    book_.follow({{"west", agreement}}, {"h1", "h2"}, now_ms);
  }
  DomainView view(std::uint64_t now_ms) const { return book_.views(now_ms).at(0); }
  Outcome hear(const DomainStatement& said, std::uint64_t now_ms, Heard how = Heard::answering) {
    return book_.hear("west", said, how, now_ms);
  }

  DomainBook book_{"east", {"west"}};
};

TEST_F(DomainsTest, WhatIsOldCountsForNothing) {
  EXPECT_EQ(view(0).condition, DomainCondition::waiting);
  EXPECT_EQ(view(domain_fresh_ms + 1).condition, DomainCondition::unreachable);
  ASSERT_OK(hear(statement(1), 20'000));
  EXPECT_EQ(view(20'000).condition, DomainCondition::good);
  EXPECT_EQ(view(20'000 + domain_fresh_ms).condition, DomainCondition::good);
  EXPECT_EQ(view(20'001 + domain_fresh_ms).condition, DomainCondition::unreachable);
  EXPECT_EQ(view(20'001 + domain_fresh_ms).silent_ms, domain_fresh_ms + 1);
  EXPECT_FALSE(book_.troubles(20'001 + domain_fresh_ms).at(0).unreachable.empty());
  EXPECT_TRUE(book_.troubles(20'000).at(0).unreachable.empty());
}

TEST_F(DomainsTest, WhatWasOvertakenIsNotTaken) {
  ASSERT_OK(hear(statement(5), 10));
  DomainStatement old = statement(4);
  old.nodes.clear();
  ASSERT_OK(hear(old, domain_fresh_ms));
  EXPECT_EQ(view(domain_fresh_ms).theirs.nodes.size(), 1U);
  EXPECT_EQ(view(domain_fresh_ms).silent_ms, domain_fresh_ms - 10) << "nor does it make fresh";
  old.instance = {2};  // it was started again
  ASSERT_OK(hear(old, domain_fresh_ms));
  EXPECT_TRUE(view(domain_fresh_ms).theirs.nodes.empty());
}

TEST_F(DomainsTest, FailingCallsAreRepeatedLaterAndLater) {
  std::uint64_t now = 0;
  std::uint64_t before = 0;
  for (int i = 0; i < 20; ++i) {
    book_.fail("west", "no way", now);
    const std::uint64_t wait = book_.wait_ms("west", now);
    EXPECT_GE(wait, before);
    EXPECT_LE(wait, exchange_back_off_ms);
    before = wait;
    now += wait;
  }
  EXPECT_EQ(before, exchange_back_off_ms);
  // It calls us, so it is back: at once, but not again and again while only our calls fail.
  ASSERT_OK(hear(statement(1), now, Heard::calling));
  EXPECT_EQ(book_.wait_ms("west", now), 0U);
  book_.fail("west", "no way", now);
  EXPECT_EQ(book_.wait_ms("west", now), exchange_back_off_ms);
  ASSERT_OK(hear(statement(2), now + 1, Heard::calling));
  EXPECT_EQ(book_.wait_ms("west", now + 1), exchange_back_off_ms - 1);
  ASSERT_OK(hear(statement(3), now + 2));
  EXPECT_EQ(book_.wait_ms("west", now + 2), exchange_each_ms);
}

TEST_F(DomainsTest, BothMustMeanTheSame) {
  DomainStatement none = statement(1);
  none.nodes.clear();
  ASSERT_OK(hear(none, 0));
  EXPECT_EQ(view(0).condition, DomainCondition::mismatch);
  DomainStatement ours = statement(2);
  ours.nodes[0].name = "h2";
  ASSERT_OK(hear(ours, 0));
  EXPECT_NE(view(0).trouble.find("it lends h2, and a node of ours has that name"), std::string::npos);
  DomainStatement uses = statement(3);
  uses.uses = true;
  ASSERT_OK(hear(uses, 0));
  EXPECT_EQ(view(0).condition, DomainCondition::good);
  DomainAgreement keeps = lending;
  keeps.lends.clear();
  follow(keeps, 0);
  EXPECT_EQ(view(0).condition, DomainCondition::mismatch);
  EXPECT_FALSE(book_.troubles(0).at(0).mismatch.empty());
}

TEST_F(DomainsTest, WhoSpeaksOtherwiseIsRefusedAndWhatWasThereStays) {
  ASSERT_OK(hear(statement(1), 0));
  std::uint64_t number = 2;
  for (const auto& [change, why] : std::vector<std::pair<void (*)(DomainStatement&), const char*>>{
           {[](DomainStatement& s) { s.version = 2; }, "version"},
           {[](DomainStatement& s) { s.from = "south"; }, "it calls itself south"},
           {[](DomainStatement& s) { s.to = "south"; }, "it calls us south"},
           {[](DomainStatement& s) { s.instance = {}; }, "instance"},
           {[](DomainStatement& s) { s.nodes.push_back(s.nodes[0]); }, "twice"},
           {[](DomainStatement& s) { s.nodes[0].name = "a b"; }, "name"},
           {[](DomainStatement& s) { s.nodes[0].labels[Label::site] = "a b"; }, "labels"},
           {[](DomainStatement& s) { s.nodes[0].data_addresses.resize(addresses_max + 1); }, "addresses"},
           {[](DomainStatement& s) { s.nodes.resize(lent_nodes_max + 1); }, "the most"},
           {[](DomainStatement& s) { s.alarms = {{"node_down", "w2", alarms::Severity::major, 1}}; },
            "alarm"}}) {
    DomainStatement wrong = statement(number++);
    wrong.nodes[0].name = "w3";
    change(wrong);
    const Outcome heard = hear(wrong, 1, Heard::calling);
    ASSERT_TRUE(fails(heard, Exit::refused)) << why;
    EXPECT_NE(heard.error().why.find(why), std::string::npos) << heard.error().why;
    EXPECT_EQ(view(1).condition, DomainCondition::mismatch);
    EXPECT_EQ(view(1).theirs.nodes.at(0).name, "w1");
  }
  ASSERT_OK(hear(statement(100), 2));
  EXPECT_EQ(view(2).condition, DomainCondition::good);
  EXPECT_TRUE(fails(book_.hear("south", statement(1), Heard::calling, 2), Exit::refused));
}

TEST_F(DomainsTest, AnotherControllerBeginsAnew) {
  ASSERT_OK(hear(statement(1), 0));
  DomainAgreement moved = lending;
  moved.identity = "another";
  follow(moved, 10);
  EXPECT_FALSE(view(10).heard);
  EXPECT_TRUE(view(10).theirs.nodes.empty());
  book_.follow({}, {}, 20);
  EXPECT_TRUE(book_.views(20).empty());
}

TEST_F(DomainsTest, WithoutAnAuthorityNobodySpeaksForADomain) {
  DomainBook none("", {});
  none.follow({{"west", lending}}, {}, 0);
  EXPECT_EQ(none.views(0).at(0).condition, DomainCondition::unreachable);
  DomainBook others("east", {"south"});
  others.follow({{"west", lending}}, {}, 0);
  EXPECT_EQ(others.views(0).at(0).condition, DomainCondition::unreachable);
}

// h1 and h2 are lent: by name, and by the site that the operator says. h3 says itself that it stands there.
TEST(Statement, HasWhatIsLentAndNothingElse) {
  const auto database = make_memory_database();
  Policy policy;
  policy.agreements["west"] = {"192.0.2.1:7101", "controller", {"h1", "s", "gone"}, {"annex"}, 1000, false};
  policy.deployment.labels["h2"][Label::site] = "annex";
  World world(*database, seed(), policy);
  world.start_nodes();
  world.start("h3", pki::Role::shareholder, "annex");
  const Result<DomainStatement> statement = world->statement_for(world.now, "west");
  ASSERT_OK(statement);
  std::vector<std::string> names;
  for (const LentNode& node : statement.value().nodes) {
    names.push_back(node.name);
    EXPECT_LE(node.free_bytes, 1000U);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"h1", "h2"})) << "an SSA is not lent";
  EXPECT_TRUE(fails(world->statement_for(world.now, "south"), Exit::not_found));
}

TEST(Address, HasAHostAndAPort) {
  for (const char* const good : {"192.0.2.1:7101", "[2001:db8::1]:1", "a-b.example:65535"}) {
    EXPECT_TRUE(is_good_address(good)) << good;
  }
  for (const char* const bad :
       {"", "a", ":1", "a:", "a:0", "a:65536", "a:1x", "a b:1", "2001:db8::1:1", "[]:1"}) {
    EXPECT_FALSE(is_good_address(bad)) << bad;
  }
}

TEST(Document, SaysDomains) {
  const std::string text =
      "[[domain]]\nname = \"west\"\ncontroller = \"192.0.2.1:7101\"\nidentity = \"c\"\n"
      "lends = [\"h1\"]\nlends_sites = [\"annex\"]\nlends_bytes = \"1 MiB\"\nuses = true\n";
  const NetworkDocument read = read_network_document(text, "test");
  ASSERT_TRUE(read.problems.empty()) << describe(read.problems.front());
  const DomainAgreement meant{"192.0.2.1:7101", "c", {"h1"}, {"annex"}, 1 << 20, true};
  EXPECT_EQ(read.policy.agreements.at("west"), meant);
  EXPECT_EQ(read_network_document(network_document_of(read.policy), "test").policy.agreements,
            read.policy.agreements);
  EXPECT_EQ(weakened_by(Policy(), read.policy).size(), 2U) << "a node and a site are lent";
  Policy other = read.policy;
  other.agreements["west"].identity = "d";
  EXPECT_EQ(weakened_by(read.policy, other).size(), 1U);
  EXPECT_EQ(differences_of(read.policy, other).size(), 1U);
}

}  // namespace
}  // namespace ssn::controller::test
