// SPDX-License-Identifier: BSD-3-Clause
// Jobs of re-sharing, durable: docs/resharing.md, "What the control side does".
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"

namespace ssn::controller {
namespace {

constexpr const char* what = "cannot re-share the object";
constexpr std::size_t forgotten_at_once = 100;

std::string shown(const ReshareJob& job) {
  return fmt::format("object {:016x} of {}, job {:016x}", job.object, job.owner, job.id);
}

std::string about(const ReshareJob& job) {
  return fmt::format("{} of object {:016x}, {}'s {}", name(job.operation), job.object, job.owner, job.name);
}

// Whether the object is still what the job began with.
bool is_subject(const std::optional<ObjectRecord>& record, const ReshareJob& job) {
  return record && record->object.state == ObjectState::committed && record->job == job.id &&
         record->object.generation == job.source_generation;
}

// Of a row of the index.
Result<ReshareJob> running_job(Transaction& reads, const Row& row) {
  const std::uint64_t id = keys::number_at(row.key, 1);
  Result<std::optional<ReshareJob>> job = reads.get<ReshareJob>(keys::job(id));
  if (!job.ok()) return job.error();
  if (!job.value()) {
    return Error{Exit::integrity, "cannot read the catalogue", "a job that runs is not there",
                 fmt::format("job {:016x}", id), "restore the database from a copy: docs/controller.md"};
  }
  return std::move(*job.value());
}

}  // namespace

// Later than any before, and unlike any of a catalogue that was restored from a copy.
Result<std::uint64_t> Catalogue::new_job_id(Transaction& changes, Now now) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::uint8_t bytes[4];
    random_(bytes, sizeof bytes);
    std::uint64_t id = now.wall_ms / 1000;
    for (const std::uint8_t byte : bytes) id = id << 8U | byte;
    const Result<std::optional<ReshareJob>> taken = changes.get<ReshareJob>(keys::job(id));
    if (!taken.ok()) return taken.error();
    if (id != 0 && !taken.value()) return id;
  }
  return Error{Exit::failed, what, "the random generator repeats itself", "", "report this as a bug"};
}

Result<ReshareJob> Catalogue::start_job(Transaction& changes, Now now, const ReshareRequest& request) {
  if (running_jobs_ >= running_jobs_max) {
    return Error{Exit::temporary, what, fmt::format("{} jobs are the most", running_jobs_max), "",
                 "wait until some are over: `ssn reshare list`"};
  }
  Result<ReshareJob> planned = plan_job(changes, now, request);
  if (!planned.ok()) return planned;
  ReshareJob& job = planned.value();
  const Result<std::uint64_t> id = new_job_id(changes, now);
  if (!id.ok()) return id.error();
  job.id = id.value();
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(job.object));
  if (!record.ok()) return record.error();
  record.value()->job = job.id;
  record.value()->last_generation = std::max(record.value()->last_generation, job.target_generation);
  changes.put(keys::object(job.object), *record.value());
  changes.put(keys::job(job.id), job);
  changes.put(keys::running(job.id), NumberRecord{job.object});
  for (std::uint32_t share = 1; share <= job.target.n; ++share) {
    if (!job.concerns(share)) continue;
    changes.put(keys::holding(job.target.holders[share - 1].node, {job.object, job.target_generation}),
                NumberRecord{share});
  }
  if (Outcome noted = note(changes, now, false, "reshare_started", shown(job),
                           fmt::format("{}, {}", name(job.operation), job.reason));
      !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  ++running_jobs_;
  return planned;
}

// One that runs and is what is asked for: the call was repeated.
Result<std::optional<ReshareJob>> Catalogue::same_job(Transaction& changes, const ReshareRequest& request) {
  if (request.object != 0) return std::optional<ReshareJob>();
  const Result<ObjectRecord> record = named_object(changes, request.owner, request.name, what);
  if (!record.ok()) return record.error();
  if (record.value().job == 0) return std::optional<ReshareJob>();
  Result<std::optional<ReshareJob>> job = changes.get<ReshareJob>(keys::job(record.value().job));
  if (!job.ok() || !job.value()) return job;
  const ReshareJob& runs = *job.value();
  const auto fits = [](const std::string& wanted, const Layout& layout, std::uint32_t share) {
    return wanted.empty() || (share != 0 && layout.holders[share - 1].node == wanted);
  };
  const bool same = runs.operation == request.operation && (request.k == 0 || request.k == runs.target.k) &&
                    (request.n == 0 || request.n == runs.target.n) &&
                    fits(request.away, runs.source, runs.share) && fits(request.to, runs.target, runs.share);
  return same ? job : Result<std::optional<ReshareJob>>(std::optional<ReshareJob>());
}

Result<ReshareJob> Catalogue::start_reshare(Now now, const ReshareRequest& request) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  Result<std::optional<ReshareJob>> same = same_job(changes, request);
  if (!same.ok()) return same.error();
  if (same.value()) return std::move(*same.value());
  return start_job(changes, now, request);
}

Outcome Catalogue::save_reshare(const ReshareJob& job) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  if (job.step < ReshareStep::erase) {
    const Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(job.object));
    if (!record.ok()) return record.error();
    if (!is_subject(record.value(), job)) {
      return Error{Exit::refused, what, "the object was removed or replaced", shown(job), "nothing is to do"};
    }
  }
  changes.put(keys::job(job.id), job);
  return changes.commit();
}

// Once, whatever else orders it too.
Outcome Catalogue::order_erasure(Transaction& changes, const std::string& node, const ObjectKey& key,
                                 std::uint64_t& ordered) {
  if (node.empty()) return done;
  const Result<std::optional<NumberRecord>> holds = changes.get<NumberRecord>(keys::holding(node, key));
  const Result<std::optional<NumberRecord>> known = changes.get<NumberRecord>(keys::removal(node, key));
  if (!holds.ok() || !known.ok()) return holds.ok() ? known.error() : holds.error();
  if (!holds.value() || known.value()) return done;
  changes.put(keys::removal(node, key), NumberRecord{1});
  ++ordered;
  return done;
}

Outcome Catalogue::switch_layout(Transaction& changes, const ReshareJob& job, ObjectRecord& record,
                                 std::uint64_t& ordered) {
  Object& object = record.object;
  const ObjectKey before = object.key();
  if (job.same_generation()) {
    Holder& holder = object.layout.holders[job.share - 1];
    const std::string old = holder.node;
    holder = job.target.holders[job.share - 1];
    if (holder.node == old) return done;  // it lost its share and has it again
    if (Outcome gone = order_erasure(changes, old, before, ordered); !gone.ok()) return gone;
    if (!old.empty()) record.former.push_back(old);
    return done;
  }
  for (const Holder& holder : object.layout.holders) {
    if (Outcome gone = order_erasure(changes, holder.node, before, ordered); !gone.ok()) return gone;
  }
  object.generation = job.target_generation;
  object.layout = job.target;
  object.attempts = attempts_of_target(job);
  record.former.clear();
  return done;
}

// The check says something of all shares that took part; moving one says nothing.
Outcome Catalogue::tell_of_commit(Transaction& changes, Now now, const ReshareJob& job) {
  if (job.operation == ReshareOperation::exchange) return done;
  changes.erase(keys::mark("reshare_undone", "network", {job.object, 0}));
  if (!job.unverified) {
    changes.erase(keys::mark("reshare_unverified", "network", {job.object, 0}));
    return done;
  }
  return mark_alarm(changes, now, {"reshare_unverified", "network", ""}, {job.object, 0}, about(job));
}

Result<ReshareJob> Catalogue::commit_reshare(Now now, const ReshareJob& given) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  ReshareJob job = given;
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(job.object));
  if (!record.ok()) return record.error();
  std::uint64_t ordered = 0;
  if (!is_subject(record.value(), job)) {
    job.step = ReshareStep::undo;
    job.trouble = "the object was removed or replaced";
  } else {
    Object& object = record.value()->object;
    const Protection protection =
        job.computational ? std::min(object.protection, Protection::computational) : object.protection;
    if (protection < object.minimum_protection) {
      job.step = ReshareStep::undo;
      job.trouble = fmt::format("it would be protected as {} only, {} was asked for", name(protection),
                                name(object.minimum_protection));
    } else {
      if (Outcome switched = switch_layout(changes, job, *record.value(), ordered); !switched.ok()) {
        return switched.error();
      }
      object.protection = protection;
      job.step = ReshareStep::erase;
      job.trouble.clear();
      if (!job.same_generation()) {
        object.generation_ms = clock_ms(now);
        record.value()->refresh_failed_ms = 0;
      }
      if (Outcome put = put_object(changes, now, *record.value()); !put.ok()) return put.error();
      if (Outcome noted =
              note(changes, now, false, "reshare_committed", shown(job), std::string(name(job.operation)));
          !noted.ok()) {
        return noted.error();
      }
      const std::uint64_t shares = std::uint64_t{job.from.size()} * job.to.size();
      if (Outcome noted =
              note_account(changes, now, AccountOperation::reshare, object, pads_of(object, shares));
          !noted.ok()) {
        return noted.error();
      }
      if (Outcome told = tell_of_commit(changes, now, job); !told.ok()) return told.error();
    }
  }
  changes.put(keys::job(job.id), job);
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  counts_.removals += ordered;
  return job;
}

// The job is over and the object free for another one.
Outcome Catalogue::end_job(Transaction& changes, Now now, ReshareJob& job, ReshareStep step, const char* kind,
                           bool alarm) {
  Result<std::optional<ObjectRecord>> record = changes.get<ObjectRecord>(keys::object(job.object));
  if (!record.ok()) return record.error();
  if (record.value() && record.value()->job == job.id) {
    record.value()->job = 0;
    if (step == ReshareStep::undone && job.same_generation()) {
      record.value()->former.push_back(job.target.holders[job.share - 1].node);
    }
    if (step == ReshareStep::undone) {
      if (Outcome noted = note_undone(changes, now, job, *record.value()); !noted.ok()) return noted;
    }
    changes.put(keys::object(job.object), *record.value());
  }
  job.step = step;
  job.ended_ms = now.wall_ms;
  changes.put(keys::job(job.id), job);
  changes.erase(keys::running(job.id));
  changes.put(keys::over(job.ended_ms, job.id), NumberRecord{job.id});
  const std::string text = job.trouble.empty() ? std::string(name(job.operation)) : job.trouble;
  if (Outcome noted = note(changes, now, false, kind, shown(job), text); !noted.ok()) return noted;
  const bool there = record.value() && record.value()->object.state == ObjectState::committed;
  if (step != ReshareStep::undone || !alarm || !there) return done;
  return mark_alarm(changes, now, {"reshare_undone", "network", ""}, {job.object, 0},
                    fmt::format("{}: {}", about(job), text));
}

Result<ReshareJob> Catalogue::clean_reshare(Now now, const ReshareJob& given, bool give_up) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  ReshareJob job = given;
  std::string exposed;
  for (std::uint32_t share = 1; share <= job.source.n; ++share) {
    if (!job.concerns(share)) continue;
    const std::string& node = job.source.holders[share - 1].node;
    const Result<std::optional<NumberRecord>> left =
        changes.get<NumberRecord>(keys::removal(node, {job.object, job.source_generation}));
    if (!left.ok()) return left.error();
    if (!left.value()) continue;
    const auto found = nodes_.find(node);
    if (!give_up || (found != nodes_.end() && is_up(found->second, now))) return job;  // it will
    if (Outcome raised =
            mark_alarm(changes, now, {"share_exposed", node, ""}, {job.object, job.source_generation},
                       fmt::format("share {} of {}'s {}", share, job.owner, job.name));
        !raised.ok()) {
      return raised.error();
    }
    exposed += fmt::format("{}{}", exposed.empty() ? "" : ", ", node);
  }
  job.trouble = exposed.empty() ? "" : fmt::format("not erased yet at {}: until then exposed there", exposed);
  job.trouble.resize(std::min(job.trouble.size(), text_max));
  if (Outcome ended = end_job(changes, now, job, ReshareStep::done, "reshare_done", !exposed.empty());
      !ended.ok()) {
    return ended.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  --running_jobs_;
  return job;
}

Result<ReshareJob> Catalogue::abandon_reshare(Now now, const ReshareJob& given) {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  ReshareJob job = given;
  std::uint64_t ordered = 0;
  for (std::uint32_t share = 1; share <= job.target.n; ++share) {
    if (!job.concerns(share)) continue;
    if (Outcome gone = order_erasure(changes, job.target.holders[share - 1].node,
                                     {job.object, job.target_generation}, ordered);
        !gone.ok()) {
      return gone.error();
    }
  }
  if (Outcome ended = end_job(changes, now, job, ReshareStep::undone, "reshare_undone", !job.cancel);
      !ended.ok()) {
    return ended.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  counts_.removals += ordered;
  --running_jobs_;
  return job;
}

Result<std::vector<ReshareJob>> Catalogue::running_reshares() {
  const std::lock_guard lock(mutex_);
  const Result<std::vector<Row>> rows =
      database_.scan(keys::all_running, keys::end_of(std::string(keys::all_running)), running_jobs_max);
  if (!rows.ok()) return rows.error();
  Transaction reads(database_);
  std::vector<ReshareJob> jobs;
  for (const Row& row : rows.value()) {
    Result<ReshareJob> job = running_job(reads, row);
    if (!job.ok()) return job.error();
    jobs.push_back(std::move(job.value()));
  }
  return jobs;
}

Result<ReshareJobPage> Catalogue::reshares(std::uint64_t after, std::size_t limit, const std::string& owner,
                                           bool running) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, page_max);
  const std::lock_guard lock(mutex_);
  const std::string_view all = running ? keys::all_running : keys::all_jobs;
  const std::string from = running ? keys::running(after + 1) : keys::job(after + 1);
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(std::string(all)), most);
  if (!rows.ok()) return rows.error();
  Transaction reads(database_);
  ReshareJobPage page;
  for (const Row& row : rows.value()) {
    Result<ReshareJob> job = running ? running_job(reads, row) : decode<ReshareJob>(row.key, row.value);
    if (!job.ok()) return job.error();
    if (owner.empty() || job.value().owner == owner) page.jobs.push_back(std::move(job.value()));
  }
  if (rows.value().size() == most) page.next = keys::number_at(rows.value().back().key, 1);
  return page;
}

Result<ReshareJob> Catalogue::reshare(std::uint64_t id, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  Result<std::optional<ReshareJob>> job = reads.get<ReshareJob>(keys::job(id));
  if (!job.ok()) return job.error();
  if (!job.value() || (!owner.empty() && job.value()->owner != owner)) {
    return Error{Exit::not_found, "cannot show the job", "there is no such job",
                 fmt::format("job {:016x}", id), "see `ssn reshare list`"};
  }
  return std::move(*job.value());
}

std::vector<NodeAddress> Catalogue::nodes_up(Now now) {
  const std::lock_guard lock(mutex_);
  std::vector<NodeAddress> up;
  for (const auto& [node, state] : nodes_) {
    if (is_up(state, now)) up.push_back(address_of(node));
  }
  return up;
}

Result<std::uint64_t> Catalogue::begin_term() {
  const std::lock_guard lock(mutex_);
  Transaction changes(database_);
  Result<MetaRecord> meta = changes.get_or_new<MetaRecord>(keys::meta());
  if (!meta.ok()) return meta.error();
  const std::uint64_t term = ++meta.value().term;
  changes.put(keys::meta(), meta.value());
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  return term;
}

Outcome Catalogue::forget_jobs(Now now) {
  const std::uint64_t before = now.wall_ms - std::min(now.wall_ms, policy_.remember_ms);
  const Result<std::vector<Row>> rows =
      database_.scan(keys::all_over, keys::over(before, 0), forgotten_at_once);
  if (!rows.ok()) return rows.error();
  Transaction changes(database_);
  for (const Row& row : rows.value()) {
    changes.erase(keys::job(keys::number_at(row.key, 9)));
    changes.erase(row.key);
  }
  return changes.commit();
}

}  // namespace ssn::controller
