// SPDX-License-Identifier: BSD-3-Clause
// As messages.cpp, of re-sharing.
#include "messages.h"
#include "resharing.pb.h"

namespace ssn::controller {
namespace {

static_assert(static_cast<int>(ReshareOperation::redistribute) == v1::RESHARE_KIND_REDISTRIBUTE);
static_assert(static_cast<int>(ReshareStep::undone) == v1::RESHARE_STEP_UNDONE);

ReshareOperation operation_of(v1::ReshareKind kind) {
  return v1::ReshareKind_IsValid(kind) ? static_cast<ReshareOperation>(kind) : ReshareOperation::unknown;
}

ReshareStep step_of(v1::ReshareStep step) {
  return v1::ReshareStep_IsValid(step) ? static_cast<ReshareStep>(step) : ReshareStep::unknown;
}

}  // namespace

void write(const ReshareRequest& from, v1::StartReshareRequest& to) {
  to.set_name(from.name);
  to.set_owner(from.owner);
  to.set_kind(static_cast<v1::ReshareKind>(from.operation));
  to.set_k(from.k);
  to.set_n(from.n);
  to.set_away(from.away);
  to.set_to(from.to);
}

ReshareRequest read(const v1::StartReshareRequest& from) {
  ReshareRequest to;
  to.operation = operation_of(from.kind());
  to.owner = from.owner();
  to.name = from.name();
  to.k = from.k();
  to.n = from.n();
  to.away = from.away();
  to.to = from.to();
  return to;
}

void write(const ReshareView& from, v1::Reshare& to) {
  to.set_id(from.id);
  to.set_object(from.object);
  to.set_owner(from.owner);
  to.set_name(from.name);
  to.set_kind(static_cast<v1::ReshareKind>(from.operation));
  to.set_reason(from.reason);
  to.set_step(static_cast<v1::ReshareStep>(from.step));
  to.set_round(from.round);
  to.set_cells(from.cells);
  to.set_cell_bytes(from.cell_bytes);
  to.set_through(from.through);
  to.set_share(from.share);
  to.set_k(from.k);
  to.set_n(from.n);
  to.set_target_k(from.target_k);
  to.set_target_n(from.target_n);
  to.set_source_generation(from.source_generation);
  to.set_target_generation(from.target_generation);
  for (const std::string& node : from.away) to.add_away(node);
  for (const std::string& node : from.takers) to.add_takers(node);
  to.set_computational(from.computational);
  to.set_unverified(from.unverified);
  to.set_trouble(from.trouble);
  to.set_started_ms(from.started_ms);
  to.set_ended_ms(from.ended_ms);
}

ReshareView read(const v1::Reshare& from) {
  ReshareView to;
  to.id = from.id();
  to.object = from.object();
  to.owner = from.owner();
  to.name = from.name();
  to.operation = operation_of(from.kind());
  to.reason = from.reason();
  to.step = step_of(from.step());
  to.round = from.round();
  to.cells = from.cells();
  to.cell_bytes = from.cell_bytes();
  to.through = from.through();
  to.share = from.share();
  to.k = from.k();
  to.n = from.n();
  to.target_k = from.target_k();
  to.target_n = from.target_n();
  to.source_generation = from.source_generation();
  to.target_generation = from.target_generation();
  to.away.assign(from.away().begin(), from.away().end());
  to.takers.assign(from.takers().begin(), from.takers().end());
  to.computational = from.computational();
  to.unverified = from.unverified();
  to.trouble = from.trouble();
  to.started_ms = from.started_ms();
  to.ended_ms = from.ended_ms();
  return to;
}

void write(const Replacement& from, v1::Replacement& to) {
  to.set_from(from.from);
  to.set_to(from.to);
  to.set_reason(from.reason);
  to.set_started(from.started);
  to.set_left(from.left);
  to.set_trouble(from.trouble);
  to.set_begun_ms(from.begun_ms);
  to.set_automatic(from.automatic);
}

Replacement read(const v1::Replacement& from) {
  return {from.from(), from.to(),      from.reason(),   from.started(),
          from.left(), from.trouble(), from.begun_ms(), from.automatic()};
}

void write(const Upkeep& from, v1::Upkeep& to) {
  to.set_repair_after_ms(from.repair_after_ms);
  to.set_lost(from.lost);
  to.set_held(from.held);
  to.set_refresh_every_ms(from.refresh_every_ms);
  to.set_old(from.old);
  to.set_oldest_ms(from.oldest_ms);
}

Upkeep read(const v1::Upkeep& from) {
  return {from.repair_after_ms(),  from.lost(), from.held(),
          from.refresh_every_ms(), from.old(),  from.oldest_ms()};
}

void write(const ReplacementPlan& from, v1::ReplaceAnswer& to) {
  write(from.replacement, *to.mutable_replacement());
  for (const ReshareView& job : from.planned) write(job, *to.add_planned());
  for (const PlanTrouble& trouble : from.troubles) {
    v1::PlanTrouble& message = *to.add_troubles();
    message.set_object(trouble.object);
    message.set_why(trouble.why);
  }
  to.set_next(from.next);
}

ReplacementPlan read(const v1::ReplaceAnswer& from) {
  ReplacementPlan to;
  to.replacement = read(from.replacement());
  for (const v1::Reshare& job : from.planned()) to.planned.push_back(read(job));
  for (const v1::PlanTrouble& trouble : from.troubles())
    to.troubles.push_back({trouble.object(), trouble.why()});
  to.next = from.next();
  return to;
}

}  // namespace ssn::controller
