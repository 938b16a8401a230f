// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array<const char*, 0>{}, output_drops);
constexpr DropEdges drops(0, output_drops);

/// What the port is to compute.
void request_checksums(Packet& packet, const Encapsulated& header, bool v6) noexcept {
  packet.l2_len = header.l2_bytes & 0x7FU;
  packet.l3_len = header.l3_bytes;
  packet.ol_flags |= v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
  if (header.ip_checksum_by_port) packet.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
  if (header.udp_checksum_by_port) packet.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
}

std::uint16_t process(SendingNode& node, Burst& burst) {
  HostWorker& worker = node.shared->worker;
  const Host& host = *node.shared->host;
  const std::uint64_t now = burst.worker().now_ns();
  return decide_each(burst, [&](Packet& packet) -> std::uint16_t {
    const std::uint32_t link = area_of(packet).stream;
    assert(link < host.link_count() && headroom_of(packet) >= host.link(link).header_bytes);
    const Encapsulated header = encapsulate(worker, link, data_of(packet), length_of(packet), now);
    if (header.ask != NeighbourTable::Ask::no) [[unlikely]] {
      send_own(node, burst, header.port, [&](std::span<std::uint8_t> out) {
        return write_solicitation(worker, host.link(link).neighbour, header.ask, out);
      });
      node.shared->publish();
    }
    if (header.reason != HostDrop::none) return drops[header.reason];
    prepend(packet, header.header_bytes);
    packet.port = header.port;
    if (header.ip_checksum_by_port || header.udp_checksum_by_port) {
      request_checksums(packet, header, host.link(link).v6);
    }
    return node.transmit[header.port];
  });
}

}  // namespace

const NodeType link_output_type = node_type<process>("link_output", edges);

}  // namespace ssn::dataplane
