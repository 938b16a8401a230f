// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array<const char*, 0>{}, arp_drops);
constexpr DropEdges drops(0, arp_drops);

std::uint16_t process(AnsweringNode& node, Burst& burst) {
  return answer_each<arp_input>(node, burst, drops);
}

}  // namespace

const NodeType arp_input_type = node_type<process>("arp_input", edges);

}  // namespace ssn::dataplane
