// SPDX-License-Identifier: BSD-3-Clause
// Placement where domains of several kinds overlap, against all subsets.
#include "placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <set>

#include "matching.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

Layout shamir(std::uint32_t k, std::uint32_t n) {
  Layout layout;
  layout.k = k;
  layout.n = n;
  return layout;
}

Candidate at(const std::string& node, const std::string& site, const std::string& operated_by,
             const std::string& power = "") {
  Candidate candidate{node, site, {}, 1'000'000, {}, ""};
  if (!operated_by.empty()) {
    candidate.domains.push_back({"operator", operated_by});
  }
  if (!power.empty()) {
    candidate.domains.push_back({"power", power});
  }
  return candidate;
}

// Whether those of the set keep to every rule.
bool is_good(std::span<const Candidate> all, std::uint32_t set, std::uint32_t most, std::uint32_t sites) {
  std::map<std::string, std::uint32_t> counts;
  std::set<std::string> used;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((set >> i & 1U) == 0) {
      continue;
    }
    const std::string site = all[i].site.empty() ? "node " + all[i].node : "site " + all[i].site;
    used.insert(site);
    std::set<std::string> its{site};
    for (const Domain& domain : all[i].domains) {
      its.insert(std::string(domain.kind) + " " + domain.name);
    }
    for (const std::string& domain : its) {
      ++counts[domain];
    }
  }
  return used.size() >= sites &&
         std::all_of(counts.begin(), counts.end(), [&](const auto& each) { return each.second <= most; });
}

std::uint32_t set_of(std::span<const Candidate> all, const Placement& placement) {
  std::uint32_t set = 0;
  for (const Holder& holder : placement.holders) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      set |= all[i].node == holder.node ? 1U << i : 0;
    }
  }
  return set;
}

// Every placement that there is is found; none is given that breaks a rule.
TEST(Placement, FindsOneExactlyWhereThereIsOne) {
  std::mt19937_64 random(seed());
  int refused = 0;
  int placed_count = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<Candidate> nodes;
    const std::size_t count = 3 + random() % 8;
    for (std::size_t i = 0; i < count; ++i) {
      const auto draw = [&](const char* kind, std::uint64_t of) {
        const std::uint64_t which = random() % (of + 1);
        return which == 0 ? std::string() : numbered(kind, which);
      };
      nodes.push_back(at(numbered("h", i), draw("s", 4), draw("o", 3), draw("p", 2)));
      if (random() % 3 == 0) {
        nodes.back().domains.push_back({"key path", draw("r", 2) + "r"});
      }
    }
    const auto n = static_cast<std::uint32_t>(2 + random() % (count - 1));
    const auto k = static_cast<std::uint32_t>(2 + random() % 2);
    const auto sites = static_cast<std::uint32_t>(random() % 4);
    if (k > n) {
      continue;
    }
    bool possible = false;
    for (std::uint32_t set = 0; set < 1U << count && !possible; ++set) {
      possible = std::popcount(set) == static_cast<int>(n) && is_good(nodes, set, k - 1, sites);
    }
    std::vector<NodeChoice> choices;
    const auto placed = place(shamir(k, n), {static_cast<std::uint64_t>(round), 100, sites}, nodes, &choices);
    ASSERT_EQ(placed.ok(), possible) << "seed " << seed() << " round " << round;
    ASSERT_EQ(choices.size(), nodes.size());
    if (placed.ok()) {
      ++placed_count;
      const std::uint32_t set = set_of(nodes, placed.value());
      ASSERT_EQ(std::popcount(set), static_cast<int>(n));
      ASSERT_TRUE(is_good(nodes, set, k - 1, sites)) << "seed " << seed() << " round " << round;
      for (const NodeChoice& choice : choices) {
        ASSERT_EQ(choice.rule == PlacementRule::chosen, choice.share != 0);
        ASSERT_TRUE(choice.share == 0 || placed.value().holders[choice.share - 1].node == choice.node);
      }
    } else {
      ++refused;
      ASSERT_TRUE(fails(placed, Exit::temporary));
    }
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(placed_count, 200);
}

// h0 is the best for itself: it takes the only place of its site and of its operator, which the others need.
TEST(Placement, DoesNotEndInACorner) {
  const std::vector<Candidate> nodes{at("h0", "a", "x"), at("h1", "a", "y"), at("h2", "b", "x")};
  for (std::uint64_t object = 0; object < 50; ++object) {
    const auto placed = place(shamir(2, 2), {object, 0, 0}, nodes);
    ASSERT_OK(placed);
    EXPECT_EQ(set_of(nodes, placed.value()), 0b110U);
  }
}

TEST(Placement, SaysWhatBecameOfEachNode) {
  std::vector<Candidate> nodes{at("h0", "a", ""), at("h1", "b", ""), at("h2", "c", "x"), at("h3", "d", "x"),
                               at("h4", "e", "x")};
  nodes[0].excluded = "down";
  nodes[1].free_bytes = 1;
  std::vector<NodeChoice> choices;
  const auto refused = place(shamir(2, 2), {1, 100, 0}, nodes, &choices);
  ASSERT_TRUE(fails(refused, Exit::temporary));
  EXPECT_EQ(choices[0].rule, PlacementRule::excluded);
  EXPECT_EQ(choices[0].subject, "down");
  EXPECT_EQ(choices[1].rule, PlacementRule::full);
  int chosen = 0;
  for (std::size_t i = 2; i < 5; ++i) {
    chosen += choices[i].rule == PlacementRule::chosen;
    if (choices[i].rule != PlacementRule::chosen) {
      EXPECT_EQ(choices[i].rule, PlacementRule::domain_full);
      EXPECT_EQ(choices[i].subject, "operator x");
    }
  }
  EXPECT_EQ(chosen, 1);
  nodes[1].free_bytes = 1'000;
  ASSERT_OK(place(shamir(2, 2), {1, 100, 0}, nodes, &choices));
  EXPECT_EQ(choices[1].rule, PlacementRule::chosen);
  nodes[0].excluded = "";
  nodes[0].free_bytes = 1'000'000'000;
  nodes[1].free_bytes = 101;
  ASSERT_OK(place(shamir(2, 2), {1, 100, 0}, nodes, &choices));
  EXPECT_EQ(choices[1].rule, PlacementRule::not_needed);
}

TEST(Placement, UsesAsManySitesAsThePolicyWants) {
  const std::vector<Candidate> nodes{at("h0", "a", ""), at("h1", "a", ""), at("h2", "b", ""),
                                     at("h3", "b", "")};
  EXPECT_OK(place(shamir(3, 4), {1, 0, 2}, nodes));
  const auto refused = place(shamir(3, 4), {1, 0, 3}, nodes);
  ASSERT_TRUE(fails(refused, Exit::temporary));
  EXPECT_NE(refused.error().why.find("3 sites"), std::string::npos) << refused.error().why;
}

// How often each of the nodes is chosen of `objects`.
std::map<std::string, int> shares_of(std::span<const Candidate> nodes, const Layout& layout,
                                     std::uint64_t objects) {
  std::map<std::string, int> counts;
  const std::uint64_t first = seed();
  for (std::uint64_t object = 0; object < objects; ++object) {
    const auto placed = place(layout, {first + object, 1, 0}, nodes);
    EXPECT_OK(placed);
    for (const Holder& holder : placed.value().holders) ++counts[holder.node];
  }
  return counts;
}

// Of two nodes one gets 1/(1+w) of the objects where its weight is the w-th part of the other's.
TEST(Placement, WeighsKeysAndDistance) {
  Layout one = shamir(1, 1);
  one.scheme = Scheme::rs;
  std::vector<Candidate> nodes{at("h0", "", ""), at("h1", "", "")};
  const auto part = [&] { return shares_of(nodes, one, 4000)["h1"] / 4000.0; };
  nodes[0].path = {"h0", true, 80'000'000, 0, 500};
  nodes[1].path = nodes[0].path;
  EXPECT_NEAR(part(), 0.5, 0.05);
  nodes[1].path.pad_bytes = 20'000'000;
  EXPECT_NEAR(part(), 0.2, 0.04) << "a quarter of the keys";
  nodes[1].path.pad_bytes_per_second = 6'000'000;
  EXPECT_NEAR(part(), 0.5, 0.05) << "but more come";
  nodes[1].path = nodes[0].path;
  nodes[1].path.round_trip_us = 3500;
  EXPECT_NEAR(part(), 0.25, 0.04) << "three times as far, with a millisecond for noise";
  nodes[1].path.round_trip_us = 3'500'000;
  EXPECT_NEAR(part(), 1 / 17.0, 0.03) << "the least that it is left with";
  nodes[1].path.peer.clear();
  nodes[1].path.round_trip_us = 0;
  EXPECT_NEAR(part(), 0.5, 0.05) << "nothing is known of it";
  std::vector<NodeChoice> choices;
  nodes[1].path = {"h1", true, 40'000'000, 0, 500};
  ASSERT_OK(place(one, {1, 1, 0}, nodes, &choices));
  EXPECT_EQ(choices[0].weight, 1000U);
  EXPECT_EQ(choices[1].weight, 500U);
  EXPECT_EQ(choices[1].path, nodes[1].path);
}

TEST(Placement, WhoCannotBeReachedComesLast) {
  std::vector<Candidate> nodes{at("h0", "a", ""), at("h1", "a", ""), at("h2", "b", ""), at("h3", "c", "")};
  for (Candidate& each : nodes) each.path = {each.node, true, 1000, 0, 100};
  nodes[2].path.connected = false;
  nodes[3].path.pad_bytes = 0;
  auto counts = shares_of(nodes, shamir(3, 2), 100);
  EXPECT_EQ(counts["h0"] + counts["h1"], 200) << "one site, but both can be reached";
  counts = shares_of(nodes, shamir(3, 3), 100);
  EXPECT_EQ(counts["h0"] + counts["h1"], 200);
  EXPECT_EQ(counts["h2"] + counts["h3"], 100) << "better than to refuse";
  const auto apart = place(shamir(3, 3), {1, 1, 3}, nodes);
  ASSERT_OK(apart);
  EXPECT_EQ(std::popcount(set_of(nodes, apart.value()) & 0b1100U), 2) << "three sites are asked for";
}

// As large as a network may be, with domains that force the search to branch: it ends.
TEST(Placement, EndsInTimeForManyNodes) {
  std::mt19937_64 random(seed());
  std::vector<Candidate> nodes;
  for (std::size_t i = 0; i < 256; ++i) {
    nodes.push_back(at(numbered("h", i), numbered("s", random() % 40), numbered("o", random() % 30),
                       numbered("p", random() % 20)));
    nodes.back().domains.push_back({"key manager", numbered("k", random() % 50)});
  }
  static_cast<void>(place(shamir(9, 160), {1, 0, 0}, nodes));
  static_cast<void>(place(shamir(9, 170), {1, 0, 0}, nodes));
  EXPECT_OK(place(shamir(9, 100), {1, 0, 0}, nodes));
}

// Five in a ring, and of two neighbours only one may be picked: a flow knows two of the five pairs.
TEST(Matching, SaysWhereItDoesNotKnow) {
  std::vector<MatchingItem> items(5);
  for (std::uint32_t i = 0; i < 5; ++i) {
    items[i] = {i, {i, (i + 1) % 5}, MatchingItem::State::open};
  }
  const std::vector<std::uint32_t> rooms(5, 1);
  unsigned flows = 500;
  EXPECT_EQ(can_match({items, rooms, rooms, 3, 0}, flows), std::optional(false));
  EXPECT_LT(flows, 499U) << "it branches";
  EXPECT_EQ(can_match({items, rooms, rooms, 2, 0}, flows), std::optional(true));
  flows = 2;  // for this question and all others of a placement
  EXPECT_EQ(can_match({items, rooms, rooms, 3, 0}, flows), std::nullopt);
  EXPECT_EQ(flows, 0U);
}

}  // namespace
}  // namespace ssn::controller::test
