// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_plan.h"

#include "reshare_math.h"

namespace ssn::roles {
namespace {

std::size_t index_of(const std::vector<std::uint64_t>& nodes, std::uint64_t node) noexcept {
  const auto found = std::find(nodes.begin(), nodes.end(), node);
  return found == nodes.end() ? no_index : static_cast<std::size_t>(found - nodes.begin());
}

std::vector<std::uint64_t> nodes_of(const ReshareLayout& layout, const std::vector<std::uint8_t>& shares) {
  std::vector<std::uint64_t> out;
  out.reserve(shares.size());
  for (const std::uint8_t share : shares) out.push_back(layout.nodes[share - 1U]);
  return out;
}

// Everybody who takes part gives, each once, whatever shares it has.
void plan_check(ResharePlan& plan, const ReshareOrder& order) {
  plan.givers = nodes_of(order.source.layout, order.from);
  for (const std::uint64_t node : nodes_of(order.target.layout, order.to)) {
    if (index_of(plan.givers, node) == no_index) plan.givers.push_back(node);
  }
  for (std::size_t i = 0; i < plan.givers.size(); ++i) {
    plan.giver_numbers.push_back(static_cast<std::uint8_t>(i + 1));
  }
  plan.takers = {order.checker};
  plan.taker_shares = {plan.giver_numbers[index_of(plan.givers, order.checker)]};
  plan.checks = plan.masked = true;
  plan.unit_cells = plan.end = check_folds;
  plan.first = 0;
  plan.window = 1;
}

}  // namespace

std::size_t ResharePlan::memory_bytes() const noexcept {
  std::size_t buffers = 0;  // of a unit each
  // The share of one unit, and in a check the sums of the folds.
  if (gives()) buffers += slots * lanes + (deals ? random_blocks : 0) + window * own_masks + (checks ? 2 : 1);
  if (takes()) buffers += window + (adds_own ? 1 : 0);
  return buffers * unit_bytes();
}

ResharePlan make_plan(const ReshareOrder& order, std::uint64_t node) {
  ResharePlan plan;
  plan.cell_bytes = order.cell_bytes;
  plan.unit_cells = order.unit_cells;
  plan.first = order.first;
  plan.end = order.end;
  plan.window = order.window;
  if (order.operation == ReshareOperation::check) {
    plan_check(plan, order);
  } else {
    plan.givers = nodes_of(order.source.layout, order.from);
    plan.giver_numbers = order.from;
    plan.takers = nodes_of(order.target.layout, order.to);
    plan.taker_shares = order.to;
    plan.masked = order.operation == ReshareOperation::repair;
    plan.adds_own = order.operation == ReshareOperation::refresh;
    plan.deals = plan.adds_own || order.operation == ReshareOperation::redistribute;
    plan.reads = order.operation != ReshareOperation::refresh;
  }
  plan.units = (plan.end - plan.first + plan.unit_cells - 1) / plan.unit_cells;
  plan.giver = index_of(plan.givers, node);
  plan.taker = index_of(plan.takers, node);
  plan.slots = plan.masked && !plan.checks ? 2 * plan.window : plan.window;
  plan.lanes = plan.deals ? plan.takers.size() : 1;
  if (plan.deals) plan.random_blocks = reveals_nothing(order.target.layout);
  for (std::size_t i = 0; i < plan.givers.size(); ++i) {
    const unsigned number = plan.giver_numbers[i];
    plan.helpers[number / 8] = static_cast<std::uint8_t>(plan.helpers[number / 8] | 1U << (number % 8));
    if (plan.masked && plan.givers[i] > node) ++plan.own_masks;
  }
  return plan;
}

}  // namespace ssn::roles
