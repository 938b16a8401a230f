// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array<const char*, 0>{}, output_drops);
constexpr DropEdges drops(0, output_drops);

/// What the port is to compute.
void request_checksums(Packet& packet, const Encapsulated& header, bool v6) noexcept {
  packet.tx_offload = 0;
  packet.l2_len = header.l2_bytes & 0x7FU;
  packet.l3_len = header.l3_bytes;
  packet.ol_flags |= v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
  if (header.ip_checksum_by_port) packet.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
  if (header.udp_checksum_by_port) packet.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
}

/// Packets of a burst that leave over one link.
void send_run(SendingNode& node, Burst& burst, std::uint32_t index, Packet* const* packets,
              std::uint16_t count) {
  HostWorker& worker = node.shared->worker;
  const HostLink& link = worker.link(index);
  Encapsulator encapsulator(worker, index, burst.worker().now_ns());
  const Encapsulated& common = encapsulator.common();
  if (common.ask != NeighbourTable::Ask::no) [[unlikely]] {
    send_own(node, burst, common.port, [&](std::span<std::uint8_t> out) {
      return write_solicitation(worker, link.neighbour, common.ask, out);
    });
    node.shared->publish();
  }
  if (common.reason != HostDrop::none) return burst.send(drops[common.reason], packets, count);
  const bool port_computes = common.ip_checksum_by_port || common.udp_checksum_by_port;
  Packet* fitting[Burst::chunk];
  std::uint16_t fits = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    Packet& packet = *packets[i];
    assert(headroom_of(packet) >= encapsulator.room());
    const std::uint32_t bytes = length_of(packet);
    if (!encapsulator.fits(bytes)) [[unlikely]] {
      burst.send(drops[HostDrop::payload_too_long], packet);
      continue;
    }
    encapsulator.write(data_of(packet), bytes);
    prepend(packet, common.header_bytes);
    packet.port = common.port;
    if (port_computes) request_checksums(packet, common, link.v6);
    fitting[fits++] = &packet;
  }
  burst.send(node.transmit[common.port], fitting, fits);
}

std::uint16_t process(SendingNode& node, Burst& burst) {
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    for (std::uint16_t begin = 0; begin < count;) {
      const std::uint32_t link = link_of(*packets[begin]);
      assert(node.shared->worker.is_link(link));
      auto end = static_cast<std::uint16_t>(begin + 1);
      while (end < count && link_of(*packets[end]) == link) ++end;
      send_run(node, burst, link, packets + begin, static_cast<std::uint16_t>(end - begin));
      begin = end;
    }
  });
  return burst.size();
}

}  // namespace

const NodeType link_output_type = node_type<process>("link_output", edges);

}  // namespace ssn::dataplane
