// SPDX-License-Identifier: BSD-3-Clause
// Receives frames from the queues of a port that this worker polls.
#pragma once

#include <vector>

#include "ssn/dataplane/node.h"
#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

struct PortRx {
  struct Interrupt {
    PortDevice* device;
    std::uint16_t queue;
  };
  PortRx(PortDevice& of, Counter& all_packets, Counter& all_bytes) noexcept
      : device(&of), packets(&all_packets), bytes(&all_bytes) {}

  PortDevice* device;
  Counter* packets;  ///< port.NAME.rx_packets
  Counter* bytes;
  std::vector<std::uint16_t> queues;
  std::vector<Interrupt> interrupts;
};

enum PortRxEdge : std::uint16_t { port_rx_next, port_rx_segmented };
extern const NodeType port_rx_type;

/// Of a PortRx::Interrupt, before and after its worker sleeps.
void arm_interrupt(void* interrupt);
void disarm_interrupt(void* interrupt);

}  // namespace ssn::dataplane
