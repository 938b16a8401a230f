// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array<const char*, 0>{}, udp_drops);
constexpr DropEdges drops(0, udp_drops);

std::uint16_t process(UdpInput& node, Burst& burst) {
  const Host& host = *node.shared->host;
  return decide_each(burst, [&](Packet& packet) -> std::uint16_t {
    Frame frame = frame_of(packet);
    frame.l4_checksum =
        checksum_flag(packet.ol_flags, RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_BAD);
    const Step step = udp_input(host, frame);
    if (step.next == Next::drop) return drops[step.reason];
    const std::uint16_t edge = node.listener_edges[step.listener];
    if (edge == 0) return drops[HostDrop::udp_port_unknown];
    trim(packet, step);
    return edge;
  });
}

}  // namespace

const NodeType udp_input_type = node_type<process>("udp_input", edges);

}  // namespace ssn::dataplane
