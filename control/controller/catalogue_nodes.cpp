// SPDX-License-Identifier: BSD-3-Clause
// What nodes do, and what operators see of them: docs/controller.md, "Nodes".
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "catalogue.h"

namespace ssn::controller {
namespace {

std::string shown(std::uint64_t id) { return fmt::format("object {:016x}", id); }

Error unknown_node(const char* what, const std::string& node) {
  return {Exit::not_found, what, "the node is not registered", node, "register it first"};
}

const Holder* holder_of(const Object& object, const std::string& node) {
  const auto found = std::find_if(object.layout.holders.begin(), object.layout.holders.end(),
                                  [&](const Holder& holder) { return holder.node == node; });
  return found == object.layout.holders.end() ? nullptr : &*found;
}

bool is_over(const Object& object) { return object.state >= ObjectState::deleting; }

// What a holder of now, of before or of a re-sharing that runs is to do with a generation.
Result<Verdict> verdict_of(Transaction& reads, const ObjectRecord& record, const std::string& node,
                           const ObjectKey& key) {
  const Object& object = record.object;
  if (object.generation == key.generation && holder_of(object, node) != nullptr) {
    return is_over(object) ? Verdict::remove : Verdict::keep;
  }
  if (record.job != 0) {
    const Result<std::optional<ReshareJob>> job = reads.get<ReshareJob>(keys::job(record.job));
    if (!job.ok()) {
      return job.error();
    }
    const bool builds = job.value() && job.value()->target_generation == key.generation &&
                        job.value()->step < ReshareStep::undo;
    if (builds && std::any_of(job.value()->target.holders.begin(), job.value()->target.holders.end(),
                              [&](const Holder& holder) { return holder.node == node; })) {
      return Verdict::keep;
    }
  }
  const bool before = std::find(record.former.begin(), record.former.end(), node) != record.former.end();
  const std::uint64_t last = std::max(record.last_generation, object.generation);
  return (object.generation == key.generation && before) ||
                 (object.generation != key.generation && key.generation != 0 && key.generation <= last)
             ? Verdict::remove
             : Verdict::unknown;
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
          state.record.out,
          is_up(state, now),
          health.read_only,
          health.capacity_bytes,
          health.used_bytes,
          health.objects,
          health.wall_ms};
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
  NodeRecord record{registration, known != nodes_.end() && known->second.record.out, now.wall_ms};
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
  if (const std::string why = contradiction(node, registration.labels);
      !why.empty() && may_alarm(fmt::format("labels {}", node), now)) {
    if (Outcome noted = note(changes, now, true, "labels_contradict", node, why); !noted.ok()) {
      return noted.error();
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

// The removal of one share is durable at its holder.
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
  changes.erase(keys::removal(node, key));
  changes.erase(keys::holding(node, key));
  ++confirmed;
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
    if (back.value() && may_alarm(fmt::format("association {} {}", node, report.peer), now)) {
      if (Outcome noted =
              note(changes, now, true, "association_went_back", node,
                   fmt::format("its epoch or a mark with {} is below what it said before: an old or "
                               "copied disk",
                               report.peer));
          !noted.ok()) {
        return noted;
      }
    }
  }
  return done;
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
  if (Outcome taken = take_associations(changes, node, report.associations, now); !taken.ok()) {
    return taken.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  counts_.removals -= confirmed;
  known->second.health = {
      true,           now.monotonic_ms, now.wall_ms, report.capacity_bytes, report.used_bytes,
      report.objects, report.read_only};
  ReportAnswer answer{policy_.report_ms, {}, {}};
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
  if (!record.value() || record.value()->object.generation != key.generation ||
      (record.value()->object.ssa != node && holder_of(record.value()->object, node) == nullptr)) {
    return Error{Exit::not_found, what, "this node has nothing to do with such an object", shown(key.object),
                 "see that the owner named the right SSA"};
  }
  Object object = std::move(record.value()->object);
  fill_in(object, now);
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
  object.size = report.size;
  object.size_known = true;
  object.cells = report.cells;
  object.attempts = report.attempts;
  // It never rises: what was weaker once stays so.
  object.protection = told ? std::min(object.protection, report.protection) : report.protection;
  for (const ShareSeal& seal : report.shares) {
    Holder& holder = object.layout.holders[seal.share - 1];
    if (holder.state != ShareState::sealed) {
      holder.state = seal.sealed ? ShareState::sealed : ShareState::failed;
      holder.trouble = seal.sealed ? "" : seal.trouble;
    }
  }
  const std::uint32_t count = count_of(object.layout, ShareState::sealed);
  if (object.state == ObjectState::writing && count >= object.layout.minimum) {
    object.state = ObjectState::sealed;
  }
  changes.put(keys::object(object.id), record);
  if (Outcome committed = changes.commit(); !committed.ok()) {
    return committed.error();
  }
  if (const auto write = open_.find(object.id); write != open_.end()) {
    write->second.lease_end_ms = now.monotonic_ms + policy_.lease_ms;
  }
  return SealedAnswer{count, object.layout.quorum, object.layout.minimum, object.state};
}

Result<HoldingPage> Catalogue::holdings(const std::string& node, std::uint64_t after, std::size_t limit) {
  const std::string prefix = keys::holdings(node);
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::lock_guard lock(mutex_);
  const std::string from =
      after == 0 ? prefix : keys::end_of(keys::holding(node, {after, 0}).substr(0, prefix.size() + 8));
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(prefix), most);
  if (!rows.ok()) {
    return rows.error();
  }
  std::vector<Row> found = rows.value();
  if (found.size() == most) {  // a page ends with the last generation of an object, not between two
    const std::string last = found.back().key;
    const Result<std::vector<Row>> more =
        database_.scan(last + '\0', keys::end_of(last.substr(0, prefix.size() + 8)), page_max);
    if (!more.ok()) {
      return more.error();
    }
    found.insert(found.end(), more.value().begin(), more.value().end());
  }
  Transaction reads(database_);
  HoldingPage page;
  for (const Row& row : found) {
    const ObjectKey key{keys::number_at(row.key, prefix.size()), keys::number_at(row.key, prefix.size() + 8)};
    const Result<NumberRecord> share = decode<NumberRecord>(row.key, row.value);
    const Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(key.object));
    if (!share.ok() || !record.ok()) {
      return share.ok() ? record.error() : share.error();
    }
    if (record.value()) {
      const Object& object = record.value()->object;
      page.holdings.push_back({key, static_cast<std::uint32_t>(share.value().number), object.state,
                               object.cells, object.cell_bytes});
    }
  }
  if (rows.value().size() == most) {
    page.next = keys::number_at(rows.value().back().key, prefix.size());
  }
  return page;
}

Result<std::vector<Verdict>> Catalogue::compare(Now now, const std::string& node,
                                                const std::vector<ObjectKey>& found) {
  constexpr const char* what = "cannot compare what the node holds";
  if (found.size() > page_max) {
    return Error{Exit::usage, what, fmt::format("{} objects at once are the most", page_max), "found",
                 "ask several times"};
  }
  const std::lock_guard lock(mutex_);
  if (nodes_.find(node) == nodes_.end()) {
    return unknown_node(what, node);
  }
  Transaction reads(database_);
  std::vector<Verdict> verdicts;
  for (const ObjectKey& key : found) {
    const Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(key.object));
    if (!record.ok()) {
      return record.error();
    }
    Result<Verdict> verdict = Verdict::unknown;
    if (record.value()) {
      verdict = verdict_of(reads, *record.value(), node, key);
      if (!verdict.ok()) {
        return verdict.error();
      }
    }
    verdicts.push_back(verdict.value());
  }
  const auto unknown = std::count(verdicts.begin(), verdicts.end(), Verdict::unknown);
  if (unknown != 0 && may_alarm(fmt::format("holdings {}", node), now)) {
    Transaction changes(database_);
    if (Outcome noted = note(changes, now, true, "unknown_holdings", node,
                             fmt::format("it holds {} of {} objects that the catalogue never heard of",
                                         unknown, found.size()));
        !noted.ok()) {
      return noted.error();
    }
    if (Outcome committed = changes.commit(); !committed.ok()) {
      return committed.error();
    }
  }
  return verdicts;
}

Result<std::vector<Node>> Catalogue::nodes(Now now) {
  const std::lock_guard lock(mutex_);
  std::vector<Node> all;
  for (const auto& [name, state] : nodes_) {
    all.push_back(describe(name, state, now));
  }
  return all;
}

Result<Node> Catalogue::set_node(Now now, const std::string& node, bool out) {
  constexpr const char* what = "cannot change the node";
  const std::lock_guard lock(mutex_);
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) {
    return unknown_node(what, node);
  }
  if (known->second.record.out != out) {
    Transaction changes(database_);
    NodeRecord record = known->second.record;
    record.out = out;
    changes.put(keys::node(node), record);
    if (Outcome noted = note(changes, now, false, out ? "node_out" : "node_in", node, "by an operator");
        !noted.ok()) {
      return noted.error();
    }
    if (Outcome committed = changes.commit(); !committed.ok()) {
      return committed.error();
    }
    known->second.record = std::move(record);
  }
  return describe(node, known->second, now);
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
