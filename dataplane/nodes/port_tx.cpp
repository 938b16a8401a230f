// SPDX-License-Identifier: BSD-3-Clause
#include "port_tx.h"

#include <rte_ethdev.h>

namespace ssn::dataplane {
namespace {

// A port that is busy is offered packets so often. Then they are dropped: waiting would stop all others.
constexpr unsigned tries = 4;

void send_chunk(PortTx& state, Burst& burst, Packet** packets, std::uint16_t count) noexcept {
  std::uint16_t sent = 0;
  for (unsigned i = 0; sent < count && i < tries; ++i) {
    const auto left = static_cast<std::uint16_t>(count - sent);
    std::uint16_t ready = left;
    if (state.prepares) {
      ready = rte_eth_tx_prepare(state.port_id, state.queue, packets + sent, left);
      if (ready == 0) {
        burst.send(port_tx_refused, *packets[sent++]);
        continue;
      }
    }
    sent = static_cast<std::uint16_t>(sent +
                                      rte_eth_tx_burst(state.port_id, state.queue, packets + sent, ready));
  }
  burst.send(port_tx_full, packets + sent, static_cast<std::uint16_t>(count - sent));
}

std::uint16_t send(PortTx& state, Burst& burst) {
  Packet* fitting[Burst::chunk];
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    std::uint16_t fits = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      if (length_of(*packets[i]) > state.longest) [[unlikely]] {
        burst.send(port_tx_too_long, *packets[i]);
      } else {
        fitting[fits++] = packets[i];
      }
    }
    for (std::uint16_t i = 0; burst.is_tracing() && i < fits; ++i) burst.remark(*fitting[i], "sent");
    send_chunk(state, burst, fitting, fits);
  });
  return burst.size();
}

constexpr Edge edges[] = {{"port_tx_full", EdgeKind::drop},
                          {"port_tx_too_long", EdgeKind::drop},
                          {"port_tx_refused", EdgeKind::drop}};

}  // namespace

const NodeType port_tx_type = node_type<send>("port_tx", edges);

}  // namespace ssn::dataplane
