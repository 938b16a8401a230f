// SPDX-License-Identifier: BSD-3-Clause
#include "port_rx.h"

#include <rte_ethdev.h>

namespace ssn::dataplane {
namespace {

std::uint16_t receive(PortRx& state, Burst& burst) {
  std::uint32_t total = 0;
  for (const std::uint16_t queue : state.queues) {
    Packet** const packets = burst.reserve(port_rx_next, Burst::chunk);
    const std::uint16_t count = rte_eth_rx_burst(state.port_id, queue, packets, Burst::chunk);
    if (count == 0) continue;
    if (burst.is_tracing()) burst.begin_trace(packets, count, state.port_index);
    burst.commit(port_rx_next, packets, count);
    total += count;
  }
  if (total != 0) burst.worker().note_work();
  return static_cast<std::uint16_t>(total);
}

constexpr Edge edges[] = {{"next"}};

}  // namespace

void arm_interrupt(void* interrupt) {
  const auto& of = *static_cast<PortRx::Interrupt*>(interrupt);
  rte_eth_dev_rx_intr_enable(of.port_id, of.queue);
}
void disarm_interrupt(void* interrupt) {
  const auto& of = *static_cast<PortRx::Interrupt*>(interrupt);
  rte_eth_dev_rx_intr_disable(of.port_id, of.queue);
}

const NodeType port_rx_type = source_type<receive>("port_rx", edges);

}  // namespace ssn::dataplane
