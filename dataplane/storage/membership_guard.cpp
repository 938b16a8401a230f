// SPDX-License-Identifier: BSD-3-Clause
#include "membership_guard.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "issuer.h"

namespace ssn::dataplane {
namespace {

using controller::Protection;
using membership::Breach;
using membership::Document;
using membership::Verdict;
using roles::ReshareAnswer;
using roles::ReshareLayout;
using roles::ReshareOperation;
using roles::ReshareOrder;

constexpr const char* what = "cannot use the membership";

pki::Role role_of(const PeerConfiguration& peer) {
  return peer.role == PeerConfiguration::Role::ssa ? pki::Role::ssa : pki::Role::shareholder;
}

bool makes(const ReshareOrder& order) {
  return order.operation != ReshareOperation::seal && order.operation != ReshareOperation::check;
}

membership::Resharing operation_of(const ReshareOrder& order) {
  switch (order.operation) {
    case ReshareOperation::exchange:
      return membership::exchange;
    case ReshareOperation::repair:
      return membership::repair;
    case ReshareOperation::refresh:
      return membership::refresh;
    case ReshareOperation::redistribute:
      return membership::redistribute;
    case ReshareOperation::seal:
    case ReshareOperation::check:
      break;
  }
  return membership::no_resharing;
}

controller::Scheme scheme_of(kernels::Scheme scheme) {
  switch (scheme) {
    case kernels::Scheme::systematic:
      return controller::Scheme::shamir;
    case kernels::Scheme::classic:
      return controller::Scheme::shamir_classic;
    case kernels::Scheme::ramp:
      return controller::Scheme::ramp;
    case kernels::Scheme::rs:
      break;
  }
  return controller::Scheme::rs;
}

// The word that the control side has for it.
ReshareAnswer answer_of(Breach breach) {
  switch (breach) {
    case Breach::none:
      return ReshareAnswer::taken;
    case Breach::unlisted:
    case Breach::wrong_role:
      return ReshareAnswer::unlisted;
    case Breach::ended:
    case Breach::operation:
      return ReshareAnswer::forbidden;
    case Breach::contradicts:
      return ReshareAnswer::unpinned;
    case Breach::repeated:
    case Breach::scheme:
    case Breach::threshold:
    case Breach::domains:
    case Breach::protection:
      break;
  }
  return ReshareAnswer::below_floor;
}

Error bad(const Configuration& configuration, std::string why, std::string fix) {
  return {Exit::refused, what, std::move(why), configuration.membership.where, std::move(fix)};
}

}  // namespace

/// A document by the numbers that orders name nodes by.
struct MembershipGuard::Listed {
  std::shared_ptr<const membership::Pinned> pinned;
  std::map<std::uint64_t, const membership::Node*> nodes;

  const Document& document() const { return pinned->document; }
  Verdict lists(std::uint64_t number) const {
    const auto found = nodes.find(number);
    if (found != nodes.end()) {
      return membership::lists(document(), found->second->name, pki::Role::shareholder);
    }
    return {Breach::unlisted,
            fmt::format("the membership {} lists no node of number {:016x}", document().serial, number)};
  }
  std::string domain(std::uint64_t number) const {
    const auto found = nodes.find(number);
    return found == nodes.end() ? "" : found->second->domain;
  }
};

Protection surest_protection(const Configuration& configuration) noexcept {
  const RandomSource random =
      configuration.ssa.present ? configuration.ssa.random : configuration.shareholder.random;
  return random == RandomSource::stream && configuration.storage_shortage() != KeyShortage::aes_256_gcm
             ? Protection::information_theoretic
             : Protection::computational;
}

Outcome check_membership(const Document& document, const Configuration& configuration,
                         std::string_view certificate) {
  const pki::Role role = configuration.ssa.present ? pki::Role::ssa : pki::Role::shareholder;
  if (const Verdict own = membership::lists(document, configuration.name, role); !own.ok()) {
    return bad(configuration, own.why, "have this node listed; or correct [node] name");
  }
  const pki::CertificatePointer mine = pki::certificate_from(certificate);
  if (mine == nullptr || membership::key_of(*mine) != document.node(configuration.name)->key) {
    return bad(configuration, fmt::format("the key of {} is not the one that is listed", configuration.name),
               "have the new key listed: ssn membership node; ssn pki renew keeps the key");
  }
  for (const PeerConfiguration& peer : configuration.peers) {
    const Verdict listed = membership::lists(document, peer.name, role_of(peer));
    if (!listed.ok()) return bad(configuration, listed.why, "have it listed, or take its [[peer]] out");
  }
  if (surest_protection(configuration) < document.floor.protection) {
    return bad(configuration,
               fmt::format("it asks for {}, and the settings of this node promise {}",
                           controller::name(document.floor.protection),
                           controller::name(surest_protection(configuration))),
               "set random = \"stream\", and shortage to another one than \"aes-256-gcm\"");
  }
  std::set<std::uint64_t> numbers;
  for (const membership::Node& node : document.nodes) {
    if (numbers.insert(roles::node_number(node.name)).second) continue;
    return bad(configuration, fmt::format("{} has the number of another node", node.name),
               "give one of them another name");
  }
  return done;
}

Result<std::unique_ptr<MembershipGuard>> MembershipGuard::make(Setup setup) {
  const Configuration& configuration = *setup.configuration;
  // As many as it has shares of, at all its workers.
  const std::size_t most = std::size_t{configuration.shareholder.generations} *
                           std::max<std::size_t>(configuration.workers.cores.size(), 1);
  Result<ToldLayouts> told = ToldLayouts::open(configuration.ledger + ".layouts", most);
  if (!told.ok()) return told.error();
  return std::unique_ptr<MembershipGuard>(new MembershipGuard(std::move(setup), std::move(told.value())));
}

// With the lock held.
std::shared_ptr<const MembershipGuard::Listed> MembershipGuard::listed() {
  const std::shared_ptr<const membership::Pinned> pinned = setup_.live->pinned();
  if (listed_ != nullptr && listed_->pinned == pinned) return listed_;
  auto made = std::make_shared<Listed>();
  made->pinned = pinned;
  for (const membership::Node& node : pinned->document.nodes) {
    made->nodes[roles::node_number(node.name)] = &node;
  }
  listed_ = std::move(made);
  return listed_;
}

void MembershipGuard::refused(const Verdict& verdict, const std::string& order) {
  refusals_[static_cast<std::size_t>(verdict.breach)].fetch_add(1, std::memory_order_relaxed);
  const std::string text = fmt::format("{}: {}: {}", order, membership::name(verdict.breach), verdict.why);
  setup_.report(fmt::format("membership: refused {}", text));
  setup_.alarm(text);
}

Outcome MembershipGuard::check_write(std::uint64_t object, const controller::Layout& layout) {
  const std::shared_ptr<const membership::Pinned> pinned = setup_.live->pinned();
  Verdict verdict = membership::holds(pinned->document, setup_.now());
  if (verdict.ok()) {
    verdict = membership::permits(pinned->document, layout, surest_protection(*setup_.configuration));
  }
  if (verdict.ok()) return done;
  refused(verdict, fmt::format("to write object {:016x}", object));
  return Error{Exit::refused, "cannot open a session",
               fmt::format("{}: {}", membership::name(verdict.breach), verdict.why),
               setup_.configuration->membership.where,
               "choose what the membership permits: ssn membership show; or have another one signed"};
}

Verdict MembershipGuard::judge_domains(const Listed& listed, const roles::ReshareGeneration& target,
                                       std::uint64_t object) const {
  // Also those that had a share of the generation before: who had it knows it.
  std::map<std::uint8_t, std::set<std::uint64_t>> nodes = told_.nodes_of({object, target.generation});
  std::set<std::string> now;
  for (std::size_t i = 0; i < target.layout.nodes.size(); ++i) {
    const std::uint64_t node = target.layout.nodes[i];
    if (node == 0) continue;
    nodes[static_cast<std::uint8_t>(i + 1)].insert(node);
    if (!listed.domain(node).empty()) now.insert(listed.domain(node));
  }
  std::map<std::string, std::set<std::uint8_t>> shares;
  for (const auto& [share, all] : nodes) {
    for (const std::uint64_t node : all) shares[listed.domain(node)].insert(share);
  }
  const unsigned t = roles::reveals_nothing(target.layout);
  for (const auto& [domain, all] : shares) {
    if (t != 0 && !domain.empty() && all.size() > t) {
      return {Breach::domains, fmt::format("{} would have had more than {} shares", domain, t)};
    }
  }
  const std::uint32_t wanted = listed.document().floor.minimum_domains;
  if (wanted > 1 && now.size() < wanted) {
    return {Breach::domains,
            fmt::format("its shares would lie in {} domains, not in {}", now.size(), wanted)};
  }
  return {};
}

// Of what is made: all that then have a share of it, not only those that this order makes.
Verdict MembershipGuard::judge_target(const Listed& listed, const ReshareOrder& order) const {
  const membership::Floor& floor = listed.document().floor;
  if ((floor.resharing & operation_of(order)) == 0) {
    return {Breach::operation, fmt::format("{} is not permitted", membership::names_of(operation_of(order)))};
  }
  for (const std::uint64_t node : order.target.layout.nodes) {
    if (node == 0) continue;
    if (Verdict verdict = listed.lists(node); !verdict.ok()) return verdict;
  }
  const unsigned t = roles::reveals_nothing(order.target.layout);
  if (t < floor.minimum_t) {
    return {Breach::threshold,
            fmt::format("{} of its shares would tell nothing, the floor is {}", t, floor.minimum_t)};
  }
  const Protection made = t == 0 ? Protection::none : surest_protection(*setup_.configuration);
  if (made < floor.protection) {
    return {Breach::protection, fmt::format("its protection would be {}, the floor is {}",
                                            controller::name(made), controller::name(floor.protection))};
  }
  return judge_domains(listed, order.target, order.object);
}

Verdict MembershipGuard::judge_told(const ReshareOrder& order) const {
  const bool audits = order.operation == ReshareOperation::check && order.to.empty();
  const bool seals = order.operation == ReshareOperation::seal;
  for (const roles::ReshareGeneration* const each : {&order.source, &order.target}) {
    if ((each == &order.source && seals) || (each == &order.target && audits)) continue;
    using Judgement = ToldLayouts::Judgement;
    switch (told_.judge({order.object, each->generation}, each->layout)) {
      case Judgement::fits:
        break;
      case Judgement::contradicts:
        return {Breach::contradicts, "it has another scheme, k, n, L or rows than was told before"};
      case Judgement::repeated:
        return {Breach::repeated, "a node would have had two shares of one generation"};
      case Judgement::full:
        return {Breach::contradicts, "no more can be remembered of what was told"};
    }
  }
  return {};
}

Verdict MembershipGuard::judge(const Listed& listed, const ReshareOrder& order) const {
  if (Verdict now = membership::holds(listed.document(), setup_.now()); !now.ok()) return now;
  for (const auto& [shares, layout] :
       {std::pair{&order.from, &order.source.layout}, {&order.to, &order.target.layout}}) {
    for (const std::uint8_t share : *shares) {
      if (Verdict verdict = listed.lists(layout->nodes[share - 1U]); !verdict.ok()) return verdict;
    }
  }
  if (order.checker != 0) {
    if (Verdict verdict = listed.lists(order.checker); !verdict.ok()) return verdict;
  }
  const std::vector<controller::Scheme>& schemes = listed.document().floor.schemes;
  for (const auto* const each : {&order.source, &order.target}) {
    const controller::Scheme scheme = scheme_of(each->layout.scheme);
    if (each->layout.n == 0 || std::find(schemes.begin(), schemes.end(), scheme) != schemes.end()) continue;
    return {Breach::scheme, fmt::format("the scheme {} is not permitted", controller::name(scheme))};
  }
  if (makes(order)) {
    if (Verdict verdict = judge_target(listed, order); !verdict.ok()) return verdict;
  }
  return judge_told(order);
}

Result<ReshareAnswer> MembershipGuard::check_order(const ReshareOrder& order) {
  if (const ReshareAnswer answer = roles::check_order(order); answer != ReshareAnswer::taken) return answer;
  const std::lock_guard lock(mutex_);
  const Verdict verdict = judge(*listed(), order);
  if (!verdict.ok()) {
    refused(verdict, fmt::format("job {:x} for object {:016x}", order.job, order.object));
    return answer_of(verdict.breach);
  }
  for (const roles::ReshareGeneration* const each : {&order.source, &order.target}) {
    if (each->layout.n == 0) continue;
    Outcome kept = told_.remember({order.object, each->generation}, each->layout);
    if (!kept.ok()) return kept.error();
  }
  return ReshareAnswer::taken;
}

void MembershipGuard::forget(std::uint64_t object, std::uint32_t generation) {
  const std::lock_guard lock(mutex_);
  if (const Outcome gone = told_.forget({object, generation}); !gone.ok()) {
    setup_.report(fmt::format("{}: {}", gone.error().what, gone.error().why));
  }
}

void MembershipGuard::tend() { setup_.live->refresh(setup_.now()); }

std::string MembershipGuard::trouble() const {
  const membership::LiveMembership::State state = setup_.live->state(setup_.now());
  if (!state.healthy) return state.condition;
  for (const PeerConfiguration& peer : setup_.configuration->peers) {
    const Verdict listed = membership::lists(state.pinned->document, peer.name, role_of(peer));
    if (!listed.ok()) return listed.why;
  }
  return "";
}

void MembershipGuard::add_status(agent::Status& status) const {
  const membership::LiveMembership::State state = setup_.live->state(setup_.now());
  const Document& document = state.pinned->document;
  const std::string trouble = this->trouble();
  std::string signers;
  for (const std::string& each : state.pinned->signers) signers += (signers.empty() ? "" : ", ") + each;
  status.items.push_back({"membership",
                          document.network,
                          trouble.empty(),
                          trouble.empty() ? state.condition : trouble,
                          {{"serial", fmt::format("{}", document.serial)},
                           {"signed by", signers},
                           {"must sign", fmt::format("{}", state.threshold)},
                           {"nodes", fmt::format("{}", document.nodes.size())},
                           {"minimum t", fmt::format("{}", document.floor.minimum_t)},
                           {"until", membership::time_text(document.until)}}});
}

void MembershipGuard::add_counters(std::vector<agent::Counter>& out) const {
  const membership::LiveMembership::State state = setup_.live->state(setup_.now());
  out.push_back({"membership.not_taken", state.not_taken, agent::Counter::Kind::counter});
  for (std::size_t i = 1; i < refusals_.size(); ++i) {
    std::string word(membership::name(static_cast<Breach>(i)));
    std::replace(word.begin(), word.end(), '-', '_');
    out.push_back({"membership.refused_" + word, refusals_[i].load(std::memory_order_relaxed),
                   agent::Counter::Kind::counter});
  }
  out.push_back({"membership.serial", state.pinned->document.serial, agent::Counter::Kind::gauge});
  out.push_back({"membership.taken", state.taken, agent::Counter::Kind::counter});
}

}  // namespace ssn::dataplane
