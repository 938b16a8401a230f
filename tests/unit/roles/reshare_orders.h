// SPDX-License-Identifier: BSD-3-Clause
// Orders as a control side would give them.
#pragma once

#include <utility>
#include <vector>

#include "reshare_world.h"

namespace ssn::test {

inline roles::ReshareOrder order_about(const SharedObject& object, roles::ReshareOperation operation,
                                       std::uint64_t job = 77) {
  roles::ReshareOrder order;
  order.job = job;
  order.round = 1;
  order.operation = operation;
  order.object = object.object;
  order.cells = order.end = object.cells;
  order.cell_bytes = object.cell_bytes;
  order.source = order.target = object.at;
  return order;
}

/// exchange, repair: `share` goes to this node.
inline roles::ReshareOrder replacement(ReshareWorld& world, const SharedObject& object,
                                       roles::ReshareOperation operation, unsigned share, unsigned to_node) {
  roles::ReshareOrder order = order_about(object, operation);
  order.target.layout.nodes[share - 1] = world.node(to_node).id;
  order.to = {static_cast<std::uint8_t>(share)};
  if (operation == roles::ReshareOperation::exchange) order.from = order.to;
  return order;
}

inline std::vector<std::uint8_t> all_shares(const roles::ReshareLayout& layout) {
  std::vector<std::uint8_t> out;
  for (unsigned i = 1; i <= layout.n; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

/// refresh, redistribute: to a new generation.
inline roles::ReshareOrder renewal(const SharedObject& object, roles::ReshareOperation operation,
                                   const roles::ReshareLayout& layout, std::vector<std::uint8_t> from) {
  roles::ReshareOrder order = order_about(object, operation);
  order.target = {object.at.generation + 1, layout, {}};
  order.from = std::move(from);
  order.to = all_shares(layout);
  return order;
}

/// The step behind: takers seal. Of refresh and redistribute in one round by default.
inline roles::ReshareOrder sealing(const roles::ReshareOrder& before,
                                   std::vector<store::AttemptRun> runs = {}) {
  roles::ReshareOrder order = before;
  order.operation = roles::ReshareOperation::seal;
  order.round = static_cast<std::uint16_t>(before.round + 1);
  order.from.clear();
  order.first = 0;
  order.end = order.cells;
  const bool renewed = before.source.generation != before.target.generation;
  if (runs.empty()) runs = renewed ? std::vector<store::AttemptRun>{{0, before.round}} : before.source.runs;
  order.target.runs = std::move(runs);
  return order;
}

/// The masked check of what was sealed.
inline roles::ReshareOrder checking(const roles::ReshareOrder& sealed, std::vector<std::uint8_t> from,
                                    std::uint64_t checker, std::uint16_t later = 1) {
  roles::ReshareOrder order = sealed;
  order.operation = roles::ReshareOperation::check;
  order.round = static_cast<std::uint16_t>(sealed.round + later);
  order.from = std::move(from);
  order.checker = checker;
  return order;
}

inline LinkOptions bad_link() {
  LinkOptions link;
  link.loss_percent = 10;
  link.double_percent = 5;
  link.mix_percent = 20;
  return link;
}

}  // namespace ssn::test
