// SPDX-License-Identifier: BSD-3-Clause
#include "pipeline_builder.h"

#include <fmt/core.h>
#include <rte_errno.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>

#include "../nodes/drop.h"
#include "../nodes/handoff.h"
#include "../nodes/port_rx.h"
#include "../nodes/port_tx.h"
#include "graph_nodes.h"
#include "handoffs.h"
#include "ssn/dataplane/node.h"

namespace ssn::dataplane {
namespace {

// What init_node() looks up while rte_graph_create() runs: states by DPDK's number of the node.
thread_local const std::unordered_map<std::uint32_t, NodeContext>* contexts = nullptr;

bool is_name(std::string_view text, std::size_t longest) noexcept {
  return !text.empty() && text.size() <= longest && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

Error dpdk_error(const std::string& what, const std::string& where) {
  return {Exit::failed, what, rte_strerror(rte_errno), where,
          "give the process more memory ([eal] memory), and report this if that does not help"};
}

}  // namespace

NodeHandle Pipeline::Builder::add_node(const NodeType& type, std::string_view label,
                                       std::shared_ptr<void> state) {
  if (!is_name(label, label_max)) mistake(fmt::format("'{}' cannot be the label of a node", label));
  if (find(type, label).index != NodeHandle::none) {
    mistake(fmt::format("the node {}-{} was added twice", type.name, label));
  }
  if (instances_.size() == nodes_max) mistake("there are too many nodes");
  Instance instance;
  instance.type = &type;
  instance.label = label;
  instance.state = state.get();
  instance.edges.resize(type.edges.size());
  instances_.push_back(std::move(instance));
  built_.states.push_back(std::move(state));
  return {static_cast<std::uint32_t>(instances_.size() - 1)};
}

NodeHandle Pipeline::Builder::find(const NodeType& type, std::string_view label) const noexcept {
  for (std::uint32_t i = 0; i < instances_.size(); ++i) {
    if (instances_[i].type == &type && instances_[i].label == label) return {i};
  }
  return {};
}

void Pipeline::Builder::connect(NodeHandle from, std::uint16_t edge, NodeHandle to) {
  if (from.index >= instances_.size() || to.index >= instances_.size() ||
      edge >= instances_[from.index].edges.size()) {
    mistake("an edge connects what is not there");
    return;
  }
  Instance& instance = instances_[from.index];
  if (instance.edges[edge].index != NodeHandle::none) {
    mistake(fmt::format("edge {} of {} was connected twice", edge, registered_name(instance)));
  }
  if (instances_[to.index].type->is_source) {
    mistake(fmt::format("an edge leads to the source {}", registered_name(instances_[to.index])));
  }
  instance.edges[edge] = to;
}

std::uint16_t Pipeline::Builder::append_edge(NodeHandle from, NodeHandle to) {
  if (from.index >= instances_.size() || instances_[from.index].edges.size() >= edges_max) {
    mistake("a node that is not there, or has too many edges, gets one more");
    return 0;
  }
  const auto edge = static_cast<std::uint16_t>(instances_[from.index].edges.size());
  instances_[from.index].edges.emplace_back();
  connect(from, edge, to);
  return edge;
}

NodeHandle Pipeline::Builder::drop(std::string_view reason) {
  if (const NodeHandle known = find(drop_type, reason); known.index != NodeHandle::none) return known;
  return add(drop_type, reason,
             std::make_shared<Drop>(counter("drop." + std::string(reason), CounterKind::counter)));
}

const Port* Pipeline::Builder::port(std::string_view name) const noexcept {
  for (const Port* each : place_.ports) {
    if (each->name == name) return each;
  }
  return nullptr;
}

NodeHandle Pipeline::Builder::receive(std::string_view name) {
  if (const NodeHandle known = find(port_rx_type, name); known.index != NodeHandle::none) return known;
  const Port* const found = port(name);
  if (found == nullptr) {
    mistake(fmt::format("there is no port '{}'", name));
    return {};
  }
  const std::string counted = fmt::format("port.{}.", name);
  auto state = std::make_shared<PortRx>(*found->io, counter(counted + "rx_packets", CounterKind::counter),
                                        counter(counted + "rx_bytes", CounterKind::counter));
  for (std::uint16_t queue = 0; queue < found->receive_queues; ++queue) {
    if (queue % worker_count() == worker().index()) state->queues.push_back(queue);
  }
  if (state->queues.empty()) return {};
  state->interrupts.reserve(state->queues.size());
  for (const std::uint16_t queue : state->queues) {
    const int fd = queue < found->wake_fds.size() ? found->wake_fds[queue] : -1;
    if (fd < 0) {
      need_naps();
    } else if (found->has_interrupts) {
      state->interrupts.push_back({found->io.get(), queue});
      wake_on(fd, arm_interrupt, disarm_interrupt, &state->interrupts.back());
    } else {
      wake_on(fd, nullptr, nullptr, nullptr);
    }
  }
  return add(port_rx_type, name, state);
}

// Which worker sends for this one.
unsigned Pipeline::Builder::sender_of(const Port& port) const noexcept {
  return worker().index() % port.send_queues;
}

NodeHandle Pipeline::Builder::transmit(std::string_view name) {
  const Port* const found = port(name);
  if (found == nullptr) {
    mistake(fmt::format("there is no port '{}'", name));
    return drop("no_port");
  }
  if (sender_of(*found) != worker().index()) return handoff(fmt::format("tx-{}", name));
  if (const NodeHandle known = find(port_tx_type, name); known.index != NodeHandle::none) return known;
  const std::string counted = fmt::format("port.{}.", name);
  auto state = std::make_shared<PortTx>(*found->io, counter(counted + "tx_packets", CounterKind::counter),
                                        counter(counted + "tx_bytes", CounterKind::counter),
                                        counter(counted + "tx_waited", CounterKind::counter));
  state->queue = static_cast<std::uint16_t>(worker().index());
  state->prepares = found->offloads.send_ipv4_checksum || found->offloads.send_udp_checksum;
  state->longest = found->frame_max();
  const NodeHandle sender = add(port_tx_type, name, state);
  if (flush_ == nullptr) {
    flush_ = std::make_shared<PortFlush>();
    add(port_flush_type, "all", flush_);
  }
  flush_->ports.push_back(state);
  append_edge(find(port_flush_type, "all"), sender);
  return sender;
}

NodeHandle Pipeline::Builder::handoff(std::string_view label) {
  if (const NodeHandle known = find(handoff_type, label); known.index != NodeHandle::none) return known;
  if (worker_count() == 1) return drop("no_worker");
  Result<HandoffRings*> rings = place_.handoffs.rings(label);
  if (!rings.ok()) {
    mistake(rings.error().what + ": " + rings.error().why);
    return drop("no_worker");
  }
  auto state = std::make_shared<Handoff>();
  state->rings = rings.value();
  if (label.starts_with("tx-")) {
    if (const Port* const found = port(label.substr(3)); found != nullptr) state->target = sender_of(*found);
  }
  return add(handoff_type, label, state);
}

NodeHandle Pipeline::Builder::handoff_source(std::string_view label) {
  if (const NodeHandle known = find(handoff_source_type, label); known.index != NodeHandle::none)
    return known;
  Result<HandoffRings*> rings = place_.handoffs.rings(label);
  if (!rings.ok()) {
    mistake(rings.error().what + ": " + rings.error().why);
    return {};
  }
  auto state = std::make_shared<HandoffSource>();
  state->ring = rings.value()->ring_of(worker().index());
  return add(handoff_source_type, label, state);
}

Counter& Pipeline::Builder::counter(std::string_view name, CounterKind kind) {
  return place_.counters.get(worker().index(), name, kind);
}

void Pipeline::Builder::wake_on(int fd, void (*arm)(void*), void (*disarm)(void*), void* argument) {
  if (built_.wake_sources.size() == WorkerGraph::wake_sources_max) {
    need_naps();
    return;
  }
  built_.wake_sources.push_back({fd, arm, disarm, argument});
}

void Pipeline::Builder::mistake(std::string what) {
  if (mistake_.empty()) mistake_ = std::move(what);
}

// Workers without a send queue hand packets to this one.
void Pipeline::Builder::tie_senders(const Port& port) {
  if (port.send_queues >= worker_count() || sender_of(port) != worker().index()) return;
  const NodeHandle source = handoff_source(fmt::format("tx-{}", port.name));
  if (source.index != NodeHandle::none) connect(source, 0, transmit(port.name));
}

Outcome Pipeline::Builder::finish() {
  for (const Port* each : place_.ports) {
    if (each->send_queues == 0) mistake(fmt::format("port '{}' cannot send", each->name));
    if (!mistake_.empty()) break;
    tie_senders(*each);
    const NodeHandle source = receive(each->name);
    if (source.index != NodeHandle::none && instances_[source.index].edges[0].index == NodeHandle::none) {
      connect(source, 0, drop("no_use"));
    }
  }
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    for (std::uint16_t edge = 0; edge < instances_[i].edges.size(); ++edge) {
      if (instances_[i].edges[edge].index != NodeHandle::none) continue;
      const Edge& of_type = instances_[i].type->edges[edge];
      if (of_type.kind == EdgeKind::drop) {
        const NodeHandle dropper = drop(of_type.name);
        instances_[i].edges[edge] = dropper;
      } else {
        mistake(
            fmt::format("the edge '{}' of {} leads nowhere", of_type.name, registered_name(instances_[i])));
      }
    }
  }
  if (!mistake_.empty()) {
    return Error{Exit::failed, "cannot build the graph of packets", mistake_,
                 fmt::format("worker {}", worker().index()),
                 "this is a defect of Shareline: please report it"};
  }
  for (const Instance& each : instances_) {
    if (each.type->is_source) built_.sources.push_back(registered_name(each));
  }
  return done;
}

std::string Pipeline::Builder::registered_label(const Instance& instance) const {
  return fmt::format("{}@{}{}", instance.label, worker().index(), place_.slot);
}
std::string Pipeline::Builder::registered_name(const Instance& instance) const {
  return fmt::format("{}-{}", instance.type->name, registered_label(instance));
}

int Pipeline::Builder::init_node(const rte_graph*, rte_node* node) {
  const auto found = contexts->find(node->id);
  if (found == contexts->end()) return -1;
  std::memcpy(node->ctx, &found->second, sizeof found->second);
  return 0;
}

Outcome Pipeline::Builder::register_node(Instance& instance) {
  const std::string name = registered_name(instance);
  instance.id = rte_node_from_name(name.c_str());
  if (instance.id != RTE_NODE_ID_INVALID) return done;
  rte_node_t parent = rte_node_from_name(instance.type->name);
  if (parent == RTE_NODE_ID_INVALID) {
    rte_node_register base{};
    std::strncpy(base.name, instance.type->name, sizeof base.name - 1);
    base.flags = instance.type->is_source ? RTE_NODE_SOURCE_F : 0;
    base.process = instance.type->process;
    base.init = init_node;
    base.id = RTE_NODE_ID_INVALID;
    base.parent_id = RTE_NODE_ID_INVALID;
    parent = __rte_node_register(&base);
    if (parent == RTE_NODE_ID_INVALID)
      return dpdk_error("cannot register a kind of node", instance.type->name);
  }
  instance.id = rte_node_clone(parent, registered_label(instance).c_str());
  if (instance.id == RTE_NODE_ID_INVALID) return dpdk_error("cannot register a node", name);
  return done;
}

Outcome Pipeline::Builder::set_edges(const Instance& instance) {
  std::vector<std::string> names;
  std::vector<const char*> pointers;
  for (const NodeHandle to : instance.edges) names.push_back(registered_name(instances_[to.index]));
  for (const std::string& each : names) pointers.push_back(each.c_str());
  const auto count = static_cast<rte_edge_t>(pointers.size());
  const rte_edge_t now = rte_node_edge_count(instance.id);
  if (count < now && rte_node_edge_shrink(instance.id, count) != count) {
    return dpdk_error("cannot take edges off a node", registered_name(instance));
  }
  if (count != 0 && rte_node_edge_update(instance.id, 0, pointers.data(), count) != count) {
    return dpdk_error("cannot connect a node", registered_name(instance));
  }
  return done;
}

// Streams grow when they are too short, which is an allocation: so they are long enough from the start.
Outcome Pipeline::Builder::size_streams(rte_graph& graph) {
  std::string too_short;
  for_each_node(graph, [&](rte_node& node) {
    if (node.size < stream_packets) {
      __rte_node_stream_alloc_size(&graph, &node, stream_packets);
    }
    if (node.size < stream_packets) {
      too_short = node.name;
    }
    node.realloc_count = 0;
  });
  if (!too_short.empty()) {
    return Error{Exit::temporary, "cannot make the streams between nodes", "there is no memory left",
                 too_short, "give the process more memory: [eal] memory"};
  }
  return done;
}

Result<rte_graph*> Pipeline::Builder::create(int numa_node) {
  std::unordered_map<std::uint32_t, NodeContext> states;
  for (Instance& each : instances_) {
    if (Outcome outcome = register_node(each); !outcome.ok()) return outcome.error();
    states[each.id] = {each.state, &place_.worker};
    if (each.type->is_source) {
      auto source = std::make_shared<SourceContext>();
      source->state = each.state;
      states[each.id].state = source.get();
      built_.states.push_back(std::move(source));
    }
  }
  for (const Instance& each : instances_) {
    if (Outcome outcome = set_edges(each); !outcome.ok()) return outcome.error();
  }
  // DPDK adds whatever can be reached from the sources.
  std::vector<const char*> patterns;
  for (const std::string& each : built_.sources) patterns.push_back(each.c_str());
  rte_graph_param parameters{};
  parameters.socket_id = numa_node;
  parameters.nb_node_patterns = static_cast<std::uint16_t>(patterns.size());
  parameters.node_patterns = patterns.data();
  const std::string name = fmt::format("worker{}{}", worker().index(), place_.slot);
  contexts = &states;
  const rte_graph_t id = rte_graph_create(name.c_str(), &parameters);
  contexts = nullptr;
  rte_graph* const graph = id == RTE_GRAPH_ID_INVALID ? nullptr : rte_graph_lookup(name.c_str());
  if (graph == nullptr) return dpdk_error("cannot make the graph of packets", name);
  if (Outcome outcome = size_streams(*graph); !outcome.ok()) {
    rte_graph_destroy(graph->id);
    return outcome.error();
  }
  return graph;
}

}  // namespace ssn::dataplane
