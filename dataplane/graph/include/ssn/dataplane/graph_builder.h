// SPDX-License-Identifier: BSD-3-Clause
// How nodes get into a graph. Each part of the pipeline (bridges, the IP host, wire mode, ...) is a function
// that is called once for each worker, in the order of the parts, and adds its nodes:
//
//   Outcome build_echo(GraphBuilder& graph) {
//     for (const Port& port : ...) {
//       const NodeHandle echo = graph.add(echo_type, port.name, std::make_shared<Echo>(...));
//       graph.connect(graph.receive(port.name), 0, echo);      // what the port received
//       graph.connect(echo, echo_next, graph.transmit(port.name));
//     }
//     return done;
//   }
//
// A node is an instance of a type with a label: its name is TYPE-LABEL, such as "port_rx-client"; the same
// instance on several workers has one name, and its own state on each. Edges of the kind drop connect
// themselves. The pipeline keeps the states until no worker walks the graph any more.
//
// Only control threads; the graphs are built beside those that run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/counters.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

struct NodeType;
class Worker;
class Port;

struct NodeHandle {
  static constexpr std::uint32_t none = UINT32_MAX;
  std::uint32_t index = none;

  bool operator==(const NodeHandle&) const = default;
};

class GraphBuilder {
 public:
  static constexpr std::size_t nodes_max = 4096;  ///< in a worker's graph
  static constexpr std::size_t edges_max = 256;   ///< of a node
  static constexpr std::size_t label_max = 32;    ///< bytes; longer ones are an error

  virtual ~GraphBuilder() = default;
  GraphBuilder(const GraphBuilder&) = delete;
  GraphBuilder& operator=(const GraphBuilder&) = delete;

  /// Whose graph it is, from 0, and of how many.
  virtual Worker& worker() const noexcept = 0;
  virtual unsigned worker_count() const noexcept = 0;

  /// `state` is what the type's function gets as its first argument. An instance of this label that is there
  /// already is an error, which build() tells.
  template <typename State>
  NodeHandle add(const NodeType& type, std::string_view label, std::shared_ptr<State> state) {
    return add_node(type, label, std::move(state));
  }
  /// The instance that is there already, or none.
  virtual NodeHandle find(const NodeType& type, std::string_view label) const noexcept = 0;

  /// Edge number `edge` of the type of `from` leads to `to`. At most once an edge.
  virtual void connect(NodeHandle from, std::uint16_t edge, NodeHandle to) = 0;
  /// One more edge, behind those of the type; returns its number.
  virtual std::uint16_t append_edge(NodeHandle from, NodeHandle to) = 0;

  /// The node drop-REASON. Reasons: a-z, 0-9, '_'.
  virtual NodeHandle drop(std::string_view reason) = 0;
  /// What the port received on this worker comes from here, edge 0; `none` where the worker receives nothing
  /// from it: then no part connects anything. Exactly one part connects a port; unconnected ones drop as
  /// no_use.
  virtual NodeHandle receive(std::string_view port) = 0;
  /// What goes here leaves by the port: whole Ethernet frames. Always there, whichever worker sends.
  virtual NodeHandle transmit(std::string_view port) = 0;
  /// Packets for another worker: area_of(packet).worker says which. They come out of handoff_source() of the
  /// same label there. Call both on every worker; that is where they are tied together.
  virtual NodeHandle handoff(std::string_view label) = 0;
  virtual NodeHandle handoff_source(std::string_view label) = 0;

  /// This worker's counter of that name.
  virtual Counter& counter(std::string_view name, CounterKind kind = CounterKind::counter) = 0;

  /// The worker sleeps until this descriptor is readable. Once for each source that has one.
  virtual void wake_on(int fd, void (*arm)(void*), void (*disarm)(void*), void* argument) = 0;
  /// A source without a descriptor: the worker looks at it again after short naps.
  virtual void need_naps() = 0;

  /// Called on the worker when it walks this graph for the first time, and after it walked it the last time:
  /// state that outlives a graph is handed over here. `argument` lives as long as the states.
  virtual void on_enter(void (*run)(void* argument), void* argument) = 0;
  virtual void on_leave(void (*run)(void* argument), void* argument) = 0;

 protected:
  GraphBuilder() = default;
  virtual NodeHandle add_node(const NodeType& type, std::string_view label, std::shared_ptr<void> state) = 0;
};

/// One part of the pipeline. What it captures lives until the pipeline was built.
using GraphPart = std::function<Outcome(GraphBuilder&)>;

}  // namespace ssn::dataplane
