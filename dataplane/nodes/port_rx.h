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
  PortRx(std::uint16_t port, Counter& all_packets, Counter& all_bytes) noexcept
      : port_id(port), packets(&all_packets), bytes(&all_bytes) {}

  std::uint16_t port_id;
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
