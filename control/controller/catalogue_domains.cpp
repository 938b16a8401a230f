// SPDX-License-Identifier: BSD-3-Clause
// What other domains are told of our nodes, and what is told of them: docs/exchange.md.
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"
#include "cut_text.h"

namespace ssn::controller {
namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::map<std::string, DomainAgreement> Catalogue::agreements() {
  const std::lock_guard lock(mutex_);
  return policy_.agreements;
}

std::set<std::string> Catalogue::node_names() {
  const std::lock_guard lock(mutex_);
  std::set<std::string> names;
  for (const auto& [name, state] : nodes_) names.insert(name);
  return names;
}

Result<DomainStatement> Catalogue::statement_for(Now now, const std::string& domain) {
  const std::lock_guard lock(mutex_);
  const auto found = policy_.agreements.find(domain);
  if (found == policy_.agreements.end()) {
    return Error{Exit::not_found, "cannot speak to the other domain", "nothing is agreed with it", domain,
                 "add it as [[domain]] to the network's configuration: ssn config apply"};
  }
  const DomainAgreement& agreement = found->second;
  DomainStatement statement;
  statement.version = exchange_version;
  statement.catalogue = catalogue_id_;
  statement.uses = agreement.uses;
  statement.lends_bytes = agreement.lends_bytes;
  std::set<std::string> lent;
  for (const auto& [name, state] : nodes_) {
    // Only the operator's word lends: a node cannot say that it stands in a site that is lent.
    const auto said = policy_.deployment.labels.find(name);
    const std::string site = said == policy_.deployment.labels.end() ? "" : said->second[Label::site];
    const bool is_lent = has(agreement.lends, name) || (!site.empty() && has(agreement.lends_sites, site));
    if (!is_lent || !state.record.registration.roles.has(pki::Role::shareholder)) continue;
    if (statement.nodes.size() == lent_nodes_max) break;
    const Health& health = state.health;
    const std::uint64_t free = health.capacity_bytes - std::min(health.capacity_bytes, health.used_bytes);
    statement.nodes.push_back({name, said_of(name), service_of(name), is_up(state, now),
                               !health.read_only.empty(), std::min(free, agreement.lends_bytes),
                               state.record.registration.agent, state.record.registration.data_addresses});
    lent.insert(name);
  }
  for (const auto& [key, since] : alarm_since_ms_) {
    const alarms::AlarmType* const type = alarms::find_type(key.type);
    const bool about_one = type != nullptr && type->resource == alarms::Resource::node && key.peer.empty();
    if (!about_one || !lent.contains(key.resource)) continue;
    if (statement.alarms.size() == lent_alarms_max) break;
    const Alarm& alarm = known_alarms_.at(key);
    statement.alarms.push_back({key.type, key.resource, alarm.severity, alarm.raised_ms});
  }
  return statement;
}

void Catalogue::tell_domains(Now now, const std::vector<DomainTrouble>& troubles) {
  std::set<std::string> told;
  for (const DomainTrouble& each : troubles) {
    told.insert(each.domain);
    monitor_.set("domain_unreachable", each.domain, "", !each.unreachable.empty(), each.unreachable,
                 now.monotonic_ms);
    monitor_.set("domain_mismatch", each.domain, "", !each.mismatch.empty(), each.mismatch, now.monotonic_ms);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [key, since] : alarm_since_ms_) {
    const alarms::AlarmType* const type = alarms::find_type(key.type);
    if (type != nullptr && type->resource == alarms::Resource::domain && !told.contains(key.resource)) {
      monitor_.set(key.type, key.resource, "", false, "", now.monotonic_ms);
    }
  }
}

Result<bool> Catalogue::note_domain(Now now, const char* kind, const std::string& domain,
                                    const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (!may_note(fmt::format("{} {}", kind, domain), now)) return false;
  Transaction changes(database_);
  const std::string cut = alarms::cut_text(text, text_max);
  if (Outcome noted = note(changes, now, false, kind, domain, cut); !noted.ok()) return noted.error();
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  return true;
}

}  // namespace ssn::controller
