// SPDX-License-Identifier: BSD-3-Clause
// What nodes do, and what operators see of them: docs/controller.md, "Nodes".
#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <set>
#include <tuple>

#include "catalogue.h"

namespace ssn::controller {
namespace {

std::string shown(std::uint64_t id) { return fmt::format("object {:016x}", id); }

Error unknown_node(const char* what, const std::string& node) {
  return {Exit::not_found, what, "the node is not registered", node, "register it first"};
}

}  // namespace

Node Catalogue::describe(const std::string& name, const NodeState& state, Now now) const {
  const Registration& known = state.record.registration;
  const Health& health = state.health;
  return {name,
          known.roles,
          known.agent,
          known.data_addresses,
          known.version,
          said_of(name),
          known.labels,
          known.key_paths,
          delivers_once(said_of(name)[Label::key_manager]),
          service_of(name),
          is_up(state, now),
          health.read_only,
          health.capacity_bytes,
          health.used_bytes,
          health.objects,
          health.wall_ms,
          health.key_stock};
}

Result<RegisterAnswer> Catalogue::register_node(Now now, const std::string& node, pki::Roles roles,
                                                const Registration& registration) {
  constexpr const char* what = "cannot register the node";
  if (Outcome checked = check(registration, roles); !checked.ok()) {
    return checked.error();
  }
  const std::lock_guard lock(mutex_);
  const auto known = nodes_.find(node);
  if (known == nodes_.end() && nodes_.size() >= policy_.nodes_max) {
    return Error{Exit::temporary, what, fmt::format("{} nodes are the most", policy_.nodes_max), node,
                 "raise [limits] nodes"};
  }
  Transaction changes(database_);
  NodeRecord record;
  record.registration = registration;
  record.registered_ms = now.wall_ms;
  changes.put(keys::node(node), record);
  const bool restarted =
      known == nodes_.end() || known->second.record.registration.instance != registration.instance;
  if (restarted) {
    if (Outcome noted = note(changes, now, false, "node_registered", node,
                             known == nodes_.end() ? "for the first time" : "after a start");
        !noted.ok()) {
      return noted.error();
    }
  }
  const std::string why = contradiction(node, registration.labels);
  monitor_.set("labels_contradict", node, "", !why.empty(), why, now.monotonic_ms);
  if (Outcome taken = take_own_alarms(changes, now); !taken.ok()) {
    return taken.error();
  }
  if (restarted) {  // it compares what it holds once more
    const alarms::AlarmKey holds{"unknown_holdings", node, ""};
    if (Outcome cleared = clear_alarm(changes, now, holds, "", "the node was started again"); !cleared.ok()) {
      return cleared.error();
    }
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  NodeState& state = nodes_[node];
  state.record = std::move(record);
  if (restarted) {
    state.health = {};
  }
  return RegisterAnswer{catalogue_id_, policy_.report_ms, policy_.lease_ms};
}

// Nothing is left of one share at its holder.
Outcome Catalogue::confirm_removal(Transaction& changes, const std::string& node, const ObjectKey& key,
                                   Now now, std::uint64_t& confirmed) {
  const Result<std::optional<NumberRecord>> order = changes.get<NumberRecord>(keys::removal(node, key));
  if (!order.ok()) {
    return order.error();
  }
  if (!order.value()) {
    return done;  // confirmed before, or never ordered
  }
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(key.object));
  if (!record.ok()) {
    return record.error();
  }
  // What was to be made for the node again and was not: it is its share still, to be made by others.
  const bool still = record.value() && !is_over(record.value()->object) &&
                     record.value()->object.generation == key.generation &&
                     holder_of(record.value()->object, node) != nullptr;
  changes.erase(keys::removal(node, key));
  if (!still) {
    changes.erase(keys::holding(node, key));
  }
  ++confirmed;
  changes.erase(keys::mark("share_exposed", node, key));
  if (!record.value()) {
    return done;
  }
  // Of an object that goes. Re-sharing removes shares of generations before, and of holders before.
  Object& object = record.value()->object;
  const auto holder = std::find_if(object.layout.holders.begin(), object.layout.holders.end(),
                                   [&](const Holder& each) { return each.node == node; });
  if (!is_over(object) || object.generation != key.generation || holder == object.layout.holders.end()) {
    return done;
  }
  holder->state = ShareState::erased;
  if (count_of(object.layout, ShareState::erased) == object.layout.n) {
    object.state = ObjectState::gone;
    record.value()->ended_ms = now.wall_ms;
    changes.put(keys::gone(now.wall_ms, object.id), NumberRecord{object.id});
  }
  changes.put(keys::object(object.id), *record.value());
  return done;
}

// Whether it goes back: then what is known stays.
Result<bool> Catalogue::take_association(Transaction& changes, const std::string& node,
                                         const AssociationReport& report, Now now) {
  const std::string key = keys::association(node, report.peer);
  const Result<std::optional<AssociationRecord>> known = changes.get<AssociationRecord>(key);
  if (!known.ok()) {
    return known.error();
  }
  if (known.value()) {
    const AssociationReport& before = known.value()->report;
    bool back = report.epoch < before.epoch;
    for (const StreamMark& mark : report.streams) {
      const auto old = std::find_if(
          before.streams.begin(), before.streams.end(),
          [&](const StreamMark& stream) { return stream.ksid == mark.ksid && stream.sends == mark.sends; });
      back = back || (report.epoch == before.epoch && old != before.streams.end() &&
                      (mark.sent < old->sent || mark.seen < old->seen));
    }
    if (back) {
      return true;
    }
    if (before == report) {
      return false;
    }
  }
  changes.put(key, AssociationRecord{report, now.wall_ms});
  return false;
}

Outcome Catalogue::take_associations(Transaction& changes, const std::string& node,
                                     const std::vector<AssociationReport>& reports, Now now) {
  for (const AssociationReport& report : reports) {
    if (nodes_.find(report.peer) == nodes_.end()) {
      continue;  // a peer of its own configuration that is no node here
    }
    const Result<bool> back = take_association(changes, node, report, now);
    if (!back.ok()) {
      return back.error();
    }
    if (back.value()) {
      monitor_.happened("association_went_back", node, report.peer,
                        "its epoch or a mark is below what it said before: an old or copied disk",
                        now.monotonic_ms);
      if (Outcome taken = take_own_alarms(changes, now); !taken.ok()) {
        return taken;
      }
    }
  }
  return done;
}

Catalogue::Health Catalogue::health_of(const Report& report, Now now) {
  Health health;
  health.reported = true;
  health.monotonic_ms = now.monotonic_ms;
  health.wall_ms = now.wall_ms;
  health.capacity_bytes = report.capacity_bytes;
  health.used_bytes = report.used_bytes;
  health.objects = report.objects;
  health.read_only = report.read_only;
  health.key_stock = report.key_stock;
  health.key_settings = report.key_settings;
  for (const PeerReport& peer : report.peers) health.peers[peer.peer] = peer;
  return health;
}

Result<ReportAnswer> Catalogue::report(Now now, const std::string& node, const Report& report) {
  constexpr const char* what = "cannot take the report";
  if (Outcome checked = check(report); !checked.ok()) {
    return checked.error();
  }
  const std::lock_guard lock(mutex_);
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) {
    return unknown_node(what, node);
  }
  if (known->second.record.registration.instance != report.instance) {
    return Error{Exit::refused, what, "another instance of the node is registered", node,
                 "register again; if two run, end one"};
  }
  Transaction changes(database_);
  std::uint64_t confirmed = 0;
  for (const ObjectKey& key : report.removed) {
    if (Outcome taken = confirm_removal(changes, node, key, now, confirmed); !taken.ok()) {
      return taken.error();
    }
  }
  if (Outcome taken = take_damaged(changes, now, node, report.damaged); !taken.ok()) {
    return taken.error();
  }
  if (Outcome taken = take_associations(changes, node, report.associations, now); !taken.ok()) {
    return taken.error();
  }
  const pki::Roles roles = known->second.record.registration.roles;
  if (Outcome taken = take_alarms(changes, now, node, admitted(now, node, roles, report.alarms));
      !taken.ok()) {
    return taken.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  counts_.removals -= confirmed;
  known->second.health = health_of(report, now);
  ReportAnswer answer{policy_.report_ms, {}, {}, {}};
  for (const RateUse& use : report.rates) {
    answer.rates.push_back(rate_of(policy_, use));
    if (use.slowed && !use.of_class) known->second.health.slowed.insert(use.name);
  }
  for (const ObjectKey& key : report.writes) {
    const auto write = open_.find(key.object);
    if (write != open_.end() && write->second.ssa == node && write->second.generation == key.generation) {
      write->second.lease_end_ms = now.monotonic_ms + policy_.lease_ms;
    } else {
      answer.ended.push_back(key);
    }
  }
  const std::string orders = keys::removals(node);
  const Result<std::vector<Row>> rows = database_.scan(orders, keys::end_of(orders), page_max);
  if (!rows.ok()) {
    return rows.error();
  }
  for (const Row& row : rows.value()) {
    answer.remove.push_back(
        {keys::number_at(row.key, orders.size()), keys::number_at(row.key, orders.size() + 8)});
  }
  return answer;
}

Result<Object> Catalogue::object_for(Now now, const std::string& node, const ObjectKey& key) {
  constexpr const char* what = "cannot show the object";
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(key.object));
  if (!record.ok()) {
    return record.error();
  }
  // What is committed is read by any SSA that is up when the one that wrote it is not.
  const auto concerns = [&](const Object& object) {
    const auto known = nodes_.find(node);
    return object.ssa == node || holder_of(object, node) != nullptr ||
           (object.state == ObjectState::committed && known != nodes_.end() &&
            known->second.record.registration.roles.has(pki::Role::ssa));
  };
  if (!record.value() || record.value()->object.generation != key.generation ||
      !concerns(record.value()->object)) {
    return Error{Exit::not_found, what, "this node has nothing to do with such an object", shown(key.object),
                 "see that the owner named the right SSA"};
  }
  Object object = std::move(record.value()->object);
  fill_in(object, now);
  if (object.ssa == node || holder_of(object, node) == nullptr) {
    object.rules = rules_of(policy_, object.owner, object.class_name);
  }
  return object;
}

Result<SealedAnswer> Catalogue::sealed(Now now, const std::string& node, const SealedReport& report) {
  constexpr const char* what = "cannot take the seals";
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  Result<std::optional<ObjectRecord>> found = changes.get<ObjectRecord>(keys::object(report.key.object));
  if (!found.ok()) {
    return found.error();
  }
  if (!found.value() || found.value()->object.ssa != node ||
      found.value()->object.generation != report.key.generation) {
    return Error{Exit::not_found, what, "this node does not write such an object", shown(report.key.object),
                 "begin the write again"};
  }
  ObjectRecord& record = *found.value();
  Object& object = record.object;
  if (is_over(object)) {
    return Error{Exit::refused, what, fmt::format("the write is over: {}", object.end_reason),
                 shown(object.id), "write it again"};
  }
  if (Outcome checked = check(report, object); !checked.ok()) {
    return checked.error();
  }
  const bool told =
      count_of(object.layout, ShareState::sealed) + count_of(object.layout, ShareState::failed) != 0;
  if (told &&
      (object.cells != report.cells || object.attempts != report.attempts || object.size != report.size)) {
    return Error{Exit::integrity, what,
                 "the object had other contents before: shares of two attempts never combine",
                 shown(object.id), "write it again"};
  }
  if (!object.size_known) {  // from now on the owner's limits count it
    if (Outcome counted = count_object(changes, object, -1); !counted.ok()) {
      return counted.error();
    }
    object.size = report.size;
    object.size_known = true;
    if (Outcome counted = count_object(changes, object, 1); !counted.ok()) {
      return counted.error();
    }
  }
  object.cells = report.cells;
  object.attempts = report.attempts;
  // It never rises: what was weaker once stays so.
  object.protection = told ? std::min(object.protection, report.protection) : report.protection;
  for (const ShareSeal& seal : report.shares) {
    Holder& holder = object.layout.holders[seal.share - 1];
    // What its holder lost since is lost, whatever the SSA says again of the time before.
    if (holder.state != ShareState::sealed && !is_lost(holder)) {
      holder.state = seal.sealed ? ShareState::sealed : ShareState::failed;
      holder.trouble = seal.sealed ? "" : seal.trouble;
    }
  }
  const std::uint32_t count = count_of(object.layout, ShareState::sealed);
  if (object.state == ObjectState::writing && count >= object.layout.minimum) {
    object.state = ObjectState::sealed;
  }
  if (Outcome put = put_object(changes, now, record); !put.ok()) {
    return put.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  if (const auto write = open_.find(object.id); write != open_.end()) {
    write->second.lease_end_ms = now.monotonic_ms + policy_.lease_ms;
  }
  return SealedAnswer{count, object.layout.quorum, object.layout.minimum, object.state};
}

Result<std::vector<Node>> Catalogue::nodes(Now now) {
  const std::lock_guard lock(mutex_);
  std::vector<Node> all;
  for (const auto& [name, state] : nodes_) {
    all.push_back(describe(name, state, now));
  }
  return all;
}

Result<Node> Catalogue::set_node(Now now, const std::string& node, ServiceState service,
                                 const std::string& who) {
  constexpr const char* what = "cannot change the node";
  const std::lock_guard lock(mutex_);
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) {
    return unknown_node(what, node);
  }
  if (service > ServiceState::reserved) {
    return Error{Exit::usage, what, "the service state is unknown", node, "use a program of this version"};
  }
  if (service != ServiceState::out_of_service && replacing_.contains(node)) {
    return Error{Exit::refused, what, "its shares are going to others, and new ones would follow them", node,
                 "cancel that first: ssn reshare cancel --replacement"};
  }
  if (const ServiceState before = service_of(node); before != service) {
    Transaction changes(database_);
    Policy policy;
    Result<ConfigurationVersion> version = put_service(changes, now, node, service, who, policy);
    if (!version.ok()) {
      return version.error();
    }
    const std::string text = fmt::format("{}, was {}: by {}, version {} of the configuration", name(service),
                                         name(before), who, version.value().number);
    if (Outcome noted = note(changes, now, false, "node_service", node, text); !noted.ok()) {
      return noted.error();
    }
    if (Outcome committed = changes.commit(); !committed.ok()) {
      return committed.error();
    }
    follow(now, std::move(version.value()), policy);
  }
  return describe(node, known->second, now);
}

namespace {

constexpr const char* what_remove = "cannot remove the node";

}  // namespace

Outcome Catalogue::check_removable(Now now, const std::string& node) const {
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) {
    return unknown_node(what_remove, node);
  }
  const auto refused = [&](const char* why, const char* fix) {
    return Error{Exit::refused, what_remove, why, node, fix};
  };
  if (is_up(known->second, now)) {
    return refused("it is up, and would register again", "end it first");
  }
  if (replacing_.contains(node)) {
    return refused("its shares are still going to others", "wait until that is over: ssn reshare list");
  }
  if (std::any_of(open_.begin(), open_.end(), [&](const auto& write) { return write.second.ssa == node; })) {
    return refused("writes are open with it", "wait until their leases are over");
  }
  return done;
}

// Nothing of its store is left, so all that it was to erase is. In pages, between which others have their
// turn; false: there is no more.
Result<bool> Catalogue::settle_removals(Now now, const std::string& node) {
  const std::lock_guard lock(mutex_);
  if (Outcome may = check_removable(now, node); !may.ok()) {
    return may.error();
  }
  const std::string orders = keys::removals(node);
  const Result<std::vector<Row>> rows = database_.scan(orders, keys::end_of(orders), page_max);
  if (!rows.ok() || rows.value().empty()) {
    return rows.ok() ? Result<bool>(false) : rows.error();
  }
  Transaction changes(database_);
  std::uint64_t confirmed = 0;
  for (const Row& row : rows.value()) {
    const ObjectKey key{keys::number_at(row.key, orders.size()), keys::number_at(row.key, orders.size() + 8)};
    if (Outcome settled = confirm_removal(changes, node, key, now, confirmed); !settled.ok()) {
      return settled.error();
    }
  }
  const std::string text = fmt::format(
      "{} erasures that it owed count as done: an operator says that its store is destroyed", confirmed);
  if (Outcome noted = note(changes, now, false, "node_store_destroyed", node, text); !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  assert(confirmed == rows.value().size());
  counts_.removals -= confirmed;
  return true;
}

Outcome Catalogue::remove_node(Now now, const std::string& node, StoreDestroyed destroyed) {
  while (destroyed == StoreDestroyed::yes) {
    const Result<bool> more = settle_removals(now, node);
    if (!more.ok()) {
      return more.error();
    }
    if (!more.value()) {
      break;
    }
  }
  return forget_node(now, node);
}

Outcome Catalogue::forget_node(Now now, const std::string& node) {
  const std::lock_guard lock(mutex_);
  if (Outcome may = check_removable(now, node); !may.ok()) {
    return may;
  }
  const std::tuple<std::string, const char*, const char*> empty[] = {
      {keys::removals(node), "it has not confirmed that it erased what it had",
       "start it again and wait; or, if nothing of its store is left, say so: --destroyed"},
      {keys::holdings(node), "it holds shares", "have it replaced: ssn shareholder replace"}};
  for (const auto& [prefix, why, fix] : empty) {
    const Result<std::vector<Row>> rows = database_.scan(prefix, keys::end_of(prefix), 1);
    if (!rows.ok()) {
      return rows.error();
    }
    if (!rows.value().empty()) {
      return Error{Exit::refused, what_remove, why, node, fix};
    }
  }
  Transaction changes(database_);
  changes.erase(keys::node(node));
  changes.erase(keys::settled(node));
  const std::string prefix = keys::associations(node);
  const Result<std::vector<Row>> rows = database_.scan(prefix, keys::end_of(prefix), policy_.nodes_max);
  if (!rows.ok()) {
    return rows.error();
  }
  for (const Row& row : rows.value()) {
    changes.erase(row.key);
  }
  for (const auto& [peer, state] : nodes_) {
    changes.erase(keys::association(peer, node));
  }
  if (Outcome cleared = forget_node_alarms(changes, now, node); !cleared.ok()) {
    return cleared;
  }
  if (Outcome noted = note(changes, now, false, "node_removed", node, "by an operator"); !noted.ok()) {
    return noted;
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed;
  }
  nodes_.erase(node);
  settled_.erase(node);
  return done;
}

Result<std::vector<Association>> Catalogue::associations(const std::string& node) {
  const std::lock_guard lock(mutex_);
  std::vector<Association> all;
  const std::string prefix = keys::associations(node);
  const Result<std::vector<Row>> rows = database_.scan(prefix, keys::end_of(prefix), policy_.nodes_max);
  if (!rows.ok()) {
    return rows.error();
  }
  for (const Row& row : rows.value()) {
    Result<AssociationRecord> record = decode<AssociationRecord>(row.key, row.value);
    if (!record.ok()) {
      return record.error();
    }
    all.push_back({node, std::move(record.value().report), record.value().reported_ms});
  }
  return all;
}

}  // namespace ssn::controller
