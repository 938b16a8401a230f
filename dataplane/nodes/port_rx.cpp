// SPDX-License-Identifier: BSD-3-Clause
#include "port_rx.h"

namespace ssn::dataplane {
namespace {

// Some soft devices chain buffers when a frame is longer than one, hence longer than the MTU permits.
std::uint16_t keep_contiguous(Burst& burst, Packet** packets, std::uint16_t count) {
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    if (is_contiguous(*packets[i])) {
      packets[kept++] = packets[i];
    } else {
      burst.send(port_rx_segmented, *packets[i]);
    }
  }
  return kept;
}

std::uint16_t receive(PortRx& state, Burst& burst) {
  std::uint32_t total = 0;
  for (const std::uint16_t queue : state.queues) {
    Packet** const packets = burst.reserve(port_rx_next, Burst::chunk);
    std::uint16_t count = state.device->receive(queue, packets, Burst::chunk);
    if (count == 0) continue;
    std::uint64_t bytes = 0;
    bool contiguous = true;
    for (std::uint16_t i = 0; i < count; ++i) {
      bytes += length_of(*packets[i]);
      contiguous = contiguous && is_contiguous(*packets[i]);
    }
    state.packets->add(count);
    state.bytes->add(bytes);
    total += count;
    if (!contiguous) [[unlikely]] {
      count = keep_contiguous(burst, packets, count);
    }
    burst.begin_trace(packets, count);
    burst.commit(port_rx_next, packets, count);
  }
  if (total != 0) burst.worker().note_work();
  return static_cast<std::uint16_t>(total);
}

constexpr Edge edges[] = {{"next"}, {"segmented", EdgeKind::drop}};

}  // namespace

void arm_interrupt(void* interrupt) {
  const auto& of = *static_cast<PortRx::Interrupt*>(interrupt);
  of.device->arm(of.queue);
}
void disarm_interrupt(void* interrupt) {
  const auto& of = *static_cast<PortRx::Interrupt*>(interrupt);
  of.device->disarm(of.queue);
}

const NodeType port_rx_type = source_type<receive>("port_rx", edges);

}  // namespace ssn::dataplane
