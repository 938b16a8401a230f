// SPDX-License-Identifier: BSD-3-Clause
// Between what the controller says of an object and what the role knows of it.
#include <fmt/core.h>

#include <algorithm>

#include "key_settings.h"
#include "owner_record.h"
#include "ssn/dataplane/kept_rows.h"

namespace ssn::dataplane {
namespace {

using agent::WriteState;

Result<kernels::Scheme> scheme_of(controller::Scheme scheme) {
  switch (scheme) {
    case controller::Scheme::shamir:
      return kernels::Scheme::systematic;
    case controller::Scheme::shamir_classic:
      return kernels::Scheme::classic;
    case controller::Scheme::ramp:
      return kernels::Scheme::ramp;
    case controller::Scheme::rs:
      return kernels::Scheme::rs;
    case controller::Scheme::policy:
      break;
  }
  return Error{Exit::refused, "cannot open a session", "the object's scheme is unknown here", "layout",
               "update this node"};
}

agent::HolderStatus::State state_of(const roles::WriteResult& result, const roles::HolderResult& holder) {
  if (holder.sealed) return agent::HolderStatus::State::sealed;
  const bool failed = result.ended || holder.trouble != roles::SsaTrouble::none;
  return failed ? agent::HolderStatus::State::failed : agent::HolderStatus::State::writing;
}

}  // namespace

std::string OwnerSessions::node_of(std::uint16_t holder) const {
  const std::vector<PeerConfiguration>& peers = setup_.configuration->peers;
  return holder < peers.size() ? peers[holder].name : fmt::format("{}", holder);
}

// Holders are peers of this node, by name.
Result<roles::ObjectLayout> OwnerSessions::layout_of(const controller::Object& object) const {
  const controller::Layout& from = object.layout;
  Result<kernels::Scheme> scheme = scheme_of(from.scheme);
  if (!scheme.ok()) return scheme.error();
  roles::ObjectLayout layout;
  layout.scheme = scheme.value();
  layout.k = from.k;
  layout.n = from.n;
  layout.secret_blocks = from.secret_blocks;
  layout.cell_bytes = object.cell_bytes;
  layout.quorum = from.quorum;
  layout.minimum = from.minimum;
  layout.row_rule =
      from.row_rule == controller::RowRule::rotating ? roles::RowRule::rotating : roles::RowRule::fixed;
  layout.cells_per_turn = from.cells_per_turn;
  layout.kept_rows = allowed_rows(from, *setup_.configuration);
  const std::vector<PeerConfiguration>& peers = setup_.configuration->peers;
  for (const controller::Holder& holder : from.holders) {
    const auto found =
        std::find_if(peers.begin(), peers.end(), [&](const auto& peer) { return peer.name == holder.node; });
    if (found == peers.end()) {
      return Error{Exit::refused, "cannot open a session",
                   fmt::format("the shareholder {} is no peer of this SSA", holder.node),
                   setup_.configuration->file, "add a [[peer]] for it, with its link, and restart"};
    }
    layout.holders.push_back(static_cast<std::uint16_t>(found - peers.begin()));
  }
  return layout;
}

// The controller decides who gets shares; what they may tell is not left to it, nor is, where operators
// signed a membership, who may get any.
Outcome OwnerSessions::check_secrecy(const controller::Object& object) const {
  const SsaConfiguration& ssa = setup_.configuration->ssa;
  const std::uint32_t nothing = controller::secrecy_threshold(object.layout);
  if (const std::string why = controller::lacks(key_settings(*setup_.configuration), object.rules.keys, true);
      !why.empty()) {
    return Error{Exit::refused, "cannot open a session",
                 fmt::format("this SSA is {}, as the object's class asks", why), ssa.where,
                 "set [ssa] random and shortage as the class wants them, or write with another class or SSA"};
  }
  if (nothing >= ssa.minimum_t) {
    return setup_.guard == nullptr ? Outcome(done) : setup_.guard->check_write(object.id, object.layout);
  }
  const controller::Layout& layout = object.layout;
  setup_.report(
      fmt::format("object {:016x}: refused: the controller wants it written as {} with k = {}, L = {}",
                  object.id, controller::name(layout.scheme), layout.k, layout.secret_blocks));
  return Error{
      Exit::refused, "cannot open a session",
      fmt::format("{} shares of its layout tell nothing, this SSA asks for {}", nothing, ssa.minimum_t),
      ssa.where,
      "choose another scheme or a larger k; or lower [ssa] minimum_t, 0 for erasure codes, where what is "
      "written is protected already"};
}

// What the role is to do.
Outcome OwnerSessions::order(Record& record) {
  if (record.session.writes) {
    if (Outcome secret = check_secrecy(record.object); !secret.ok()) return secret;
  }
  Result<roles::ObjectLayout> layout = layout_of(record.object);
  if (!layout.ok()) return layout.error();
  record.rates = rates_.hold(record.object);
  const roles::ObjectKey key{record.object.id, static_cast<std::uint32_t>(record.object.generation)};
  if (record.session.writes && setup_.configuration->ssa.pad_shares &&
      layout.value().kept_rows < record.object.layout.kept_rows) {
    setup_.report(
        fmt::format("object {:016x}: holders of {} rows keep pads, not of {} as the controller said: "
                    "see key_path in [[peer]]",
                    record.object.id, layout.value().kept_rows, record.object.layout.kept_rows));
  }
  if (record.session.writes) {
    record.session.result.attempts.reserve(controller::attempt_runs_max);
    record.session.result.holders.reserve(layout.value().holders.size());
    roles::WriteOrder order{key, std::move(layout.value()), record.slot, record.rates.meters(true)};
    Result<roles::SsaWritePointer> write = roles::make_write(order, setup_.options);
    if (!write.ok()) return write.error();
    record.session.write = std::move(write.value());
    return done;
  }
  roles::ReadOrder order;
  order.key = key;
  order.layout = std::move(layout.value());
  order.owner = record.slot;
  order.meters = record.rates.meters(false);
  order.cells = static_cast<std::uint32_t>(record.object.cells);
  for (const controller::AttemptRun& run : record.object.attempts) {
    order.attempts.push_back(
        {static_cast<std::uint32_t>(run.first_cell), static_cast<std::uint16_t>(run.attempt)});
  }
  for (std::size_t i = 0; i < record.object.layout.holders.size(); ++i) {
    if (record.object.layout.holders[i].state == controller::ShareState::sealed) {
      order.shares.push_back(static_cast<std::uint8_t>(i + 1));
    }
  }
  Result<roles::SsaReadPointer> read = roles::make_read(order, setup_.options);
  if (!read.ok()) return read.error();
  record.session.read = std::move(read.value());
  return done;
}

agent::WriteStatus OwnerSessions::status_of(const Record& record) const {
  const roles::WriteResult& result = record.session.result;
  agent::WriteStatus status;
  status.sealed = result.sealed;
  status.quorum = result.quorum != 0 ? result.quorum : record.object.layout.quorum;
  status.minimum = result.minimum != 0 ? result.minimum : record.object.layout.minimum;
  for (const roles::HolderResult& each : result.holders) {
    const bool failed = each.trouble != roles::SsaTrouble::none;
    status.holders.push_back({each.share, node_of(each.holder), state_of(result, each),
                              failed ? std::string(roles::describe(each.trouble)) : std::string()});
  }
  if (!result.ended && record.state == Record::State::open) return status;
  if (!result.ended || result.why != roles::SsaTrouble::none || result.sealed < status.minimum) {
    status.state = WriteState::failed;
    status.why = result.ended && result.why != roles::SsaTrouble::none
                     ? std::string(roles::describe(result.why))
                     : "the session is over";
  } else {
    status.state = result.sealed >= status.quorum ? WriteState::sealed : WriteState::degraded;
  }
  return status;
}

controller::SealedReport sealed_report(const OwnerSessions::Record& record,
                                       const std::vector<PeerConfiguration>& peers) {
  const roles::WriteResult& result = record.session.result;
  controller::SealedReport report;
  report.key = {record.key.object, record.key.generation};
  report.size = record.size;
  report.cells = result.cells;
  for (std::size_t i = 0; i < result.attempts.size(); ++i) {
    const std::uint64_t end = i + 1 < result.attempts.size() ? result.attempts[i + 1].first : result.cells;
    report.attempts.push_back(
        {result.attempts[i].first, end - result.attempts[i].first, result.attempts[i].attempt});
  }
  for (const roles::HolderResult& each : result.holders) {
    report.shares.push_back({each.share, peers[each.holder].name, each.sealed,
                             each.sealed ? std::string() : std::string(roles::describe(each.trouble))});
  }
  report.protection = static_cast<controller::Protection>(result.protection);
  return report;
}

void OwnerSessions::happened(unsigned worker, const roles::SsaEvent& event) {
  using Kind = roles::SsaEvent::Kind;
  const std::string object = fmt::format("object {:016x}", event.key.object);
  const std::string where = fmt::format("{}, share {} at {}", object, event.share, node_of(event.holder));
  const std::string_view why = roles::describe(event.trouble);
  switch (event.kind) {
    case Kind::write_ended:
      if (event.trouble != roles::SsaTrouble::none) {
        setup_.report(fmt::format("write of {} failed: {}", object, why));
      }
      break;
    case Kind::holder_failed:
      setup_.report(fmt::format("shareholder failed: {}: {}", where, why));
      break;
    case Kind::holder_lies:
      setup_.report(
          fmt::format("shareholder lies: {}: cell {} contradicts the other shares", where, event.cell));
      break;
    case Kind::split_again:
      setup_.report(
          fmt::format("split again: {}: from cell {} on, attempt {}", where, event.cell, event.attempt));
      break;
    case Kind::contradiction:
      setup_.report(fmt::format("shares of cell {} of {} contradict each other", event.cell, object));
      break;
    case Kind::session_dropped:
      setup_.report(fmt::format("session of {} at worker {} was dropped: {}", object, worker, why));
      break;
  }
  changed_.notify_all();
}

void OwnerSessions::add_status(agent::Status& status) const {
  std::vector<std::shared_ptr<Record>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, record] : open_) all.push_back(record);
  }
  rates_.add_status(status);
  for (const std::shared_ptr<Record>& record : all) {
    agent::Properties properties{{"owner", record->owner},
                                 {"object", fmt::format("{:016x}", record->key.object)},
                                 {"worker", fmt::format("{}", record->worker)},
                                 {"cell", fmt::format("{}", record->object.cell_bytes)},
                                 {"k", fmt::format("{}", record->object.layout.k)},
                                 {"n", fmt::format("{}", record->object.layout.n)}};
    status.items.push_back({"session", fmt::format("{:016x}", record->id), true,
                            record->session.writes ? "writing" : "reading", std::move(properties)});
  }
}

}  // namespace ssn::dataplane
