// SPDX-License-Identifier: BSD-3-Clause
// The rule of pad shares against all that each key manager and relay really learns: the set of shares of
// every cell, in every turn, for all small networks.
#include "pad_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <set>

#include "support.h"

namespace ssn::controller::test {
namespace {

// One domain besides the SSA's own, as sets of shares: bit i - 1 is share i.
struct Network {
  std::uint32_t n;
  std::uint32_t crossed;
  std::uint32_t inside;
};

Layout layout(std::uint32_t k, std::uint32_t n, RowRule rule = RowRule::rotating) {
  Layout layout;
  layout.k = k;
  layout.n = n;
  layout.row_rule = rule;
  layout.cells_per_turn = rule == RowRule::rotating ? 64 : 0;
  return layout;
}

std::vector<PadHolder> holders_of(const std::vector<Network>& domains) {
  std::vector<PadHolder> holders;
  for (std::uint32_t i = 0; i < domains[0].n; ++i) {
    PadHolder holder{numbered("h", i), std::vector<std::string>{"own"}, {}, true};
    for (std::size_t d = 0; d < domains.size(); ++d) {
      if ((domains[d].crossed >> i & 1U) != 0) {
        holder.crosses->push_back(numbered("d", d));
      }
      if ((domains[d].inside >> i & 1U) != 0) {
        holder.in.push_back(numbered("d", d));
      }
    }
    holders.push_back(holder);
  }
  return holders;
}

// controller.proto, RowRule, word by word: who stores row 1 to `rows` of a cell keeps it, and the domain sees
// the pads of those that cross it, and has the shares of those that lie in it.
std::uint32_t learns(const Network& domain, RowRule rule, std::uint32_t rows) {
  std::uint32_t most = 0;
  for (std::uint32_t turn = 0; turn < domain.n; ++turn) {
    std::set<std::uint32_t> shares;
    for (std::uint32_t share = 1; share <= domain.n; ++share) {
      const std::uint32_t row = rule == RowRule::rotating ? 1 + (share - 1 + turn) % domain.n : share;
      const bool keeps = row <= rows;
      if ((keeps && (domain.crossed >> (share - 1) & 1U) != 0) || (domain.inside >> (share - 1) & 1U) != 0) {
        shares.insert(share);
      }
    }
    most = std::max(most, static_cast<std::uint32_t>(shares.size()));
  }
  return most;
}

std::uint32_t rows_by_force(const std::vector<Network>& domains, RowRule rule, std::uint32_t secret) {
  std::uint32_t rows = secret;
  while (rows > 0 && std::any_of(domains.begin(), domains.end(), [&](const Network& domain) {
           return learns(domain, rule, rows) > secret;
         })) {
    --rows;
  }
  return rows;
}

void expect_right(const std::vector<Network>& domains, std::uint32_t k, RowRule rule) {
  const PadDecision decision = decide_pad_rows(layout(k, domains[0].n, rule), "own", holders_of(domains));
  const std::uint32_t secret = k - 1;
  ASSERT_EQ(decision.rows, rows_by_force(domains, rule, secret))
      << "k " << k << " n " << domains[0].n << " crossed " << domains[0].crossed << " inside "
      << domains[0].inside << (rule == RowRule::rotating ? " rotating" : " fixed");
  ASSERT_EQ(decision.rule, decision.rows == 0 ? PadRule::domain_learns : PadRule::allowed);
  if (decision.rows != 0) {
    for (const Network& domain : domains) {
      ASSERT_LE(learns(domain, rule, decision.rows), secret);
    }
  }
  if (decision.rows < secret) {
    ASSERT_GT(decision.learns, secret);
    ASSERT_FALSE(decision.subject.empty());
  }
}

TEST(PadRule, EveryDomainOfEverySmallNetworkLearnsTooLittle) {
  for (const RowRule rule : {RowRule::rotating, RowRule::fixed}) {
    for (std::uint32_t n = 2; n <= 6; ++n) {
      for (std::uint32_t k = 2; k <= n; ++k) {
        for (std::uint32_t crossed = 0; crossed < 1U << n; ++crossed) {
          for (std::uint32_t inside = 0; inside < 1U << n; ++inside) {
            expect_right({{n, crossed, inside}}, k, rule);
          }
        }
      }
    }
  }
}

TEST(PadRule, SeveralDomainsEachHaveTheirSay) {
  std::mt19937_64 random(seed());
  for (int i = 0; i < 20'000; ++i) {
    const auto n = static_cast<std::uint32_t>(2 + random() % 11);
    const auto k = static_cast<std::uint32_t>(2 + random() % (n - 1));
    std::vector<Network> domains(1 + random() % 4);
    for (Network& domain : domains) {
      domain = {n, static_cast<std::uint32_t>(random() & random()) & ((1U << n) - 1),
                static_cast<std::uint32_t>(random() & random() & random()) & ((1U << n) - 1)};
    }
    expect_right(domains, k, random() % 4 == 0 ? RowRule::fixed : RowRule::rotating);
  }
}

// The case that the sum of the sentence in the design forbids, and the union does not: a holder and its own
// key manager know one share, not two.
TEST(PadRule, AShareThatIsThereAndCrossesIsOneShare) {
  std::vector<Network> domains;
  for (std::uint32_t i = 0; i < 3; ++i) {
    domains.push_back({3, 1U << i, 1U << i});
  }
  const PadDecision decision = decide_pad_rows(layout(2, 3), "own", holders_of(domains));
  EXPECT_EQ(decision.rule, PadRule::allowed);
  EXPECT_EQ(decision.rows, 1U);
  // One holder more that only crosses: two shares.
  domains[0].crossed |= 0b10U;
  domains[0].inside = 0b01U;
  const PadDecision more = decide_pad_rows(layout(2, 3), "own", holders_of(domains));
  EXPECT_EQ(more.rule, PadRule::domain_learns);
  EXPECT_EQ(more.rows, 0U);
  EXPECT_EQ(more.subject, "d0");
  EXPECT_EQ(more.learns, 2U);
}

// With a relay that all pads cross, (3,5): two keepers in each turn, and never more.
TEST(PadRule, ARelayThatAllCrossSeesTheKeepersOnly) {
  const Network relay{5, 0b11111, 0};
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", holders_of({relay})).rows, 2U);
  // It has a share besides: with another keeper two, with two others three. One row is left.
  const PadDecision one = decide_pad_rows(layout(3, 5), "own", holders_of({{5, 0b11111, 0b00001}}));
  EXPECT_EQ(one.rows, 1U);
  EXPECT_EQ(one.rule, PadRule::allowed);
  EXPECT_EQ(one.learns, 3U);
  EXPECT_NE(reason_of(one).find("d0"), std::string::npos);
}

TEST(PadRule, WhatTheSsaHasItselfDoesNotCount) {
  auto holders = holders_of({{5, 0b11111, 0b11111}});
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", holders).rule, PadRule::domain_learns);
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "d0", holders_of({{5, 0b11111, 0}})).rows, 2U);
  // Where the SSA's own is unknown everything counts.
  for (PadHolder& holder : holders) {
    holder.crosses = std::vector<std::string>{"own"};
    holder.in = {"own"};
  }
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", holders).rows, 2U);
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "", holders).rule, PadRule::domain_learns);
}

TEST(PadRule, WhatNobodySaidIsNotAllowed) {
  for (std::size_t unknown = 0; unknown < 5; ++unknown) {
    auto holders = holders_of({{5, 0, 0}});
    holders[unknown].crosses.reset();
    const PadDecision path = decide_pad_rows(layout(3, 5), "own", holders);
    EXPECT_EQ(path.rule, PadRule::unknown_path);
    EXPECT_EQ(path.rows, 0U);
    EXPECT_EQ(path.subject, numbered("h", unknown));
    holders = holders_of({{5, 0, 0}});
    holders[unknown].delivered_once = false;
    const PadDecision again = decide_pad_rows(layout(3, 5), "own", holders);
    EXPECT_EQ(again.rule, PadRule::delivered_again);
    EXPECT_EQ(again.rows, 0U);
    EXPECT_EQ(again.subject, numbered("h", unknown));
  }
  auto few = holders_of({{5, 0, 0}});
  few.pop_back();
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", few).rows, 0U);
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", {}).rows, 0U);
}

TEST(PadRule, OnlySystematicShamirHasSharesThatCanBePads) {
  const auto holders = holders_of({{5, 0, 0}});
  for (const Scheme scheme : {Scheme::shamir_classic, Scheme::ramp, Scheme::rs, Scheme::policy}) {
    Layout other = layout(3, 5);
    other.scheme = scheme;
    EXPECT_EQ(decide_pad_rows(other, "own", holders).rule, PadRule::scheme);
  }
  EXPECT_EQ(decide_pad_rows(layout(3, 5), "own", holders).rows, 2U);
}

TEST(PadRule, ManyHoldersAndDomainsTakeNoTime) {
  std::vector<PadHolder> holders(255, {"h", std::vector<std::string>{}, {}, true});
  for (std::size_t i = 0; i < holders.size(); ++i) {
    for (std::size_t d = 0; d < crosses_max; ++d) {
      holders[i].crosses->push_back(numbered("d", (i * 7 + d * 31) % 300));
    }
    holders[i].in.push_back(numbered("d", i));
  }
  EXPECT_GT(decide_pad_rows(layout(128, 255), "own", holders).rows, 0U);
}

}  // namespace
}  // namespace ssn::controller::test
