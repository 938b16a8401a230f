// SPDX-License-Identifier: BSD-3-Clause
// Who is believed about labels and key paths, and what the controller makes of it for pad shares.
#include <gtest/gtest.h>

#include <algorithm>

#include "catalogue.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

// h1 to h7 at sites of their own with key managers of their own, and the SSA; the operator says so.
Policy labelled() {
  Policy policy;
  for (int i = 1; i <= 7; ++i) {
    const std::string site = numbered("site-", i);
    policy.deployment.labels[numbered("h", i)] = {{site, "", "", "kme-" + site}};
    policy.deployment.delivered_once.insert("kme-" + site);
  }
  policy.deployment.labels["s"] = {{"site-s", "", "", "kme-s"}};
  policy.deployment.delivered_once.insert("kme-s");
  return policy;
}

class PadsTest : public testing::Test {
 protected:
  void start(const Policy& policy) {
    world_.reset();
    database_ = make_memory_database();
    world_.emplace(*database_, seed(), policy);
    for (int i = 1; i <= 7; ++i) {
      register_node(numbered("h", i), pki::Role::shareholder, {}, {});
    }
    register_ssa();
  }
  // What the SSA says: the way to each holder ends at its key manager.
  static std::vector<KeyPath> paths(int last = 7) {
    std::vector<KeyPath> paths;
    for (int i = 1; i <= last; ++i) {
      paths.push_back({numbered("h", i), {numbered("kme-site-", i)}});
    }
    return paths;
  }
  void register_ssa(const std::vector<KeyPath>& key_paths = paths()) {
    register_node("s", pki::Role::ssa, {}, key_paths);
  }
  void register_node(const std::string& node, pki::Role role, const Labels& labels,
                     const std::vector<KeyPath>& key_paths) {
    Registration registration;
    registration.instance = World::instance_of(node);
    registration.roles = {role};
    registration.labels = labels;
    registration.key_paths = key_paths;
    ASSERT_OK((*world_)->register_node(world_->now, node, {role}, registration));
    ASSERT_OK(world_->report(node));
  }
  Result<WriteTicket> begin(PadShares pads = PadShares::policy, std::uint32_t k = 0) {
    WriteRequest request = world_->request(numbered("object-", ++names_));
    request.pad_shares = pads;
    request.k = k;
    return (*world_)->begin_write(world_->now, "alice", request);
  }
  Layout layout(PadShares pads = PadShares::policy, std::uint32_t k = 0) {
    const auto ticket = begin(pads, k);
    EXPECT_OK(ticket);
    return ticket.ok() ? ticket.value().object.layout : Layout();
  }
  std::vector<std::string> events(const std::string& kind) {
    std::vector<std::string> texts;
    const auto all = (*world_)->events(0, 1000);
    EXPECT_OK(all);
    for (const Event& event : all.value()) {
      if (event.kind == kind) {
        texts.push_back(event.text);
      }
    }
    return texts;
  }

  std::unique_ptr<Database> database_;
  std::optional<World> world_;
  int names_ = 0;
};

TEST_F(PadsTest, AreTheDefaultWhereTheRuleAllows) {
  start(labelled());
  const Layout kept = layout();
  EXPECT_EQ(kept.row_rule, RowRule::rotating);
  EXPECT_EQ(kept.cells_per_turn, 64U);
  EXPECT_EQ(kept.kept_rows, 2U);
  EXPECT_EQ(kept.pad_rule, PadRule::allowed);
  EXPECT_EQ(events("pad_shares_on").size(), 1U);
  EXPECT_EQ(layout(PadShares::yes).kept_rows, 2U);
  EXPECT_EQ(layout(PadShares::automatic, 2).kept_rows, 1U);
  const Layout off = layout(PadShares::no);
  EXPECT_EQ(off.row_rule, RowRule::fixed);
  EXPECT_EQ(off.kept_rows, 0U);
  EXPECT_EQ(off.pad_rule, PadRule::not_wanted);
  // Each is said once.
  layout();
  EXPECT_EQ(events("pad_shares_on").size(), 1U);
  EXPECT_EQ(events("pad_shares_off").size(), 0U);
}

TEST_F(PadsTest, AreOffWhereNobodySaidAnything) {
  start(Policy());
  const Layout off = layout();
  EXPECT_EQ(off.row_rule, RowRule::fixed);
  EXPECT_EQ(off.kept_rows, 0U);
  EXPECT_EQ(off.pad_rule, PadRule::unknown_path);
  EXPECT_NE(off.pad_reason.find("key managers"), std::string::npos) << off.pad_reason;
  ASSERT_EQ(events("pad_shares_off").size(), 1U);
  const auto refused = begin(PadShares::yes);
  ASSERT_TRUE(fails(refused, Exit::refused));
  EXPECT_EQ(refused.error().where, "unknown-path");
  EXPECT_OK(begin(PadShares::no));
}

// A holder that claims a key manager of its own is not believed: the operator has to say it.
TEST_F(PadsTest, HoldersAreNotBelieved) {
  Policy policy = labelled();
  for (int i = 1; i <= 7; ++i) {
    policy.deployment.labels.erase(numbered("h", i));
  }
  start(policy);
  for (int i = 1; i <= 7; ++i) {
    register_node(numbered("h", i), pki::Role::shareholder,
                  {{numbered("site-", i), "", "", numbered("kme-site-", i)}}, {});
  }
  EXPECT_EQ(layout().pad_rule, PadRule::unknown_path);
}

// But what it says against itself counts.
TEST_F(PadsTest, HoldersCanOnlyAdd) {
  Policy policy = labelled();
  policy.deployment.delivered_once.insert("relay");
  start(policy);
  register_ssa(paths());
  for (int i = 1; i <= 7; ++i) {
    register_node(numbered("h", i), pki::Role::shareholder, {{"", "", "", "relay"}},
                  {{"s", {"kme-s", "relay"}}});
  }
  // All say that they are at the relay: five shares of a cell are there.
  const Layout off = layout();
  EXPECT_EQ(off.pad_rule, PadRule::domain_learns);
  EXPECT_NE(off.pad_reason.find("relay"), std::string::npos) << off.pad_reason;
  EXPECT_FALSE(events("labels_contradict").empty());
}

TEST_F(PadsTest, AnUnknownPathOfTheSsaIsEnough) {
  start(labelled());
  register_ssa(paths(4));  // h5 to h7 are unknown: five holders need one of them
  EXPECT_EQ(layout().pad_rule, PadRule::unknown_path);
  register_ssa(paths(5));  // now there are five, and they are chosen
  const Layout kept = layout();
  EXPECT_EQ(kept.pad_rule, PadRule::allowed);
  for (const Holder& holder : kept.holders) {
    EXPECT_LE(holder.node, "h5");
  }
  register_ssa({});
  EXPECT_EQ(layout().pad_rule, PadRule::unknown_path);
}

TEST_F(PadsTest, KeysThatMayComeAgainAreNoShares) {
  Policy policy = labelled();
  policy.deployment.delivered_once.erase("kme-s");
  start(policy);
  EXPECT_EQ(layout().pad_rule, PadRule::delivered_again);
  policy = labelled();
  for (int i = 1; i <= 3; ++i) {
    policy.deployment.delivered_once.erase(numbered("kme-site-", i));
  }
  start(policy);
  const Layout off = layout();
  EXPECT_EQ(off.pad_rule, PadRule::delivered_again);
  EXPECT_TRUE(fails(begin(PadShares::yes), Exit::refused));
}

TEST_F(PadsTest, OneRelayForAllStillTakesTurns) {
  start(labelled());
  std::vector<KeyPath> through = paths();
  for (KeyPath& path : through) {
    path.crosses.insert(path.crosses.begin(), "relay");
  }
  register_ssa(through);
  EXPECT_EQ(layout().kept_rows, 2U);
  Policy policy = labelled();
  policy.deployment.labels["h1"][Label::key_manager] = "relay";
  policy.deployment.delivered_once.insert("relay");
  start(policy);
  register_ssa(through);
  // h1 lies in the relay: with it among the holders one row is left, otherwise two.
  for (int i = 0; i < 10; ++i) {
    const Layout kept = layout();
    const bool has = std::any_of(kept.holders.begin(), kept.holders.end(),
                                 [](const Holder& holder) { return holder.node == "h1"; });
    EXPECT_EQ(kept.kept_rows, has ? 1U : 2U);
    EXPECT_EQ(kept.pad_rule, PadRule::allowed);
  }
}

TEST_F(PadsTest, TheOperatorsLabelsRulePlacement) {
  Policy policy = labelled();
  for (int i = 1; i <= 7; ++i) {
    policy.deployment.labels[numbered("h", i)][Label::site] = i <= 5 ? "east" : "west";
  }
  start(policy);
  const auto refused = begin();
  ASSERT_TRUE(fails(refused, Exit::temporary));  // two in each of two sites
  for (int i = 1; i <= 7; ++i) {                 // whatever they say
    register_node(numbered("h", i), pki::Role::shareholder, {{numbered("mine-", i), "", "", ""}}, {});
  }
  EXPECT_TRUE(fails(begin(), Exit::temporary));
}

TEST_F(PadsTest, WhatWasDecidedIsKeptAndShown) {
  start(labelled());
  const auto ticket = begin();
  ASSERT_OK(ticket);
  world_->restart();
  const auto shown = (*world_)->object_for(world_->now, "s", ticket.value().object.key());
  ASSERT_OK(shown);
  EXPECT_EQ(shown.value().layout.kept_rows, 2U);
  EXPECT_EQ(shown.value().layout.pad_rule, PadRule::allowed);
  EXPECT_FALSE(shown.value().layout.pad_reason.empty());
  const auto nodes = (*world_)->nodes(world_->now);
  ASSERT_OK(nodes);
  const auto ssa = std::find_if(nodes.value().begin(), nodes.value().end(),
                                [](const Node& node) { return node.name == "s"; });
  ASSERT_NE(ssa, nodes.value().end());
  EXPECT_EQ(ssa->key_paths, paths());
  EXPECT_EQ(ssa->labels[Label::key_manager], "kme-s");
  EXPECT_TRUE(ssa->delivered_once);
}

// An event that could not be stored is one that nobody saw: the next write stores it.
TEST_F(PadsTest, AnEventThatWasLostComesAgain) {
  database_ = make_memory_database();
  FaultyDatabase faulty(*database_);
  world_.emplace(faulty, seed(), labelled());
  for (int i = 1; i <= 7; ++i) {
    register_node(numbered("h", i), pki::Role::shareholder, {}, {});
  }
  register_ssa();
  faulty.fail_commit(1, false);
  EXPECT_TRUE(fails(begin(), Exit::temporary));
  ASSERT_TRUE(faulty.failed());
  EXPECT_EQ(events("pad_shares_on").size(), 0U);
  world_->now.monotonic_ms += 120'000;
  world_->now.wall_ms += 120'000;
  for (int i = 1; i <= 7; ++i) {
    ASSERT_OK(world_->report(numbered("h", i)));
  }
  ASSERT_OK(world_->report("s"));
  EXPECT_OK(begin());
  EXPECT_EQ(events("pad_shares_on").size(), 1U);
  world_.reset();
}

TEST_F(PadsTest, MoreSitesThanSharesAreRefused) {
  Policy policy = labelled();
  policy.domains = 4;
  start(policy);
  EXPECT_OK(begin());
  WriteRequest request = world_->request("small");
  request.k = 2;
  request.n = 3;
  const auto refused = (*world_)->begin_write(world_->now, "alice", request);
  ASSERT_TRUE(fails(refused, Exit::usage));
  EXPECT_EQ(refused.error().where, "domains");
}

TEST_F(PadsTest, PlacementIsExplained) {
  Policy policy = labelled();
  for (int i = 1; i <= 7; ++i) {
    policy.deployment.labels[numbered("h", i)][Label::site] = i <= 3 ? "east" : numbered("site-", i);
  }
  policy.n = 5;
  policy.k = 3;
  start(policy);
  const Object object = world_->put("alice", "one");
  const std::vector<Holder>& holders = object.layout.holders;
  // What is there, and what placement says now: the same, since nothing changed.
  const auto there = (*world_)->explain(world_->now, "alice", "one");
  ASSERT_OK(there);
  EXPECT_EQ(there.value().refused, "");
  ASSERT_EQ(there.value().choices.size(), 7U);
  std::size_t chosen = 0, others = 0;
  for (const NodeChoice& choice : there.value().choices) {
    const auto at = std::find_if(holders.begin(), holders.end(),
                                 [&](const Holder& each) { return each.node == choice.node; });
    const auto share = at == holders.end() ? 0 : static_cast<std::uint32_t>(at - holders.begin() + 1);
    EXPECT_EQ(choice.holds, share) << choice.node;
    EXPECT_EQ(choice.share, share) << choice.node;
    chosen += choice.rule == PlacementRule::chosen ? 1 : 0;
    others += choice.rule == PlacementRule::domain_full || choice.rule == PlacementRule::not_needed ? 1 : 0;
  }
  EXPECT_EQ(chosen, 5U);
  EXPECT_EQ(others, 2U);
  EXPECT_TRUE(fails((*world_)->explain(world_->now, "bob", "one"), Exit::not_found));

  // A write that nobody makes changes nothing, and says the same as one that somebody makes.
  WriteRequest wanted;
  wanted.n = 7;
  wanted.k = 2;
  const auto refused = (*world_)->explain_write(world_->now, wanted);
  ASSERT_OK(refused);
  EXPECT_NE(refused.value().refused.find("7 holders are needed"), std::string::npos)
      << refused.value().refused;
  EXPECT_EQ(std::count_if(refused.value().choices.begin(), refused.value().choices.end(),
                          [](const NodeChoice& choice) { return choice.subject == "site east"; }),
            2);
  wanted.n = 5;
  const auto possible = (*world_)->explain_write(world_->now, wanted);
  ASSERT_OK(possible);
  EXPECT_EQ(possible.value().refused, "");
  EXPECT_EQ(possible.value().layout.n, 5U);
  wanted.k = 9;
  EXPECT_TRUE(fails((*world_)->explain_write(world_->now, wanted), Exit::usage));
}

TEST_F(PadsTest, LabelsAndPathsHaveLimits) {
  start(labelled());
  const auto refused = [&](const Registration& change) {
    Registration registration = change;
    registration.instance = World::instance_of("h1");
    registration.roles = {pki::Role::shareholder};
    return fails((*world_)->register_node(world_->now, "h1", {pki::Role::shareholder}, registration),
                 Exit::usage);
  };
  Registration registration;
  registration.labels[Label::power] = std::string(label_max + 1, 'a');
  EXPECT_TRUE(refused(registration));
  registration.labels[Label::power] = "two words";
  EXPECT_TRUE(refused(registration));
  registration.labels = {};
  registration.key_paths = {{"s", {}}, {"s", {}}};
  EXPECT_TRUE(refused(registration));
  registration.key_paths = {{"s", std::vector<std::string>(crosses_max + 1, "r")}};
  EXPECT_TRUE(refused(registration));
  registration.key_paths.assign(key_paths_max + 1, {"s", {}});
  EXPECT_TRUE(refused(registration));
}

// Shares of such a code are the data: they would lie at their holders before the commit could be refused.
TEST(Protection, ACodeWithoutSecrecyIsNotBegunWhereProtectionIsAskedFor) {
  Policy policy;
  for (const bool by_policy : {true, false}) {
    policy.scheme = by_policy ? Scheme::rs : Scheme::shamir;
    policy.secret_blocks = by_policy ? 3 : 1;
    const auto database = make_memory_database();
    World world(*database, 1, policy);
    world.start_nodes();
    for (const Protection minimum : {Protection::computational, Protection::information_theoretic}) {
      WriteRequest request = world.request("a");
      if (!by_policy) {
        request.scheme = Scheme::rs;
      }
      request.minimum_protection = minimum;
      EXPECT_TRUE(fails(world->begin_write(world.now, "alice", request), Exit::refused));
      EXPECT_TRUE(fails(world->explain_write(world.now, request), Exit::refused));
    }
    EXPECT_EQ(world->status().value().writes, 0U);
    WriteRequest request = world.request("c");
    request.scheme = Scheme::rs;
    EXPECT_OK(world->begin_write(world.now, "alice", request));  // nobody asked for protection
  }
  policy.minimum_protection = Protection::computational;
  const auto database = make_memory_database();
  World world(*database, 1, policy);
  world.start_nodes();
  WriteRequest request = world.request("a");
  request.scheme = Scheme::rs;
  EXPECT_TRUE(fails(world->begin_write(world.now, "alice", request), Exit::refused))
      << "the policy asks for it";
}

}  // namespace
}  // namespace ssn::controller::test
