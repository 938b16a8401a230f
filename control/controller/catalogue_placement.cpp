// SPDX-License-Identifier: BSD-3-Clause
// What placement and the rule of pad shares are asked, from what nodes and the operator said:
// docs/controller.md.
#include <fmt/core.h>

#include <algorithm>

#include "catalogue.h"

namespace ssn::controller {
namespace {

constexpr std::uint32_t cells_per_turn = 64;

const std::vector<std::string>* path_to(const std::vector<KeyPath>& paths, const std::string& peer) {
  const auto found =
      std::find_if(paths.begin(), paths.end(), [&](const KeyPath& path) { return path.peer == peer; });
  return found == paths.end() ? nullptr : &found->crosses;
}

// The operator's word; where there is none, the node's.
const std::string& either(const Labels& said, const Labels& claimed, Label label) {
  return said[label].empty() ? claimed[label] : said[label];
}

}  // namespace

const Labels& Catalogue::said_of(const std::string& node) const {
  static const Labels nothing;
  const auto found = policy_.deployment.labels.find(node);
  return found == policy_.deployment.labels.end() ? nothing : found->second;
}

bool Catalogue::delivers_once(const std::string& key_manager) const {
  return policy_.deployment.delivered_once.contains(key_manager);
}

// What a node says differently than the operator; empty: nothing.
std::string Catalogue::contradiction(const std::string& node, const Labels& claimed) const {
  const Labels& said = said_of(node);
  for (std::size_t i = 0; i < labels_count; ++i) {
    if (!said.values[i].empty() && !claimed.values[i].empty() && said.values[i] != claimed.values[i]) {
      return fmt::format("it says that its {} is {}, the operator says {}", name(static_cast<Label>(i)),
                         claimed.values[i], said.values[i]);
    }
  }
  return "";
}

std::string Catalogue::key_manager_of(const std::string& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end()
             ? said_of(node)[Label::key_manager]
             : either(said_of(node), found->second.record.registration.labels, Label::key_manager);
}

// An SSA is believed about its pads' paths, because it sees the data anyway. A shareholder can only add to
// them: where it is, and with which key manager, must be the operator's word.
PadHolder Catalogue::pad_holder(const std::string& ssa, const std::string& node) const {
  PadHolder holder{node, std::nullopt, {}, false};
  const auto of_ssa = nodes_.find(ssa);
  const auto of_node = nodes_.find(node);
  if (of_ssa == nodes_.end() || of_node == nodes_.end()) {
    return holder;
  }
  const Registration& claimed = of_node->second.record.registration;
  const Labels& said = said_of(node);
  for (const Labels* const labels : {&said, &claimed.labels}) {
    std::copy_if(labels->values.begin(), labels->values.end(), std::back_inserter(holder.in),
                 [](const std::string& label) { return !label.empty(); });
  }
  const std::string& key_manager = said[Label::key_manager];
  const std::string& other = claimed.labels[Label::key_manager];
  const std::vector<std::string>* const path = path_to(of_ssa->second.record.registration.key_paths, node);
  if (key_manager.empty() || path == nullptr) {
    return holder;
  }
  holder.crosses = *path;
  holder.crosses->push_back(key_manager);
  if (!other.empty()) {
    holder.crosses->push_back(other);
  }
  if (const std::vector<std::string>* const its = path_to(claimed.key_paths, ssa); its != nullptr) {
    holder.crosses->insert(holder.crosses->end(), its->begin(), its->end());
  }
  holder.delivered_once = delivers_once(key_manager_of(ssa)) && delivers_once(key_manager) &&
                          (other.empty() || delivers_once(other));
  return holder;
}

// As the SSA said last; one that it does not know it cannot reach. An SSA that says nothing of its peers, or
// nothing any more, leaves all the same.
PeerReport Catalogue::path_between(const std::string& ssa, const std::string& node, Now now) const {
  const auto found = nodes_.find(ssa);
  if (found == nodes_.end() || found->second.health.peers.empty() || !is_up(found->second, now)) return {};
  const auto path = found->second.health.peers.find(node);
  return path != found->second.health.peers.end() ? path->second : PeerReport{node, false, 0, 0, 0};
}

// Purpose pads: those only whose pads may become shares, with what these cross as domains.
std::vector<Candidate> Catalogue::candidates(Now now, const std::string& ssa, Purpose purpose,
                                             const KeyDemand& keys) const {
  std::vector<Candidate> found;
  const std::string own = key_manager_of(ssa);
  for (const auto& [node, state] : nodes_) {
    const Registration& claimed = state.record.registration;
    if (!claimed.roles.has(pki::Role::shareholder)) {
      continue;
    }
    const Health& health = state.health;
    const Labels& said = said_of(node);
    Candidate candidate{node,
                        either(said, claimed.labels, Label::site),
                        {},
                        health.capacity_bytes - std::min(health.capacity_bytes, health.used_bytes),
                        path_between(ssa, node, now),
                        why_not(node, state, now, purpose)};
    for (const Label label : {Label::operated_by, Label::power, Label::key_manager}) {
      if (const std::string& value = either(said, claimed.labels, label); !value.empty()) {
        candidate.domains.push_back({name(label), value});
      }
    }
    if (candidate.excluded.empty() && !health.read_only.empty()) {
      candidate.excluded = "read-only";
    }
    if (candidate.excluded.empty()) {
      candidate.excluded = lacks(health.key_settings, keys, false);
    }
    if (purpose == Purpose::pads && candidate.excluded.empty()) {
      const PadHolder holder = pad_holder(ssa, node);
      candidate.excluded = holder.crosses && holder.delivered_once ? "" : "on an unknown key path";
      for (const std::string& name : holder.crosses.value_or(std::vector<std::string>())) {
        if (name != own) {
          candidate.domains.push_back({"key path", name});
        }
      }
    }
    found.push_back(std::move(candidate));
  }
  return found;
}

PadDecision Catalogue::decide_pads(const Layout& layout, const std::string& ssa,
                                   const std::vector<Holder>& holders) const {
  std::vector<PadHolder> facts;
  for (const Holder& holder : holders) {
    facts.push_back(pad_holder(ssa, holder.node));
  }
  Layout rotating = layout;
  rotating.row_rule = RowRule::rotating;
  return decide_pad_rows(rotating, key_manager_of(ssa), facts);
}

// Holders and rows. Where pads may not be kept as the first choice has it, one is looked for where they may.
Outcome Catalogue::place_object(Now now, PadShares pads, const std::string& ssa,
                                const PlacementQuestion& question, const KeyDemand& keys, Layout& layout,
                                std::vector<NodeChoice>* choices) const {
  Result<Placement> placed = place(layout, question, candidates(now, ssa, Purpose::write, keys), choices);
  if (!placed.ok()) {
    return placed.error();
  }
  PadDecision decision{PadRule::not_wanted, 0, "", 0};
  if (pads != PadShares::no) {
    decision = decide_pads(layout, ssa, placed.value().holders);
  }
  if (pads != PadShares::no && decision.rule != PadRule::scheme &&
      decision.rows < secrecy_threshold(layout)) {
    std::vector<NodeChoice> other_choices;
    Result<Placement> other =
        place(layout, question, candidates(now, ssa, Purpose::pads, keys), &other_choices);
    if (other.ok()) {
      const PadDecision better = decide_pads(layout, ssa, other.value().holders);
      if (better.rows > decision.rows) {
        decision = better;
        placed = std::move(other);
        if (choices != nullptr) {
          *choices = std::move(other_choices);
        }
      }
    }
  }
  layout.holders = std::move(placed.value().holders);
  layout.reason = std::move(placed.value().reason);
  layout.kept_rows = decision.rows;
  layout.pad_rule = decision.rule;
  layout.pad_reason = reason_of(decision);
  layout.pad_reason.resize(std::min(layout.pad_reason.size(), text_max));
  layout.row_rule = decision.rows != 0 ? RowRule::rotating : RowRule::fixed;
  layout.cells_per_turn = decision.rows != 0 ? cells_per_turn : 0;
  if (pads == PadShares::yes && decision.rows == 0) {
    return Error{Exit::refused, "cannot keep pads as shares", layout.pad_reason,
                 std::string(name(decision.rule)),
                 "say more about the network (docs/controller.md, \"Pad shares\"), or ask with "
                 "--pad-shares=auto"};
  }
  return done;
}

Result<Explanation> Catalogue::explain(Now now, const std::string& owner, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Transaction reads(database_);
  Result<ObjectRecord> record = named_object(reads, owner, name, "cannot explain the object");
  if (!record.ok()) {
    return record.error();
  }
  Object& object = record.value().object;
  const PadShares pads = object.layout.pad_rule == PadRule::not_wanted ? PadShares::no : PadShares::automatic;
  Explanation explanation;
  explanation.ssa = object.ssa;
  Layout again = object.layout;
  const ClassPolicy& policy = class_of(policy_, object.class_name);
  const Outcome placed =
      place_object(now, pads, object.ssa, {object.id, object.cells * object.cell_bytes, policy.domains},
                   policy.keys, again, &explanation.choices);
  explanation.refused = placed.ok() ? "" : placed.error().why;
  for (NodeChoice& choice : explanation.choices) {
    for (std::size_t i = 0; i < object.layout.holders.size(); ++i) {
      if (object.layout.holders[i].node == choice.node) {
        choice.holds = static_cast<std::uint32_t>(i + 1);
      }
    }
  }
  fill_in(object, now);
  explanation.layout = std::move(object.layout);
  return explanation;
}

Result<Explanation> Catalogue::explain_write(Now now, const WriteRequest& given, const std::string& owner) {
  WriteRequest request = given;
  request.token[0] = 1;
  request.name = request.name.empty() ? "any" : request.name;
  if (Outcome checked = check(request); !checked.ok()) {
    return checked.error();
  }
  const std::lock_guard lock(mutex_);
  const Result<std::string> chosen = class_for(request, owner, policy_);
  if (!chosen.ok()) {
    return chosen.error();
  }
  const ClassPolicy& policy = class_of(policy_, chosen.value());
  Result<Layout> layout = layout_for(request, policy);
  const Result<std::string> ssa = choose_ssa(now, request.ssa, policy.keys);
  if (!layout.ok() || !ssa.ok()) {
    return layout.ok() ? ssa.error() : layout.error();
  }
  if (Outcome secret = check_secrecy(layout.value(), protection_for(request, policy)); !secret.ok()) {
    return secret.error();
  }
  Transaction reads(database_);
  const Result<std::uint64_t> id = new_id(reads);
  if (!id.ok()) {
    return id.error();
  }
  const std::uint32_t cell = request.cell_bytes == 0 ? policy.cell_bytes : request.cell_bytes;
  const std::uint64_t bytes = cells_for(request.size.value_or(0), cell, layout.value().secret_blocks) * cell;
  Explanation explanation;
  explanation.ssa = ssa.value();
  const Outcome placed =
      place_object(now, pads_for(request, policy), ssa.value(), {id.value(), bytes, policy.domains},
                   policy.keys, layout.value(), &explanation.choices);
  if (!placed.ok()) {
    explanation.refused = placed.error().why;
    explanation.refused_rule =
        layout.value().pad_rule == PadRule::undecided ? "" : std::string(name(layout.value().pad_rule));
  }
  explanation.layout = std::move(layout.value());
  return explanation;
}

// Once when it changes, not with each write. True: it did, which is known once the event is stored.
Result<bool> Catalogue::note_pads(Transaction& changes, Now now, const Object& object) {
  const Layout& layout = object.layout;
  if (layout.pad_rule == PadRule::not_wanted || layout.pad_rule == PadRule::scheme) {
    return false;
  }
  const auto known = pads_noted_.find(object.ssa);
  if ((known != pads_noted_.end() && known->second == layout.pad_rule) ||
      !may_note(fmt::format("pads {} {}", object.ssa, name(layout.pad_rule)), now)) {
    return false;
  }
  Outcome noted = note(changes, now, false, layout.kept_rows != 0 ? "pad_shares_on" : "pad_shares_off",
                       object.ssa, layout.pad_reason);
  return noted.ok() ? Result<bool>(true) : Result<bool>(noted.error());
}

}  // namespace ssn::controller
