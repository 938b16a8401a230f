// SPDX-License-Identifier: BSD-3-Clause
// What begins by itself: lost shares are made again, old ones are renewed: docs/controller.md, "Re-sharing".
// Two indices say which objects are due; they change with the objects' records, in the same transaction.
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"
#include "check.h"
#include "cut_text.h"

namespace ssn::controller {
namespace {

constexpr std::size_t attempts_at_once = 64;         // to begin with jobs
constexpr std::uint64_t pause_ms = 2'000;            // between passes
constexpr std::uint64_t troubled_pause_ms = 30'000;  // after one in which something could not be begun with
constexpr std::uint64_t first_retry_ms = 60'000;     // after a job that was undone, then twice as long, ...
constexpr std::uint64_t last_retry_ms = 3'600'000;
constexpr std::uint64_t clock_saved_each_ms = 60'000;
constexpr std::size_t adopted_at_once = 256;

// Where the object stands among those that are short of shares, most urgent first. Empty: it is not, or too
// few are left to make others from.
std::string repair_key(const ObjectRecord& record) {
  const Object& object = record.object;
  const std::uint32_t sealed = count_of(object.layout, ShareState::sealed);
  return object.state == ObjectState::committed && sealed < object.layout.n && sealed >= object.layout.k
             ? keys::repair(sealed - object.layout.k, object.id)
             : "";
}

// The same by the age of its generation. Empty: there is nothing that could be renewed.
std::string age_key(const ObjectRecord& record) {
  const Object& object = record.object;
  const bool some = object.state == ObjectState::committed && object.cells != 0;
  return some && secrecy_threshold(object.layout) != 0 ? keys::age(object.generation_ms, object.id) : "";
}

Error gone(const Row& row) {
  return {Exit::integrity, "cannot read the catalogue", "an object that an index names is not there",
          fmt::format("object {:016x}", keys::number_at(row.key, row.key.size() - 8)),
          "restore the database from a copy: docs/controller.md"};
}

}  // namespace

// Time as shares age. While the controller runs no change of the wall clock counts; from one run to the next
// it is all there is, and one that went back counts as standing still.
std::uint64_t Catalogue::clock_ms(Now now) const noexcept {
  return clock_base_ms_ + now.since_ms(opened_ms_);
}

Outcome Catalogue::save_clock(Now now) {
  if (clock_saved_ms_ != 0 && now.since_ms(clock_saved_ms_) < clock_saved_each_ms) return done;
  Transaction changes(database_);
  changes.put(keys::clock(), ClockRecord{clock_ms(now), now.wall_ms});
  if (Outcome committed = changes.commit(); !committed.ok()) return committed;
  clock_saved_ms_ = std::max<std::uint64_t>(now.monotonic_ms, 1);
  return done;
}

// After opened_ms_ is known.
Outcome Catalogue::load_upkeep(Now now) {
  Transaction reads(database_);
  const Result<std::optional<ClockRecord>> clock = reads.get<ClockRecord>(keys::clock());
  Result<MetaRecord> meta = reads.get_or_new<MetaRecord>(keys::meta());
  if (!clock.ok() || !meta.ok()) return clock.ok() ? meta.error() : clock.error();
  clock_base_ms_ = now.wall_ms;
  if (clock.value()) {
    const std::uint64_t away = now.wall_ms - std::min(now.wall_ms, clock.value()->wall_ms);
    clock_base_ms_ = clock.value()->clock_ms + away;
  }
  if (meta.value().indexed) return done;
  if (Outcome indexed = index_objects(now); !indexed.ok()) return indexed;
  meta.value().indexed = true;
  Transaction changes(database_);
  changes.put(keys::meta(), meta.value());
  return changes.commit();
}

// Of a database of before there were indices. Begun again where it was broken off.
Outcome Catalogue::index_objects(Now now) {
  std::optional<Transaction> changes(database_);
  std::size_t count = 0;
  const Outcome outcome = for_each_row(database_, keys::object(0), keys::end_of("o"), [&](const Row& row) {
    Result<ObjectRecord> record = decode<ObjectRecord>(row.key, row.value);
    if (!record.ok()) return Outcome(record.error());
    ObjectRecord& its = record.value();
    if (its.object.state != ObjectState::committed) return Outcome(done);
    if (its.object.generation_ms == 0)
      its.object.generation_ms = std::min(its.object.committed_ms, now.wall_ms);
    if (const std::string key = age_key(its); !key.empty()) changes->put(key, NumberRecord{its.object.id});
    if (const std::string key = repair_key(its); !key.empty()) {
      changes->put(key, RepairRecord{clock_ms(now), 0, 0, false});
    }
    changes->put(row.key, its);
    if (++count % adopted_at_once != 0) return Outcome(done);
    Outcome committed = changes->commit();
    changes.emplace(database_);
    return committed;
  });
  return outcome.ok() ? changes->commit() : outcome;
}

// Wherever an object's state, generation or holders change.
Outcome Catalogue::put_object(Transaction& changes, Now now, const ObjectRecord& record) {
  const std::string place = keys::object(record.object.id);
  const Result<std::optional<ObjectRecord>> before = changes.get<ObjectRecord>(place);
  if (!before.ok()) return before.error();
  changes.put(place, record);
  const std::string age = age_key(record);
  const std::string old_age = before.value() ? age_key(*before.value()) : "";
  if (age != old_age) {
    if (!old_age.empty()) changes.erase(old_age);
    if (!age.empty()) changes.put(age, NumberRecord{record.object.id});
  }
  const std::string repair = repair_key(record);
  const std::string old_repair = before.value() ? repair_key(*before.value()) : "";
  if (repair == old_repair) return done;
  RepairRecord since{clock_ms(now), 0, 0, false};
  if (!old_repair.empty()) {  // it is short of shares for as long as it was
    const Result<std::optional<RepairRecord>> old = changes.get<RepairRecord>(old_repair);
    if (!old.ok()) return old.error();
    if (old.value()) since.since_ms = std::min(since.since_ms, old.value()->since_ms);
    changes.erase(old_repair);
  }
  if (!repair.empty()) {
    changes.put(repair, since);
    if (repair < repairs_next_) repairs_next_.clear();  // more urgent than those of the pass that come
  }
  return done;
}

// It is not begun again at once; where somebody cancelled it, not by itself at all before the object's shares
// change.
Outcome Catalogue::note_undone(Transaction& changes, Now now, const ReshareJob& job, ObjectRecord& record) {
  if (job.operation == ReshareOperation::refresh) record.refresh_failed_ms = clock_ms(now);
  const std::string key = repair_key(record);
  if (job.operation != ReshareOperation::repair || key.empty()) return done;
  Result<std::optional<RepairRecord>> repair = changes.get<RepairRecord>(key);
  if (!repair.ok()) return repair.error();
  if (!repair.value()) return done;
  ++repair.value()->tries;
  repair.value()->tried_ms = clock_ms(now);
  repair.value()->held = job.cancel;
  changes.put(key, *repair.value());
  return done;
}

bool Catalogue::is_due(Now now, const RepairRecord& record) const noexcept {
  const std::uint64_t clock = clock_ms(now);
  if (record.held) return false;
  if (record.tries == 0) return clock >= record.since_ms + policy_.repair_after_ms;
  const std::uint64_t wait = first_retry_ms << std::min<std::uint64_t>(record.tries - 1, 10);
  return clock >= record.tried_ms + std::min(wait, last_retry_ms);
}

// One of its lost shares; another one where that cannot be.
Result<ReshareJob> Catalogue::start_repair(Now now, const Object& object) {
  std::optional<Error> why;
  for (std::uint32_t share = 1; share <= object.layout.n; ++share) {
    if (object.layout.holders[share - 1].state == ShareState::sealed) continue;
    ReshareRequest request;
    request.operation = ReshareOperation::repair;
    request.object = object.id;
    request.share = share;
    request.reason = "it is lost: [reshare] repair_after";
    Transaction changes(database_);
    Result<ReshareJob> job = start_job(changes, now, request);
    if (job.ok()) return job;
    if (!why) why = job.error();
  }
  return why.value_or(Error{Exit::refused, "cannot repair the object", "nothing of it is lost",
                            fmt::format("object {:016x}", object.id), "report this as a bug"});
}

// Some of those that are due, from where the pass is.
Outcome Catalogue::step_repairs(Now now, std::size_t room, std::vector<ReshareJob>& started) {
  repairs_wait_ = false;
  if (policy_.repair_after_ms == 0 || now.monotonic_ms < repairs_pause_ms_) return done;
  const std::string all(keys::all_repairs);
  const Result<std::vector<Row>> rows =
      database_.scan(repairs_next_.empty() ? all : repairs_next_, keys::end_of(all), page_max);
  if (!rows.ok()) return rows.error();
  std::size_t attempts = 0;
  for (const Row& row : rows.value()) {
    const Result<RepairRecord> record = decode<RepairRecord>(row.key, row.value);
    if (!record.ok()) return record.error();
    if (is_due(now, record.value())) {
      Transaction reads(database_);
      const Result<std::optional<ObjectRecord>> object =
          reads.get<ObjectRecord>(keys::object(keys::number_at(row.key, row.key.size() - 8)));
      if (!object.ok() || !object.value()) return object.ok() ? gone(row) : object.error();
      if (object.value()->job == 0) {
        repairs_wait_ = room == 0;
        if (room == 0 || attempts++ == attempts_at_once) {
          repairs_next_ = row.key;
          return done;
        }
        Result<ReshareJob> job = start_repair(now, object.value()->object);
        repairs_troubled_ = repairs_troubled_ || !job.ok();
        if (job.ok()) {
          started.push_back(std::move(job.value()));
          --room;
        }
      }
    }
    repairs_next_ = row.key + '\0';
  }
  if (rows.value().size() == page_max) return done;
  repairs_pause_ms_ = now.monotonic_ms + (repairs_troubled_ ? troubled_pause_ms : pause_ms);
  repairs_troubled_ = false;
  repairs_next_.clear();
  return done;
}

// The oldest first.
Outcome Catalogue::step_refreshes(Now now, std::size_t room, std::vector<ReshareJob>& started) {
  const std::uint64_t clock = clock_ms(now);
  const std::uint64_t every = policy_.refresh_every_ms;
  if (every == 0 || clock < every || room == 0 || now.monotonic_ms < refreshes_pause_ms_) return done;
  const std::string from = refreshes_next_.empty() ? std::string(keys::all_ages) : refreshes_next_;
  const Result<std::vector<Row>> rows =
      database_.scan(from, keys::age(clock - every + 1, 0), attempts_at_once);
  if (!rows.ok()) return rows.error();
  for (const Row& row : rows.value()) {
    if (room == 0) return done;
    refreshes_next_ = row.key + '\0';
    ReshareRequest request;
    request.operation = ReshareOperation::refresh;
    request.object = keys::number_at(row.key, row.key.size() - 8);
    request.reason = "its shares are old: [reshare] refresh_every";
    Transaction changes(database_);
    const Result<std::optional<ObjectRecord>> object =
        changes.get<ObjectRecord>(keys::object(request.object));
    if (!object.ok() || !object.value()) return object.ok() ? gone(row) : object.error();
    const std::uint64_t failed = object.value()->refresh_failed_ms;
    if (object.value()->job != 0 || (failed != 0 && clock < failed + every / 4)) continue;
    Result<ReshareJob> job = start_job(changes, now, request);
    refreshes_troubled_ = refreshes_troubled_ || !job.ok();
    if (job.ok()) {
      started.push_back(std::move(job.value()));
      --room;
    }
  }
  if (rows.value().size() == attempts_at_once) return done;
  refreshes_pause_ms_ = now.monotonic_ms + (refreshes_troubled_ ? troubled_pause_ms : pause_ms);
  refreshes_troubled_ = false;
  refreshes_next_.clear();
  return done;
}

Result<std::vector<ReshareJob>> Catalogue::step_upkeep(Now now, const UpkeepRoom& room) {
  const std::lock_guard lock(mutex_);
  std::vector<ReshareJob> started;
  // Replacements keep half of it: what they move is at risk, too.
  const std::size_t repairs = replacing_.empty() ? room.repairs : (room.repairs + 1) / 2;
  Outcome stepped = step_repairs(now, repairs, started);
  // A replacement that found nothing to begin with waits for others, not for its turn.
  const bool replaces = std::any_of(replacing_.begin(), replacing_.end(),
                                    [](const auto& each) { return each.second.trouble.empty(); });
  if (stepped.ok() && started.empty() && !repairs_wait_ && !replaces) {
    stepped = step_refreshes(now, room.refreshes, started);
  }
  if (!stepped.ok() && started.empty()) return stepped.error();
  return started;  // those that were begun are begun
}

// Behind by more than a quarter of what the policy says.
Outcome Catalogue::watch_refreshes(Now now) {
  const std::uint64_t every = policy_.refresh_every_ms;
  std::uint64_t age = 0;
  std::uint64_t object = 0;
  if (every != 0) {
    const std::string all(keys::all_ages);
    const Result<std::vector<Row>> oldest = database_.scan(all, keys::end_of(all), 1);
    if (!oldest.ok()) return oldest.error();
    if (!oldest.value().empty()) {
      const std::uint64_t since = keys::number_at(oldest.value()[0].key, 1);
      age = clock_ms(now) - std::min(clock_ms(now), since);
      object = keys::number_at(oldest.value()[0].key, 9);
    }
  }
  const bool late = every != 0 && age > every + every / 4;
  monitor_.set("refresh_late", "network", "", late,
               late ? fmt::format("shares of object {:016x} are {} s old, {} s is the policy", object,
                                  age / 1000, every / 1000)
                    : "",
               now.monotonic_ms);
  return done;
}

Result<Upkeep> Catalogue::upkeep(Now now) {
  const std::lock_guard lock(mutex_);
  Upkeep upkeep;
  upkeep.repair_after_ms = policy_.repair_after_ms;
  upkeep.refresh_every_ms = policy_.refresh_every_ms;
  const std::string all(keys::all_repairs);
  const Result<std::vector<Row>> lost = database_.scan(all, keys::end_of(all), page_max);
  const std::string ages(keys::all_ages);
  const Result<std::vector<Row>> oldest = database_.scan(ages, keys::end_of(ages), 1);
  if (!lost.ok() || !oldest.ok()) return lost.ok() ? oldest.error() : lost.error();
  upkeep.lost = lost.value().size();
  for (const Row& row : lost.value()) {
    const Result<RepairRecord> record = decode<RepairRecord>(row.key, row.value);
    if (!record.ok()) return record.error();
    upkeep.held += record.value().held ? 1 : 0;
  }
  const std::uint64_t clock = clock_ms(now);
  if (!oldest.value().empty()) {
    upkeep.oldest_ms = clock - std::min(clock, keys::number_at(oldest.value()[0].key, 1));
  }
  if (policy_.refresh_every_ms == 0 || clock < policy_.refresh_every_ms) return upkeep;
  const Result<std::vector<Row>> old =
      database_.scan(ages, keys::age(clock - policy_.refresh_every_ms + 1, 0), page_max);
  if (!old.ok()) return old.error();
  upkeep.old = old.value().size();
  return upkeep;
}

}  // namespace ssn::controller
