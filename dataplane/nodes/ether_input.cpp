// SPDX-License-Identifier: BSD-3-Clause
// The first to look at what a port received. Datagrams of known links, which nearly all are, it gives to
// their listener at once (link_input.h); everything else goes from layer to layer.
#include "host_edges.h"
#include "ssn/dataplane/link_input.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array{"arp", "ip4", "ip6"}, ether_drops);
constexpr DropEdges drops(3, ether_drops);
constexpr std::uint16_t ahead = 4;

std::uint16_t edge_of(const Host& host, Frame& frame, Packet& packet) noexcept {
  const Step step = ether_input(host, frame);
  packet.l2_len = frame.l3 & 0x7FU;
  switch (step.next) {
    case Next::ip4:
      return ether_to_ip4;
    case Next::ip6:
      return ether_to_ip6;
    case Next::arp:
      return ether_to_arp;
    default:
      return drops[step.reason];
  }
}

std::uint16_t look(EtherInput& node, const HostPort*& port, Burst& burst, Packet& packet) noexcept {
  assert(is_contiguous(packet));
  Frame frame;
  frame.data = data_of(packet);
  frame.length = frame.room = length_of(packet);
  frame.port = packet.port;
  frame.ip_checksum = checksum_flag(packet.ol_flags, RTE_MBUF_F_RX_IP_CKSUM_MASK, RTE_MBUF_F_RX_IP_CKSUM_BAD);
  frame.l4_checksum = checksum_flag(packet.ol_flags, RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_BAD);
  const Host& host = *node.shared->host;
  // Neighbours in a burst mostly came by the same port.
  if (port == nullptr || port->id != packet.port) port = host.port(packet.port);
  Step step;
  if (port != nullptr && link_input(host, *port, frame, step)) [[likely]] {
    const std::uint16_t edge = node.listener_edges[step.listener];
    if (edge != 0) [[likely]] {
      if (host.limits().guests != 0) {  // who listens may want to know where a datagram came from
        packet.l2_len = ethernet_bytes;
        packet.l3_len = ip4_bytes;
      }
      burst.remark(packet, "a link's datagram: {} bytes for listener {}", step.length, step.listener);
      trim(packet, step);
      return edge;
    }
  }
  return edge_of(host, frame, packet);
}

// Asks for the bytes before it needs them.
std::uint16_t process(EtherInput& node, Burst& burst) {
  std::uint16_t chosen[Burst::chunk];
  const HostPort* port = nullptr;
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    for (std::uint16_t i = 0; i < std::min(ahead, count); ++i) rte_prefetch0(data_of(*packets[i]));
    for (std::uint16_t i = 0; i < count; ++i) {
      if (i + ahead < count) rte_prefetch0(data_of(*packets[i + ahead]));
      chosen[i] = look(node, port, burst, *packets[i]);
    }
    const bool same =
        std::all_of(chosen, chosen + count, [&](std::uint16_t edge) { return edge == chosen[0]; });
    if (same && count == burst.size()) {
      burst.send_all(chosen[0]);
    } else {
      burst.send_each(packets, chosen, count);
    }
  });
  return burst.size();
}

}  // namespace

const NodeType ether_input_type = node_type<process>("ether_input", edges);

}  // namespace ssn::dataplane
