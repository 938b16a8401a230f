// SPDX-License-Identifier: BSD-3-Clause
#include "handoff.h"

#include <rte_ring.h>

namespace ssn::dataplane {
namespace {

unsigned target_of(const Handoff& state, Packet& packet) noexcept {
  return state.target != Handoff::by_packet ? state.target : area_of(packet).worker;
}

std::uint16_t hand_off(Handoff& state, Burst& burst) {
  for (std::uint16_t begin = 0; begin < burst.size();) {
    const unsigned target = target_of(state, burst[begin]);
    auto end = static_cast<std::uint16_t>(begin + 1);
    while (end < burst.size() && target_of(state, burst[end]) == target) ++end;
    const auto count = static_cast<std::uint16_t>(end - begin);
    Packet* const* const packets = burst.packets() + begin;
    unsigned taken = 0;
    if (target < state.rings->size()) {
      taken = rte_ring_enqueue_burst(state.rings->ring_of(target), reinterpret_cast<void* const*>(packets),
                                     count, nullptr);
      if (taken != 0) state.rings->worker(target).wake();
    }
    burst.send(handoff_full, packets + taken, static_cast<std::uint16_t>(count - taken));
    begin = end;
  }
  return burst.size();
}

std::uint16_t take_over(HandoffSource& state, Burst& burst) {
  Packet** const packets = burst.reserve(handoff_source_next, Burst::chunk);
  const unsigned count =
      rte_ring_dequeue_burst(state.ring, reinterpret_cast<void**>(packets), Burst::chunk, nullptr);
  if (count == 0) return 0;
  burst.worker().note_work();
  burst.commit(handoff_source_next, packets, static_cast<std::uint16_t>(count));
  return static_cast<std::uint16_t>(count);
}

constexpr Edge edges[] = {{"handoff_full", EdgeKind::drop}};
constexpr Edge source_edges[] = {{"next"}};

}  // namespace

const NodeType handoff_type = node_type<hand_off>("handoff", edges);
const NodeType handoff_source_type = source_type<take_over>("handoff_source", source_edges);

}  // namespace ssn::dataplane
