// SPDX-License-Identifier: BSD-3-Clause
// From one worker to another: handoff writes packets into the ring of the worker that they are for, its
// handoff_source reads them there.
#pragma once

#include "../graph/handoffs.h"
#include "ssn/dataplane/node.h"

namespace ssn::dataplane {

struct Handoff {
  static constexpr unsigned by_packet = UINT32_MAX;
  HandoffRings* rings = nullptr;
  unsigned target = by_packet;  ///< of all packets, or what area_of(packet).worker says
};
struct HandoffSource {
  rte_ring* ring = nullptr;
};

enum HandoffEdge : std::uint16_t { handoff_full };
extern const NodeType handoff_type;
enum HandoffSourceEdge : std::uint16_t { handoff_source_next };
extern const NodeType handoff_source_type;

}  // namespace ssn::dataplane
