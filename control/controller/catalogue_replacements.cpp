// SPDX-License-Identifier: BSD-3-Clause
// A node's shares go to others: object by object, a page at a time, until a whole pass finds none there.
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"
#include "check.h"
#include "cut_text.h"

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

// Whether the node has a share, or is to have one, that nobody ordered it to erase.
Result<bool> Catalogue::is_held(Transaction& reads, const std::string& node, const ObjectKey& key,
                                const std::optional<ObjectRecord>& record) const {
  if (!record || record->object.state >= ObjectState::deleting) return false;
  const Object& object = record->object;
  if (object.generation == key.generation &&
      std::any_of(object.layout.holders.begin(), object.layout.holders.end(),
                  [&](const Holder& holder) { return holder.node == node; })) {
    return true;
  }
  if (record->job == 0) return false;
  const Result<std::optional<NumberRecord>> ordered = reads.get<NumberRecord>(keys::removal(node, key));
  return ordered.ok() ? Result<bool>(!ordered.value()) : ordered.error();
}

Outcome Catalogue::load_replacements() {
  const std::string settled(keys::all_settled);
  Outcome read = for_each_row(database_, settled, keys::end_of(settled), [&](const Row& row) {
    settled_.insert(row.key.substr(1));
    return Outcome(done);
  });
  if (!read.ok()) return read;
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
  const std::size_t at = keys::holdings(from).size();
  ReplacementPlan plan;
  plan.replacement.from = from;
  plan.replacement.to = to;
  const Result<std::vector<Row>> rows = holding_rows(from, after, most, plan.next);
  if (!rows.ok()) return rows.error();
  Transaction reads(database_);
  std::uint64_t last = 0;
  for (const Row& row : rows.value()) {
    const ObjectKey key{keys::number_at(row.key, at), keys::number_at(row.key, at + 8)};
    const Result<std::optional<ObjectRecord>> object = reads.get<ObjectRecord>(keys::object(key.object));
    if (!object.ok()) return object.error();
    const Result<bool> held = is_held(reads, from, key, object.value());
    if (!held.ok()) return held.error();
    if (!held.value() || key.object == last) continue;
    last = key.object;
    ReshareRequest request;
    request.object = key.object;
    request.away = from;
    request.to = to;
    Result<ReshareJob> job = plan_job(reads, now, request);
    if (job.ok()) {
      plan.planned.push_back(view_of(job.value(), 0));
    } else if (job.error().code != Exit::not_found) {
      plan.troubles.push_back({request.object, job.error().why});
    }
  }
  return plan;
}

Result<Replacement> Catalogue::replace_node(Now now, const std::string& from, const std::string& to,
                                            const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (Outcome checked = check_replacement(from, to); !checked.ok()) return checked.error();
  if (const auto runs = replacing_.find(from); runs != replacing_.end()) {
    if (runs->second.to == to) return shown(from, runs->second);  // again
    return Error{
        Exit::refused, what,
        fmt::format("its shares go to {} already", runs->second.to.empty() ? "others" : runs->second.to),
        from, "cancel that first"};
  }
  Transaction changes(database_);
  ReplacementRecord record{to, alarms::cut_text(reason, text_max), 0, 0, 0, "", now.wall_ms, false};
  changes.put(keys::replacement(from), record);
  std::optional<ConfigurationVersion> version;
  Policy policy;
  if (!is_out(from)) {  // or new shares would come
    Result<ConfigurationVersion> changed =
        put_service(changes, now, from, ServiceState::out_of_service, reason, policy);
    if (!changed.ok()) return changed.error();
    version = std::move(changed.value());
  }
  if (Outcome noted = note(changes, now, false, "replacement_started", from, reason); !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  if (version) follow(now, std::move(*version), policy);
  return shown(from, replacing_[from] = std::move(record));
}

Outcome Catalogue::end_replacement(Now now, const std::string& from, const char* kind,
                                   const std::string& text) {
  const auto node = nodes_.find(from);
  std::string why;
  const bool down = node != nodes_.end() && (!is_up(node->second, now) || failed_for(now, from, why));
  Transaction changes(database_);
  changes.erase(keys::replacement(from));
  if (down) changes.put(keys::settled(from), NumberRecord{now.wall_ms});
  if (Outcome noted = note(changes, now, false, kind, from, text); !noted.ok()) return noted;
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  if (down) settled_.insert(from);
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

// By policy: a shareholder about which an alarm stands for long that says it failed is replaced, until the
// alarm is cleared. Once: it has rows as long as it cannot confirm that it erased, and an operator may not
// want it.
Outcome Catalogue::watch_node(Now now, const std::string& name, const NodeState& state) {
  std::string why;
  const std::optional<std::uint64_t> failed = failed_for(now, name, why);
  const bool good = is_up(state, now) && !failed;
  if (good && settled_.contains(name)) {
    Transaction changes(database_);
    changes.erase(keys::settled(name));
    if (Outcome committed = changes.commit(); !committed.ok()) return committed;
    settled_.erase(name);
  }
  if (const auto found = replacing_.find(name); found != replacing_.end()) {
    return found->second.automatic && good
               ? end_replacement(now, name, "replacement_cancelled", "it is back; jobs that run go on")
               : done;
  }
  const bool back = why == "node_down" && is_up(state, now);
  if (policy_.reshare_after_ms == 0 || !failed || *failed < policy_.reshare_after_ms || back ||
      settled_.contains(name) || !state.record.registration.roles.has(pki::Role::shareholder)) {
    return done;
  }
  const std::string prefix = keys::holdings(name);
  const Result<std::vector<Row>> any = database_.scan(prefix, keys::end_of(prefix), 1);
  if (!any.ok()) return any.error();
  if (any.value().empty()) return done;
  Transaction changes(database_);
  ReplacementRecord record{"", fmt::format("alarm {}", why), 0, 0, 0, "", now.wall_ms, true};
  changes.put(keys::replacement(name), record);
  if (Outcome noted = note(changes, now, false, "replacement_started", name,
                           fmt::format("the alarm {} stands for too long", why));
      !noted.ok()) {
    return noted;
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  replacing_[name] = std::move(record);
  return done;
}

Outcome Catalogue::watch_nodes(Now now) {
  if (Outcome read = refresh_alarms(now); !read.ok()) return read;
  for (const auto& [name, state] : nodes_) {
    if (Outcome watched = watch_node(now, name, state); !watched.ok()) return watched;
  }
  return done;
}

Outcome Catalogue::step_replacement(Now now, const std::string& from, std::size_t room,
                                    std::vector<ReshareJob>& started) {
  ReplacementRecord record = replacing_[from];
  const std::size_t at = keys::holdings(from).size();
  std::uint64_t next = 0;
  const Result<std::vector<Row>> rows = holding_rows(from, record.after, objects_at_once, next);
  if (!rows.ok()) return rows.error();
  bool whole = next == 0;
  std::uint64_t last = 0;
  for (const Row& row : rows.value()) {
    const ObjectKey key{keys::number_at(row.key, at), keys::number_at(row.key, at + 8)};
    Transaction changes(database_);
    const Result<std::optional<ObjectRecord>> object = changes.get<ObjectRecord>(keys::object(key.object));
    if (!object.ok()) return object.error();
    const Result<bool> held = is_held(changes, from, key, object.value());
    if (!held.ok()) return held.error();
    if (!held.value() || key.object == last) continue;
    if (object.value()->object.state == ObjectState::committed && object.value()->job == 0) {
      if (room == 0) {  // here again when there is
        next = key.object - 1;
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
        record.trouble =
            alarms::cut_text(fmt::format("object {:016x}: {}", key.object, job.error().why), text_max);
      }
    }
    last = key.object;
    ++record.left;
  }
  record.after = next;
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
