// SPDX-License-Identifier: BSD-3-Clause
// The nodes of a graph of DPDK, one after another: rte_graph_foreach_node for C++.
#pragma once

#include <rte_graph.h>
#include <rte_graph_worker.h>

namespace ssn::dataplane {

template <typename Function>
void for_each_node(rte_graph& graph, Function function) {
  rte_graph_off_t offset = graph.nodes_start;
  for (rte_node_t i = 0; i < graph.nb_nodes; ++i) {
    rte_node& node = *reinterpret_cast<rte_node*>(reinterpret_cast<char*>(&graph) + offset);
    offset = node.next;
    function(node);
  }
}

}  // namespace ssn::dataplane
