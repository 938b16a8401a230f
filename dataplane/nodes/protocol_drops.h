// SPDX-License-Identifier: BSD-3-Clause
// Edges for packets that the protocol drops: one for each of its reasons.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ssn/dataplane/node.h"
#include "ssn/protocol/packet_counters.h"

namespace ssn::dataplane {

/// Names of the drop nodes of protocol::DropReason, as edges of kind drop, in its order from 1 on.
inline constexpr std::size_t protocol_drops = protocol::drop_reason_count - 1;
using ProtocolDropEdges = std::array<Edge, protocol_drops>;
inline ProtocolDropEdges protocol_drop_edges() noexcept {
  ProtocolDropEdges drops;
  for (std::size_t i = 0; i < drops.size(); ++i) {
    drops[i] = {protocol::name(static_cast<protocol::DropReason>(i + 1)).data(), EdgeKind::drop};
  }
  return drops;
}
/// The edge of a reason, where `first` is that of the first one.
constexpr std::uint16_t drop_edge(std::uint16_t first, protocol::DropReason reason) noexcept {
  return static_cast<std::uint16_t>(first + static_cast<std::uint16_t>(reason) - 1);
}

}  // namespace ssn::dataplane
