// SPDX-License-Identifier: BSD-3-Clause
// Which job re-sharing an object is: what it makes, for whom, and whether it can be done at all.
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

#include "catalogue.h"
#include "cut_text.h"

namespace ssn::controller {
namespace {

constexpr const char* what = "cannot re-share the object";

Error refused(std::string why, const std::string& where, std::string fix) {
  return {Exit::refused, what, std::move(why), where, std::move(fix)};
}

std::uint32_t share_of(const Layout& layout, const std::string& node) {
  for (std::uint32_t share = 1; share <= layout.n; ++share) {
    if (layout.holders[share - 1].node == node) return share;
  }
  return 0;
}

// Spreads objects over nodes: the same for each call.
std::uint64_t weight_of(std::uint64_t object, const std::string& node) {
  std::uint64_t hash = object ^ 0x9E3779B97F4A7C15U;
  for (const char c : node) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash ^ hash >> 29U;
}

std::uint32_t unit_for(std::uint32_t cell_bytes) {
  return std::bit_floor(std::clamp(unit_bytes_max / std::max(cell_bytes, 1U), 1U, unit_cells_most));
}

}  // namespace

// One that can be added to those that stay, so that no domain learns more than it may: a standby where there
// is one. Who ever had a share of this generation, or was to have one, gets no other.
Result<Holder> Catalogue::choose_taker(Now now, const ObjectRecord& record, const ReshareJob& job,
                                       const std::string& wanted) const {
  const Object& object = record.object;
  std::vector<Candidate> others;
  std::vector<Candidate> kept;
  const Purpose purpose = wanted.empty() ? Purpose::take_over : Purpose::named;
  for (Candidate& candidate :
       candidates(now, object.ssa, purpose, class_of(policy_, object.class_name).keys)) {
    const std::uint32_t share = share_of(object.layout, candidate.node);
    if (share != 0 && share != job.share) {
      candidate.excluded.clear();
      candidate.free_bytes = std::numeric_limits<std::uint64_t>::max();
      kept.push_back(std::move(candidate));
    } else if (share == 0 && (wanted.empty() || wanted == candidate.node)) {
      const bool before =
          std::find(record.former.begin(), record.former.end(), candidate.node) != record.former.end();
      if (before) candidate.excluded = "one that had a share of this generation";
      others.push_back(std::move(candidate));
    }
  }
  const auto rank = [&](const Candidate& candidate) {
    const bool standby = service_of(candidate.node) == ServiceState::standby;
    return std::pair(standby ? 0 : 1, weight_of(object.id, candidate.node));
  };
  std::sort(others.begin(), others.end(),
            [&](const Candidate& a, const Candidate& b) { return rank(a) < rank(b); });
  std::string why = wanted.empty() ? "no other node is there" : fmt::format("{} is no other node", wanted);
  for (const Candidate& candidate : others) {
    std::vector<Candidate> all = kept;
    all.push_back(candidate);
    const Result<Placement> placed = place(
        object.layout,
        {object.id, object.cells * object.cell_bytes, class_of(policy_, object.class_name).domains}, all);
    if (placed.ok()) return Holder{candidate.node, candidate.site, ShareState::sealed, "", {}, "", {}, false};
    why = candidate.excluded.empty() ? placed.error().why
                                     : fmt::format("{} is {}", candidate.node, candidate.excluded);
  }
  return Error{Exit::temporary, what, why, fmt::format("object {:016x}", object.id),
               "start another shareholder, or refresh the object first"};
}

// The node that lost a share may have that share again: it learns nothing that it did not know, nobody else
// does either, and the object stays where placement put it. Only if nothing of it is left there, because a
// store never changes what it sealed; and only where the caller does not want the share to go away.
bool Catalogue::may_take_again(Now now, const ObjectRecord& record, const ReshareJob& job,
                               const std::string& wanted) const {
  const Holder& holder = record.object.layout.holders[job.share - 1];
  if (!is_missing(holder) || (!wanted.empty() && wanted != holder.node) ||
      std::find(record.former.begin(), record.former.end(), holder.node) != record.former.end()) {
    return false;
  }
  const std::uint64_t bytes = record.object.cells * record.object.cell_bytes;
  const KeyDemand& keys = class_of(policy_, record.object.class_name).keys;
  for (const Candidate& candidate : candidates(now, record.object.ssa, Purpose::named, keys)) {
    if (candidate.node == holder.node) return candidate.excluded.empty() && candidate.free_bytes >= bytes;
  }
  return false;
}

Outcome Catalogue::plan_replacement_share(Now now, const ObjectRecord& record, const ReshareRequest& request,
                                          ReshareJob& job) const {
  const Layout& layout = record.object.layout;
  const std::string where = fmt::format("object {:016x}", record.object.id);
  const auto up = [&](const std::string& node) {
    const auto found = nodes_.find(node);
    return found != nodes_.end() && is_up(found->second, now);
  };
  assert(request.share <= layout.n);
  job.share = request.share;
  if (job.share == 0 && !request.away.empty()) {
    job.share = share_of(layout, request.away);
    if (job.share == 0)
      return refused(fmt::format("{} has no share of it", request.away), where, "see `ssn stat`");
  }
  for (std::uint32_t share = 1; share <= layout.n && job.share == 0; ++share) {
    const Holder& holder = layout.holders[share - 1];
    if (holder.state != ShareState::sealed || !up(holder.node)) job.share = share;
  }
  if (job.share == 0) return refused("all its holders are up and have their shares", where, "name a node");
  const Holder& old = layout.holders[job.share - 1];
  const bool exchange = request.operation == ReshareOperation::exchange;
  const std::uint32_t others =
      count_of(layout, ShareState::sealed) - (old.state == ShareState::sealed ? 1 : 0);
  if (exchange ? old.state != ShareState::sealed : others < layout.k) {
    return refused(exchange ? "its holder never had it whole"
                            : fmt::format("{} others have shares, {} are needed", others, layout.k),
                   where, exchange ? "repair it instead" : "wait for the SSA's seals, or write it again");
  }
  Result<Holder> taker = old;
  if (!exchange && request.away.empty() && may_take_again(now, record, job, request.to)) {
    taker.value().state = ShareState::sealed;
    taker.value().trouble.clear();
    taker.value().damage.reset();
  } else {
    taker = choose_taker(now, record, job, request.to);
  }
  if (!taker.ok()) return taker.error();
  job.target = layout;
  job.target.holders[job.share - 1] = std::move(taker.value());
  job.target_generation = record.object.generation;
  return done;
}

Outcome Catalogue::plan_generation(Now now, const ObjectRecord& record, const ReshareRequest& request,
                                   ReshareJob& job) const {
  const Object& object = record.object;
  const std::string where = fmt::format("object {:016x}", object.id);
  job.target_generation = std::max(record.last_generation, object.generation) + 1;
  if (job.target_generation > std::numeric_limits<std::uint32_t>::max()) {
    return refused("its generations are used up", where, "write it again");
  }
  if (count_of(object.layout, ShareState::sealed) < object.layout.k) {
    return refused("too few holders have shares", where, "write it again");
  }
  if (request.operation == ReshareOperation::refresh) {
    if (secrecy_threshold(object.layout) == 0) {
      return refused("its code has no secrecy that could be renewed", where, "leave it as it is");
    }
    if (count_of(object.layout, ShareState::sealed) != object.layout.n) {
      return refused("not all holders have their shares", where, "repair it first");
    }
    job.target = object.layout;
    for (Holder& holder : job.target.holders) {
      holder.trouble.clear();
      holder.damage.reset();
    }
    return done;
  }
  WriteRequest wish;
  wish.scheme = object.layout.scheme;
  wish.k = request.k == 0 ? object.layout.k : request.k;
  wish.n = request.n == 0 ? object.layout.n : request.n;
  wish.secret_blocks = object.layout.secret_blocks;
  const ClassPolicy& policy = class_of(policy_, object.class_name);
  Result<Layout> layout = layout_for(wish, policy);
  if (!layout.ok()) return layout.error();
  if (secrecy_threshold(layout.value()) == 0 && secrecy_threshold(object.layout) != 0) {
    return refused("the new scheme would keep nothing secret", where, "choose a larger k");
  }
  Result<Placement> placed =
      place(layout.value(), {object.id, object.cells * object.cell_bytes, policy.domains},
            candidates(now, object.ssa, Purpose::write, policy.keys));
  if (!placed.ok()) return placed.error();
  job.target = std::move(layout.value());
  job.target.holders = std::move(placed.value().holders);
  job.target.reason = std::move(placed.value().reason);
  job.target.pad_rule = PadRule::not_wanted;
  for (Holder& holder : job.target.holders) holder.state = ShareState::sealed;  // as it is to be
  return done;
}

Result<ReshareJob> Catalogue::plan_job(Transaction& changes, Now now, const ReshareRequest& request) {
  Result<std::optional<ObjectRecord>> record = std::optional<ObjectRecord>();
  if (request.object == 0) {
    Result<ObjectRecord> named = named_object(changes, request.owner, request.name, what);
    if (!named.ok()) return named.error();
    record = std::optional(std::move(named.value()));
  } else {
    record = changes.get<ObjectRecord>(keys::object(request.object));
    if (!record.ok()) return record.error();
  }
  if (!record.value() || record.value()->object.state != ObjectState::committed) {
    return Error{Exit::not_found, what, "there is no such object",
                 fmt::format("object {:016x}", request.object), "see `ssn ls`"};
  }
  const Object& object = record.value()->object;
  const std::string where = fmt::format("object {:016x}", object.id);
  if (record.value()->job != 0) {
    return Error{Exit::temporary, what, fmt::format("job {:016x} is at it", record.value()->job), where,
                 "wait until that is over: `ssn reshare list`"};
  }
  ReshareJob job;
  job.object = object.id;
  job.owner = object.owner;
  job.name = object.name;
  job.operation = request.operation;
  job.reason = alarms::cut_text(request.reason, text_max);
  job.source_generation = object.generation;
  job.cells = object.cells;
  job.cell_bytes = object.cell_bytes;
  job.source = object.layout;
  job.attempts = object.attempts;
  job.unit_cells = unit_for(object.cell_bytes);
  job.window = window_most;
  job.started_ms = now.wall_ms;
  const bool one = job.same_generation();
  if (!one && job.operation != ReshareOperation::refresh && job.operation != ReshareOperation::redistribute) {
    return Error{Exit::usage, what, "this is no operation that makes shares", "operation",
                 "repair, exchange, refresh or redistribute"};
  }
  Outcome planned = one ? plan_replacement_share(now, *record.value(), request, job)
                        : plan_generation(now, *record.value(), request, job);
  if (!planned.ok()) return planned.error();
  return job;
}

Result<ReshareJob> Catalogue::plan_reshare(Now now, const ReshareRequest& request) {
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  return plan_job(reads, now, request);
}

}  // namespace ssn::controller
