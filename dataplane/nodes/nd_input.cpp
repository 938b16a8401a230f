// SPDX-License-Identifier: BSD-3-Clause
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr auto edges = edges_of(std::array<const char*, 0>{}, nd_drops);
constexpr DropEdges drops(0, nd_drops);

std::uint16_t process(AnsweringNode& node, Burst& burst) { return answer_each<nd_input>(node, burst, drops); }

}  // namespace

const NodeType nd_input_type = node_type<process>("nd_input", edges);

}  // namespace ssn::dataplane
