// SPDX-License-Identifier: BSD-3-Clause
// Receives frames from the queues of a port that this worker polls.
#pragma once

#include <vector>

#include "ssn/dataplane/node.h"

namespace ssn::dataplane {

struct PortRx {
  struct Interrupt {
    std::uint16_t port_id;
    std::uint16_t queue;
  };
  std::uint16_t port_id = 0;
  std::uint32_t port_index = 0;  ///< in the configuration
  std::vector<std::uint16_t> queues;
  std::vector<Interrupt> interrupts;
};

enum PortRxEdge : std::uint16_t { port_rx_next };
extern const NodeType port_rx_type;

/// Of a PortRx::Interrupt, before and after its worker sleeps.
void arm_interrupt(void* interrupt);
void disarm_interrupt(void* interrupt);

}  // namespace ssn::dataplane
