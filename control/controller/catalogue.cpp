// SPDX-License-Identifier: BSD-3-Clause
// What all parts of the catalogue use, what it does at start and from time to time.
#include "catalogue.h"

#include <fmt/core.h>

#include <algorithm>

#include "check.h"
#include "cut_text.h"

namespace ssn::controller {
namespace {

constexpr std::uint64_t note_again_ms = 60'000;
constexpr std::size_t noted_max = 1024;
constexpr std::size_t forgotten_at_once = 100;

}  // namespace

Result<std::unique_ptr<Catalogue>> Catalogue::open(Database& database, const Policy& first, Random random,
                                                   Now now) {
  std::unique_ptr<Catalogue> catalogue(new Catalogue(database, std::move(random)));
  if (Outcome loaded = catalogue->load(now, first); !loaded.ok()) {
    return loaded.error();
  }
  if (Outcome durable = database.sync(database.commits()); !durable.ok()) {
    return durable.error();
  }
  return catalogue;
}

Outcome Catalogue::load_meta() {
  Transaction changes(database_);
  Result<std::optional<MetaRecord>> meta = changes.get<MetaRecord>(keys::meta());
  if (!meta.ok()) {
    return meta.error();
  }
  if (meta.value()) {
    catalogue_id_ = meta.value()->catalogue;
    database_.set_last_event(meta.value()->next_event - 1);
    return done;
  }
  MetaRecord fresh;
  fresh.bytes_counted = true;
  fresh.indexed = true;
  random_(fresh.catalogue.data(), fresh.catalogue.size());
  catalogue_id_ = fresh.catalogue;
  changes.put(keys::meta(), fresh);
  return changes.commit();
}

Outcome Catalogue::count(std::string_view prefix, std::uint64_t& into) {
  const std::string from(prefix);
  return for_each_row(database_, from, keys::end_of(from), [&](const Row&) {
    ++into;
    return Outcome(done);
  });
}

Outcome Catalogue::load(Now now, const Policy& first) {
  if (Outcome checked = check_records(database_); !checked.ok()) {
    return checked;
  }
  if (Outcome adopted = database_.adopt(); !adopted.ok()) {
    return adopted;
  }
  if (Outcome loaded = load_meta(); !loaded.ok()) {
    return loaded;
  }
  if (Outcome counted = count(keys::all_names, counts_.objects); !counted.ok()) {
    return counted;
  }
  if (Outcome counted = count(keys::all_removals, counts_.removals); !counted.ok()) {
    return counted;
  }
  if (Outcome counted = count(keys::all_running, running_jobs_); !counted.ok()) {
    return counted;
  }
  opened_ms_ = ticked_ms_ = now.monotonic_ms;
  if (Outcome loaded = load_upkeep(now); !loaded.ok()) {
    return loaded;
  }
  if (Outcome loaded = load_replacements(); !loaded.ok()) {
    return loaded;
  }
  // Bounded: nodes by their limit, open writes by that of each owner.
  constexpr std::size_t all = ~std::size_t{0} >> 1U;
  const Result<std::vector<Row>> nodes =
      database_.scan(keys::all_nodes, keys::end_of(std::string(keys::all_nodes)), all);
  const Result<std::vector<Row>> writes =
      database_.scan(keys::all_open, keys::end_of(std::string(keys::all_open)), all);
  if (!nodes.ok() || !writes.ok()) {
    return nodes.ok() ? writes.error() : nodes.error();
  }
  for (const Row& row : nodes.value()) {
    Result<NodeRecord> record = decode<NodeRecord>(row.key, row.value);
    if (!record.ok()) {
      return record.error();
    }
    nodes_[row.key.substr(1)].record = std::move(record.value());
  }
  if (Outcome loaded = load_configuration(now, first); !loaded.ok()) {
    return loaded;
  }
  if (Outcome counted = count_bytes(); !counted.ok()) {
    return counted;
  }
  if (Outcome loaded = load_alarms(now); !loaded.ok()) {
    return loaded;
  }
  Transaction reads(database_);
  for (const Row& row : writes.value()) {
    const std::uint64_t id = keys::number_at(row.key, 1);
    const Result<std::optional<ObjectRecord>> record = reads.get<ObjectRecord>(keys::object(id));
    if (!record.ok()) {
      return record.error();
    }
    if (!record.value()) {
      return Error{Exit::integrity, "cannot read the catalogue", "an open write has no object",
                   fmt::format("object {:016x}", id), "restore the database from a copy: docs/controller.md"};
    }
    note_open(record.value()->object, now);
  }
  return done;
}

void Catalogue::note_open(const Object& object, Now now) {
  open_[object.id] = {now.monotonic_ms + policy_.lease_ms, object.generation, object.ssa};
  ++load_[object.ssa];
}

void Catalogue::note_closed(std::uint64_t id) {
  const auto write = open_.find(id);
  if (write == open_.end()) return;
  const auto load = load_.find(write->second.ssa);
  if (--load->second == 0) load_.erase(load);
  open_.erase(write);
}

bool Catalogue::is_up(const NodeState& node, Now now) const {
  // Where reports became more frequent nodes hear of it with their next one.
  const std::uint64_t report_ms =
      now.monotonic_ms < slow_until_ms_ ? slow_report_ms_ : std::uint64_t{policy_.report_ms};
  return node.health.reported && now.since_ms(node.health.monotonic_ms) <= down_after_reports * report_ms;
}

std::string Catalogue::why_not(const std::string& node_name, const NodeState& node, Now now,
                               Purpose purpose) const {
  const ServiceState service = service_of(node_name);
  const bool serves = service == ServiceState::in_service ||
                      (service != ServiceState::out_of_service && purpose == Purpose::named) ||
                      (service == ServiceState::standby && purpose == Purpose::take_over);
  if (!serves) {
    return std::string(name(service));
  }
  return is_up(node, now) ? "" : "down";
}

// Those on standby where no other one is there.
Result<std::string> Catalogue::choose_ssa(Now now, const std::string& wanted, const KeyDemand& keys) const {
  std::map<std::string, std::size_t> load;
  std::string unfit;
  for (const Purpose purpose : {Purpose::write, Purpose::take_over}) {
    for (const auto& [name, state] : nodes_) {
      if (state.record.registration.roles.has(pki::Role::ssa) && (wanted.empty() || wanted == name) &&
          why_not(name, state, now, wanted.empty() ? purpose : Purpose::named).empty()) {
        if (const std::string why = lacks(state.health.key_settings, keys, true); !why.empty()) {
          unfit = fmt::format("{} is {}, as the class asks", name, why);
          continue;
        }
        const auto found = load_.find(name);
        load[name] = found == load_.end() ? 0 : found->second;
      }
    }
    if (!load.empty()) {
      break;
    }
  }
  const auto least = std::min_element(load.begin(), load.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  if (least == load.end() && !unfit.empty()) {
    return Error{Exit::temporary, "cannot choose an SSA", unfit, "random, shortage",
                 "change [ssa] random and shortage of one, or use another class"};
  }
  if (least == load.end()) {
    return Error{Exit::temporary, "cannot choose an SSA",
                 wanted.empty() ? "none is up" : fmt::format("{} is not one that is up", wanted), "",
                 "start one, or name another"};
  }
  return least->first;
}

NodeAddress Catalogue::address_of(const std::string& node) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) {
    return {node, "", {}};
  }
  const Registration& known = found->second.record.registration;
  return {node, known.agent, known.data_addresses};
}

void Catalogue::fill_in(Object& object, Now now) const {
  const std::uint64_t clock = clock_ms(now);
  object.rules.keys = class_of(policy_, object.class_name).keys;
  object.generation_age_ms =
      object.committed_ms != 0 ? clock - std::min(clock, object.generation_ms) : std::uint64_t{0};
  for (Holder& holder : object.layout.holders) {
    if (const auto found = nodes_.find(holder.node); found != nodes_.end()) {
      holder.agent = found->second.record.registration.agent;
      holder.data_addresses = found->second.record.registration.data_addresses;
      holder.up = is_up(found->second, now);
    }
  }
}

bool Catalogue::may_note(const std::string& about, Now now) {
  const auto known = noted_.find(about);
  if (known != noted_.end() && now.since_ms(known->second) < note_again_ms) {
    return false;
  }
  if (known == noted_.end() && noted_.size() >= noted_max) {
    std::erase_if(noted_, [&](const auto& each) { return now.since_ms(each.second) >= note_again_ms; });
    if (noted_.size() >= noted_max) {
      return false;
    }
  }
  noted_[about] = now.monotonic_ms;
  return true;
}

Outcome Catalogue::note(Transaction& changes, Now now, bool alarm, const char* kind,
                        const std::string& subject, const std::string& text) {
  return note(changes, {0, now.wall_ms, alarm, kind, subject, text});
}

Outcome Catalogue::note(Transaction& changes, Event event) {
  event.text = alarms::cut_text(event.text, name_max);
  Result<MetaRecord> meta = changes.get_or_new<MetaRecord>(keys::meta());
  if (!meta.ok()) {
    return meta.error();
  }
  event.number = meta.value().next_event++;
  changes.put(keys::meta(), meta.value());
  changes.put(keys::event(event.number), event);
  if (event.number > events_max) {
    changes.erase(keys::event(event.number - events_max));
  }
  return done;
}

Result<std::vector<Event>> Catalogue::events(std::uint64_t after, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  const Result<std::vector<Row>> rows =
      database_.scan(keys::event(after + 1), keys::end_of(std::string(keys::all_events)),
                     std::clamp<std::size_t>(limit, 1, page_max));
  if (!rows.ok()) {
    return rows.error();
  }
  std::vector<Event> events;
  for (const Row& row : rows.value()) {
    Result<Event> event = decode<Event>(row.key, row.value);
    if (!event.ok()) {
      return event.error();
    }
    events.push_back(std::move(event.value()));
  }
  return events;
}

Result<Status> Catalogue::status() {
  const std::lock_guard lock(mutex_);
  Status status;
  status.objects = counts_.objects;
  status.writes = open_.size();
  status.removals = counts_.removals;
  status.nodes = nodes_.size();
  status.database_trouble = database_.trouble();
  if (Outcome read = refresh_alarms({0, ticked_ms_}); !read.ok()) {
    return read.error();
  }
  status.alarms = alarm_counts_;
  if (database_alarm_) {
    ++status.alarms[static_cast<std::size_t>(database_alarm_->severity)];
  }
  status.jobs = running_jobs_;
  status.replacements = replacing_.size();
  return status;
}

Outcome Catalogue::forget_gone(Now now) {
  const std::uint64_t before = now.wall_ms - std::min(now.wall_ms, policy_.remember_ms);
  const Result<std::vector<Row>> rows =
      database_.scan(keys::all_gone, keys::gone(before, 0), forgotten_at_once);
  if (!rows.ok()) {
    return rows.error();
  }
  Transaction changes(database_);
  for (const Row& row : rows.value()) {
    const std::uint64_t id = keys::number_at(row.key, 9);
    const Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(id));
    if (!record.ok()) {
      return record.error();
    }
    if (record.value()) {
      changes.erase(keys::token(record.value()->object.owner, record.value()->token));
      changes.erase(keys::object(id));
    }
    changes.erase(row.key);
  }
  return changes.commit();
}

Outcome Catalogue::tick(Now now) {
  const std::lock_guard lock(mutex_);
  ticked_ms_ = now.monotonic_ms;
  if (Outcome watched = watch_alarms(now); !watched.ok()) {
    return watched;
  }
  std::vector<std::uint64_t> over;
  for (const auto& [id, write] : open_) {
    if (now.monotonic_ms >= write.lease_end_ms) {
      over.push_back(id);
    }
  }
  for (const std::uint64_t id : over) {
    if (Outcome ended = end_write(now, id, "its lease ran out"); !ended.ok()) {
      return ended;
    }
  }
  if (Outcome written = write_reads(); !written.ok()) {
    return written;
  }
  if (Outcome forgotten = forget_accounts(now); !forgotten.ok()) {
    return forgotten;
  }
  if (Outcome saved = save_clock(now); !saved.ok()) {
    return saved;
  }
  if (Outcome forgotten = forget_jobs(now); !forgotten.ok()) {
    return forgotten;
  }
  return forget_gone(now);
}

}  // namespace ssn::controller
