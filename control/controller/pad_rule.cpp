// SPDX-License-Identifier: BSD-3-Clause
#include "pad_rule.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace ssn::controller {
namespace {

// Of one key manager or relay, by share.
struct Sees {
  std::vector<bool> crossed;  // the pads of its holder cross the domain
  std::vector<bool> inside;   // its holder lies in the domain
};

std::map<std::string, Sees> domains_of(std::string_view own, std::span<const PadHolder> holders) {
  std::map<std::string, Sees> domains;
  const auto mark = [&](const std::string& name, std::vector<bool> Sees::* what, std::size_t share) {
    if (name.empty() || name == own) {
      return;
    }
    Sees& sees = domains[name];
    sees.crossed.resize(holders.size());
    sees.inside.resize(holders.size());
    (sees.*what)[share] = true;
  };
  for (std::size_t i = 0; i < holders.size(); ++i) {
    for (const std::string& name : *holders[i].crosses) {
      mark(name, &Sees::crossed, i);
    }
    for (const std::string& name : holders[i].in) {
      mark(name, &Sees::inside, i);
    }
  }
  return domains;
}

// The most shares of one cell that a domain learns, over all turns, when the holders of rows 1 to `rows`
// keep. A share that it has and whose pads cross it is one share: knowing it twice tells nothing more.
std::uint32_t learned(const Layout& layout, const Sees& sees, std::uint32_t rows) {
  const std::uint32_t n = layout.n;
  std::uint32_t inside = 0;
  std::vector<std::uint32_t> kept(2 * std::size_t{n} + 1, 0);  // sums along the shares, twice around
  for (std::uint32_t i = 0; i < 2 * n; ++i) {
    const std::uint32_t share = i % n;
    kept[i + 1] = kept[i] + (sees.crossed[share] && !sees.inside[share] ? 1 : 0);
    inside += i < n && sees.inside[share] ? 1 : 0;
  }
  const std::uint32_t turns = layout.row_rule == RowRule::rotating ? n : 1;
  std::uint32_t most = 0;
  for (std::uint32_t turn = 0; turn < turns; ++turn) {
    const std::uint32_t first = (n - turn) % n;  // the share that has row 1
    most = std::max(most, kept[first + rows] - kept[first]);
  }
  return inside + most;
}

}  // namespace

PadDecision decide_pad_rows(const Layout& layout, std::string_view own, std::span<const PadHolder> holders) {
  const std::uint32_t secret = secrecy_threshold(layout);
  if (layout.scheme != Scheme::shamir || secret == 0 || secret >= layout.n || holders.size() != layout.n) {
    return {PadRule::scheme, 0, "", 0};
  }
  for (const PadHolder& holder : holders) {
    if (!holder.crosses) {
      return {PadRule::unknown_path, 0, holder.node, 0};
    }
    if (!holder.delivered_once) {
      return {PadRule::delivered_again, 0, holder.node, 0};
    }
  }
  // More rows are never less to learn: each domain allows the rows up to some number.
  PadDecision decision{PadRule::allowed, secret, "", 0};
  for (const auto& [name, sees] : domains_of(own, holders)) {
    while (decision.rows > 0) {
      const std::uint32_t learns = learned(layout, sees, decision.rows);
      if (learns <= secret) {
        break;
      }
      --decision.rows;
      decision.subject = name;
      decision.learns = learns;
    }
  }
  decision.rule = decision.rows == 0 ? PadRule::domain_learns : PadRule::allowed;
  return decision;
}

std::string reason_of(const PadDecision& decision) {
  switch (decision.rule) {
    case PadRule::undecided:
      break;
    case PadRule::allowed:
      return decision.subject.empty()
                 ? fmt::format("holders of {} rows keep pads", decision.rows)
                 : fmt::format(
                       "holders of {} rows keep pads; with one more {} would learn {} shares of a cell",
                       decision.rows, decision.subject, decision.learns);
    case PadRule::not_wanted:
      return "pad shares were not asked for";
    case PadRule::scheme:
      return "only systematic shamir has shares that can be pads";
    case PadRule::unknown_path:
      return fmt::format("nobody said which key managers and relays the pads of {} cross", decision.subject);
    case PadRule::delivered_again:
      return fmt::format("nobody said that the keys of {} are delivered once, and to two ends only",
                         decision.subject);
    case PadRule::domain_learns:
      return fmt::format("{} would learn {} shares of a cell, more than reveal nothing", decision.subject,
                         decision.learns);
  }
  return "not decided";
}

}  // namespace ssn::controller
