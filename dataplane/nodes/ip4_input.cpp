// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array{"udp", "icmp4"}, ip4_drops);
constexpr DropEdges drops(2, ip4_drops);

std::uint16_t process(PassingNode& node, Burst& burst) {
  const Host& host = *node.shared->host;
  return decide_each(burst, [&](Packet& packet) -> std::uint16_t {
    Frame frame = frame_of(packet);
    frame.ip_checksum =
        checksum_flag(packet.ol_flags, RTE_MBUF_F_RX_IP_CKSUM_MASK, RTE_MBUF_F_RX_IP_CKSUM_BAD);
    const Step step = ip4_input(host, frame);
    if (step.next == Next::drop) return drops[step.reason];
    packet.l3_len = static_cast<std::uint16_t>(frame.l4 - frame.l3) & 0x1FFU;
    set_length(packet, static_cast<std::uint16_t>(frame.end));
    return step.next == Next::udp ? ip4_to_udp : ip4_to_icmp;
  });
}

}  // namespace

const NodeType ip4_input_type = node_type<process>("ip4_input", edges);

}  // namespace ssn::dataplane
