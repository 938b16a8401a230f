// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array{"nd"}, icmp6_drops);
constexpr DropEdges drops(1, icmp6_drops);
static_assert(icmp6_to_nd == 0, "where answer_each() passes packets on");

std::uint16_t process(AnsweringNode& node, Burst& burst) {
  return answer_each<icmp6_input>(node, burst, drops);
}

}  // namespace

const NodeType icmp6_input_type = node_type<process>("icmp6_input", edges);

}  // namespace ssn::dataplane
