// SPDX-License-Identifier: BSD-3-Clause
// A node's shares go to others: object by object, a page at a time, until a whole pass finds none there.
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"
#include "check.h"

namespace ssn::controller {
namespace {

constexpr const char* what = "cannot replace the node";
constexpr std::size_t objects_at_once = 64;
constexpr std::uint64_t pause_ms = 2'000;            // between passes
constexpr std::uint64_t troubled_pause_ms = 30'000;  // after one in which something could not be begun with

Replacement shown(const std::string& from, const ReplacementRecord& record) {
  return {from,        record.to,      record.reason,   record.started,
          record.left, record.trouble, record.begun_ms, record.automatic};
}

}  // namespace

Outcome Catalogue::load_replacements() {
  const std::string from(keys::all_replacements);
  return for_each_row(database_, from, keys::end_of(from), [&](const Row& row) {
    Result<ReplacementRecord> record = decode<ReplacementRecord>(row.key, row.value);
    if (!record.ok()) return Outcome(record.error());
    replacing_[row.key.substr(1)] = std::move(record.value());
    return Outcome(done);
  });
}

Outcome Catalogue::check_replacement(const std::string& from, const std::string& to) const {
  const auto other = nodes_.find(to);
  if (!nodes_.contains(from) || (!to.empty() && other == nodes_.end())) {
    return Error{Exit::not_found, what, "the node is not registered", nodes_.contains(from) ? to : from,
                 "see `ssn nodes`"};
  }
  if (from == to || (!to.empty() && !other->second.record.registration.roles.has(pki::Role::shareholder))) {
    return Error{Exit::usage, what, "this is no other shareholder", to, "name another one"};
  }
  return done;
}

Result<ReplacementPlan> Catalogue::plan_replacement(Now now, const std::string& from, const std::string& to,
                                                    std::uint64_t after, std::size_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::lock_guard lock(mutex_);
  if (Outcome checked = check_replacement(from, to); !checked.ok()) return checked.error();
  const std::string prefix = keys::holdings(from);
  const std::string begin =
      after == 0 ? prefix : keys::end_of(keys::holding(from, {after, 0}).substr(0, prefix.size() + 8));
  const Result<std::vector<Row>> rows = database_.scan(begin, keys::end_of(prefix), most);
  if (!rows.ok()) return rows.error();
  ReplacementPlan plan;
  plan.replacement.from = from;
  plan.replacement.to = to;
  Transaction reads(database_);
  for (const Row& row : rows.value()) {
    ReshareRequest request;
    request.object = keys::number_at(row.key, prefix.size());
    request.away = from;
    request.to = to;
    Result<ReshareJob> job = plan_job(reads, now, request);
    if (job.ok()) {
      plan.planned.push_back(view_of(job.value(), 0));
    } else if (job.error().code != Exit::not_found) {
      plan.troubles.push_back({request.object, job.error().why});
    }
  }
  if (rows.value().size() == most) plan.next = keys::number_at(rows.value().back().key, prefix.size());
  return plan;
}

Result<Replacement> Catalogue::replace_node(Now now, const std::string& from, const std::string& to,
                                            const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (Outcome checked = check_replacement(from, to); !checked.ok()) return checked.error();
  const auto known = nodes_.find(from);
  if (const auto runs = replacing_.find(from); runs != replacing_.end()) {
    if (runs->second.to == to) return shown(from, runs->second);  // again
    return Error{
        Exit::refused, what,
        fmt::format("its shares go to {} already", runs->second.to.empty() ? "others" : runs->second.to),
        from, "cancel that first"};
  }
  Transaction changes(database_);
  ReplacementRecord record{to, reason.substr(0, text_max), 0, 0, 0, "", now.wall_ms, false};
  NodeRecord node = known->second.record;
  node.out = true;  // or new shares would come
  changes.put(keys::replacement(from), record);
  changes.put(keys::node(from), node);
  if (Outcome noted = note(changes, now, false, "replacement_started", from, reason); !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  known->second.record = std::move(node);
  return shown(from, replacing_[from] = std::move(record));
}

Outcome Catalogue::end_replacement(Now now, const std::string& from, const char* kind,
                                   const std::string& text) {
  Transaction changes(database_);
  changes.erase(keys::replacement(from));
  if (Outcome noted = note(changes, now, false, kind, from, text); !noted.ok()) return noted;
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  replacing_.erase(from);
  replacement_pauses_.erase(from);
  return done;
}

Outcome Catalogue::cancel_replacement(Now now, const std::string& from) {
  const std::lock_guard lock(mutex_);
  if (!replacing_.contains(from)) {
    return Error{Exit::not_found, "cannot cancel the replacement", "the node is not being replaced", from,
                 "see `ssn reshare list`"};
  }
  return end_replacement(now, from, "replacement_cancelled", "by an operator; jobs that run go on");
}

Result<std::vector<Replacement>> Catalogue::replacements() {
  const std::lock_guard lock(mutex_);
  std::vector<Replacement> all;
  for (const auto& [from, record] : replacing_) all.push_back(shown(from, record));
  return all;
}

// By policy: a shareholder that is down for long is replaced, until it is back.
Outcome Catalogue::watch_nodes(Now now) {
  for (const auto& [name, state] : nodes_) {
    const auto found = replacing_.find(name);
    if (found != replacing_.end()) {
      if (!found->second.automatic || !is_up(state, now)) continue;
      const std::string node = name;
      return end_replacement(now, node, "replacement_cancelled", "it is back; jobs that run go on");
    }
    const std::uint64_t heard = state.health.reported ? state.health.monotonic_ms : opened_ms_;
    if (policy_.reshare_after_ms == 0 || now.since_ms(heard) < policy_.reshare_after_ms ||
        is_up(state, now) || !state.record.registration.roles.has(pki::Role::shareholder)) {
      continue;
    }
    const std::string prefix = keys::holdings(name);
    const Result<std::vector<Row>> any = database_.scan(prefix, keys::end_of(prefix), 1);
    if (!any.ok()) return any.error();
    if (any.value().empty()) continue;
    Transaction changes(database_);
    ReplacementRecord record{"", "it is down", 0, 0, 0, "", now.wall_ms, true};
    changes.put(keys::replacement(name), record);
    if (Outcome noted = note(changes, now, true, "replacement_started", name, "it is down for too long");
        !noted.ok()) {
      return noted;
    }
    if (Outcome committed = changes.commit(); !committed.ok()) return committed;
    replacing_[name] = std::move(record);
  }
  return done;
}

Outcome Catalogue::step_replacement(Now now, const std::string& from, std::size_t room,
                                    std::vector<ReshareJob>& started) {
  ReplacementRecord record = replacing_[from];
  const std::string prefix = keys::holdings(from);
  const std::string begin =
      record.after == 0 ? prefix
                        : keys::end_of(keys::holding(from, {record.after, 0}).substr(0, prefix.size() + 8));
  const Result<std::vector<Row>> rows = database_.scan(begin, keys::end_of(prefix), objects_at_once);
  if (!rows.ok()) return rows.error();
  bool whole = rows.value().size() < objects_at_once;
  for (const Row& row : rows.value()) {
    const ObjectKey key{keys::number_at(row.key, prefix.size()), keys::number_at(row.key, prefix.size() + 8)};
    Transaction changes(database_);
    const Result<std::optional<ObjectRecord>> object = changes.get<ObjectRecord>(keys::object(key.object));
    if (!object.ok()) return object.error();
    const bool counts =
        object.value() && object.value()->object.generation == key.generation &&
        object.value()->object.state < ObjectState::deleting &&
        std::any_of(
            object.value()->object.layout.holders.begin(), object.value()->object.layout.holders.end(),
            [&](const Holder& holder) { return holder.node == from; });
    if (counts && object.value()->object.state == ObjectState::committed && object.value()->job == 0) {
      if (room == 0) {  // here again when there is
        whole = false;
        break;
      }
      ReshareRequest request;
      request.object = key.object;
      request.away = from;
      request.to = record.to;
      request.reason = fmt::format("{} is replaced: {}", from, record.reason);
      Result<ReshareJob> job = start_job(changes, now, request);
      if (job.ok()) {
        started.push_back(std::move(job.value()));
        ++record.started;
        --room;
      } else {
        record.trouble = fmt::format("object {:016x}: {}", key.object, job.error().why).substr(0, text_max);
      }
    }
    record.left += counts ? 1 : 0;
    record.after = key.object;
  }
  if (whole && record.left == 0) {
    return end_replacement(now, from, "replacement_done", fmt::format("with {} jobs", record.started));
  }
  if (whole) {
    replacement_pauses_[from] = now.monotonic_ms + (record.trouble.empty() ? pause_ms : troubled_pause_ms);
    record.after = record.left = 0;
    record.trouble.clear();
  }
  Transaction changes(database_);
  changes.put(keys::replacement(from), record);
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  // People see what the latest whole pass found.
  const ReplacementRecord before = replacing_[from];
  replacing_[from] = record;
  if (whole) replacing_[from].trouble = before.trouble;
  return done;
}

Result<std::vector<ReshareJob>> Catalogue::step_replacements(Now now, std::size_t room) {
  const std::lock_guard lock(mutex_);
  if (Outcome watched = watch_nodes(now); !watched.ok()) return watched.error();
  std::vector<std::string> due;
  for (const auto& [from, record] : replacing_) {
    const auto pause = replacement_pauses_.find(from);
    if (pause == replacement_pauses_.end() || now.monotonic_ms >= pause->second) due.push_back(from);
  }
  std::vector<ReshareJob> started;
  for (const std::string& from : due) {
    if (Outcome stepped = step_replacement(now, from, room - std::min(room, started.size()), started);
        !stepped.ok()) {
      if (started.empty()) return stepped.error();
      break;  // those that were begun are begun
    }
  }
  return started;
}

}  // namespace ssn::controller
