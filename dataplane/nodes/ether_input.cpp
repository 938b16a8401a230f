// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array{"arp", "ip4", "ip6"}, ether_drops);
constexpr DropEdges drops(3, ether_drops);
constexpr std::uint16_t ahead = 4;

std::uint16_t edge_of(const Host& host, Packet& packet) noexcept {
  assert(is_contiguous(packet));
  Frame frame;
  frame.data = data_of(packet);
  frame.length = frame.room = length_of(packet);
  frame.port = packet.port;
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

// The first to look at what a port received: asks for the bytes before it needs them.
std::uint16_t process(PassingNode& node, Burst& burst) {
  const Host& host = *node.shared->host;
  std::uint16_t chosen[Burst::chunk];
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    for (std::uint16_t i = 0; i < std::min(ahead, count); ++i) rte_prefetch0(data_of(*packets[i]));
    for (std::uint16_t i = 0; i < count; ++i) {
      if (i + ahead < count) rte_prefetch0(data_of(*packets[i + ahead]));
      chosen[i] = edge_of(host, *packets[i]);
    }
    burst.send_each(packets, chosen, count);
  });
  return burst.size();
}

}  // namespace

const NodeType ether_input_type = node_type<process>("ether_input", edges);

}  // namespace ssn::dataplane
