// SPDX-License-Identifier: BSD-3-Clause
#include "floor.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

namespace ssn::membership {
namespace {

using controller::Layout;
using controller::Protection;

Verdict check_holders(const Document& document, const Layout& layout) {
  std::set<std::string> seen;
  for (const controller::Holder& holder : layout.holders) {
    if (Verdict listed = lists(document, holder.node, pki::Role::shareholder); !listed.ok()) return listed;
    if (!seen.insert(holder.node).second) {
      return {Breach::repeated, fmt::format("{} would have two shares", holder.node)};
    }
  }
  return {};
}

Verdict check_domains(const Document& document, const Layout& layout, std::uint32_t t) {
  std::map<std::string, std::uint32_t> shares;
  for (const controller::Holder& holder : layout.holders) {
    const std::string& domain = document.node(holder.node)->domain;
    if (!domain.empty() && ++shares[domain] > t && t != 0) {  // of a code every share tells something
      return {Breach::domains, fmt::format("more than {} shares would lie in {}", t, domain)};
    }
  }
  if (document.floor.minimum_domains > 1 && shares.size() < document.floor.minimum_domains) {
    return {Breach::domains, fmt::format("its shares would lie in {} domains, not in {}", shares.size(),
                                         document.floor.minimum_domains)};
  }
  return {};
}

}  // namespace

std::string_view name(Breach breach) noexcept {
  static constexpr std::string_view names[breaches] = {"none",       "ended",     "unlisted",   "wrong-role",
                                                       "repeated",   "scheme",    "threshold",  "domains",
                                                       "protection", "operation", "contradicts"};
  return names[static_cast<std::size_t>(breach)];
}

Verdict holds(const Document& document, std::int64_t now) {
  if (now < document.from) {
    return {Breach::ended, fmt::format("the membership {} of {} holds from {} on", document.serial,
                                       document.network, time_text(document.from))};
  }
  if (now >= document.until) {
    return {Breach::ended, fmt::format("the membership {} of {} has ended at {}", document.serial,
                                       document.network, time_text(document.until))};
  }
  return {};
}

Verdict lists(const Document& document, std::string_view node, pki::Role role) {
  const Node* const listed = document.node(node);
  if (listed == nullptr) {
    return {Breach::unlisted, fmt::format("the membership {} does not list {}", document.serial, node)};
  }
  if (listed->role != role) {
    return {Breach::wrong_role, fmt::format("the membership {} lists {} as {}, not as {}", document.serial,
                                            node, pki::name(listed->role), pki::name(role))};
  }
  return {};
}

Verdict permits(const Document& document, const Layout& layout, Protection protection) {
  const Floor& floor = document.floor;
  if (std::find(floor.schemes.begin(), floor.schemes.end(), layout.scheme) == floor.schemes.end()) {
    return {Breach::scheme, fmt::format("the scheme {} is not permitted", controller::name(layout.scheme))};
  }
  const std::uint32_t t = controller::secrecy_threshold(layout);
  if (t < floor.minimum_t) {
    return {Breach::threshold,
            fmt::format("{} of its shares tell nothing, the floor is {}", t, floor.minimum_t)};
  }
  const Protection made = t == 0 ? Protection::none : protection;
  if (made < floor.protection) {
    return {Breach::protection, fmt::format("its protection would be {}, the floor is {}",
                                            controller::name(made), controller::name(floor.protection))};
  }
  if (Verdict holders = check_holders(document, layout); !holders.ok()) return holders;
  return check_domains(document, layout, t);
}

}  // namespace ssn::membership
