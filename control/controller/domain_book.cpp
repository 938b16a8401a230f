// SPDX-License-Identifier: BSD-3-Clause
#include "domain_book.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace ssn::controller {
namespace {

constexpr const char* what_take = "cannot take what the other domain says";

Error refusal(std::string why, std::string where, std::string fix) {
  return {Exit::refused, what_take, std::move(why), std::move(where), std::move(fix)};
}

std::uint64_t since(std::uint64_t moment_ms, std::uint64_t now_ms) noexcept {
  return now_ms > moment_ms ? now_ms - moment_ms : 0;
}

// Whether somebody of this name speaks to us in a way that we understand.
Outcome check_names(const std::string& domain, const std::string& own, const DomainStatement& statement) {
  if (statement.version != exchange_version) {
    return refusal(
        fmt::format("it speaks version {} of the exchange, we speak {}", statement.version, exchange_version),
        "version", "run versions of ssn-controller that understand each other");
  }
  if (statement.from != domain) {
    return refusal(fmt::format("it calls itself {}, and we call it {}", statement.from, domain), "from",
                   "agree on one name: [exchange] domain there, [[domain]] name here");
  }
  if (statement.to != own) {
    return refusal(fmt::format("it calls us {}, and we are {}", statement.to, own), "to",
                   "agree on one name: [[domain]] name there, [exchange] domain here");
  }
  return done;
}

}  // namespace

DomainBook::DomainBook(std::string own, std::set<std::string> trusted)
    : own_(std::move(own)), trusted_(std::move(trusted)) {}

void DomainBook::follow(const std::map<std::string, DomainAgreement>& agreements,
                        std::set<std::string> own_nodes, std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  own_nodes_ = std::move(own_nodes);
  std::erase_if(entries_, [&](const auto& entry) { return !agreements.contains(entry.first); });
  for (const auto& [name, agreement] : agreements) {
    const auto [at, fresh] = entries_.try_emplace(name);
    Entry& entry = at->second;
    if (fresh) entry.since_ms = now_ms;
    const bool elsewhere =
        entry.agreement.controller != agreement.controller || entry.agreement.identity != agreement.identity;
    if (!fresh && elsewhere) {  // what another one said does not count for this one
      const std::uint64_t refused = entry.refused;
      entry = Entry();
      entry.since_ms = now_ms;
      entry.refused = refused;
    }
    entry.agreement = agreement;
  }
}

Result<DomainAgreement> DomainBook::agreement(const std::string& domain) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(domain);
  if (found == entries_.end()) {
    return Error{Exit::not_found, "cannot speak to the other domain", "nothing is agreed with it", domain,
                 "add it as [[domain]] to the network's configuration: ssn config apply"};
  }
  return found->second.agreement;
}

Outcome DomainBook::hear(const std::string& domain, DomainStatement statement, Heard how,
                         std::uint64_t now_ms) {
  const Outcome sound = check(statement);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(domain);
  if (found == entries_.end()) {
    return refusal("nothing is agreed with it", domain,
                   "add it as [[domain]] to the network's configuration");
  }
  Entry& entry = found->second;
  const Outcome named = sound.ok() ? check_names(domain, own_, statement) : sound;
  if (!named.ok()) {
    entry.refusal = named.error().why;
    entry.refusal_ms = now_ms;
    return named;
  }
  // Answers and questions cross each other: the later word counts.
  const bool same = entry.heard && statement.instance == entry.theirs.instance;
  if (same && statement.number <= entry.theirs.number) {
    if (how == Heard::answering) entry.next_ms = now_ms + exchange_each_ms;
    return done;
  }
  const bool is_back =
      how == Heard::calling && (!entry.heard || since(entry.heard_ms, now_ms) > domain_fresh_ms);
  entry.refusal.clear();
  entry.theirs = std::move(statement);
  entry.heard = true;
  entry.heard_ms = now_ms;
  if (is_back) {
    entry.next_ms = now_ms;
  } else if (how == Heard::answering) {
    entry.trouble.clear();
    entry.failures = 0;
    entry.next_ms = now_ms + exchange_each_ms;
  }
  return done;
}

void DomainBook::fail(const std::string& domain, const std::string& why, std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(domain);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.trouble = why;
  const unsigned doublings = std::min(entry.failures, 5U);
  entry.failures += 1;
  entry.next_ms = now_ms + std::min(exchange_each_ms << doublings, exchange_back_off_ms);
}

void DomainBook::refuse(const std::string& domain) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(domain);
  if (found != entries_.end()) found->second.refused += 1;
}

std::uint64_t DomainBook::wait_ms(const std::string& domain, std::uint64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(domain);
  if (found == entries_.end()) return exchange_each_ms;
  return found->second.next_ms > now_ms ? found->second.next_ms - now_ms : 0;
}

// With the lock held; of one that was heard.
std::string DomainBook::mismatch_of(const Entry& entry) const {
  const DomainStatement& theirs = entry.theirs;
  const DomainAgreement& ours = entry.agreement;
  const bool lends = !ours.lends.empty() || !ours.lends_sites.empty();
  if (ours.uses && theirs.nodes.empty()) return "we mean to use its shareholders, and it lends none";
  if (theirs.uses && !lends) return "it means to use our shareholders, and we lend none";
  for (const LentNode& node : theirs.nodes) {
    if (own_nodes_.contains(node.name)) {
      return fmt::format("it lends {}, and a node of ours has that name", node.name);
    }
  }
  return "";
}

// With the lock held.
DomainView DomainBook::view_of(const std::string& name, const Entry& entry, std::uint64_t now_ms) const {
  DomainView view;
  view.name = name;
  view.agreement = entry.agreement;
  view.heard = entry.heard;
  view.silent_ms = entry.heard ? since(entry.heard_ms, now_ms) : 0;
  view.refused = entry.refused;
  view.theirs = entry.theirs;
  const std::uint64_t quiet_ms = since(entry.heard ? entry.heard_ms : entry.since_ms, now_ms);
  if (own_.empty()) {
    view.condition = DomainCondition::unreachable;
    view.trouble = "this controller has no [exchange] in its configuration";
  } else if (!trusted_.contains(name)) {
    view.condition = DomainCondition::unreachable;
    view.trouble = "no [[exchange.with]] of this controller's configuration names its authority";
  } else if (!entry.refusal.empty() && since(entry.refusal_ms, now_ms) < domain_refusal_ms) {
    view.condition = DomainCondition::mismatch;
    view.trouble = entry.refusal;
  } else if (quiet_ms > domain_fresh_ms) {
    view.condition = DomainCondition::unreachable;
    view.trouble = entry.trouble.empty() ? "it was not heard" : entry.trouble;
  } else if (!entry.heard) {
    view.trouble = entry.trouble;
  } else {
    view.trouble = mismatch_of(entry);
    view.condition = view.trouble.empty() ? DomainCondition::good : DomainCondition::mismatch;
  }
  return view;
}

std::vector<DomainView> DomainBook::views(std::uint64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  std::vector<DomainView> all;
  for (const auto& [name, entry] : entries_) all.push_back(view_of(name, entry, now_ms));
  return all;
}

std::vector<DomainTrouble> DomainBook::troubles(std::uint64_t now_ms) const {
  std::vector<DomainTrouble> all;
  for (DomainView& view : views(now_ms)) {
    DomainTrouble trouble{std::move(view.name), "", ""};
    if (view.condition == DomainCondition::unreachable) trouble.unreachable = std::move(view.trouble);
    if (view.condition == DomainCondition::mismatch) trouble.mismatch = std::move(view.trouble);
    all.push_back(std::move(trouble));
  }
  return all;
}

}  // namespace ssn::controller
