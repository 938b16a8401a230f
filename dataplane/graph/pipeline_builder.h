// SPDX-License-Identifier: BSD-3-Clause
// The builder that parts see: collects instances and edges of one worker's graph, then has DPDK make it.
//
// DPDK's nodes can never be freed, and their edges belong to the name, not to a graph. So each instance is
// registered once for each worker and slot, as TYPE-LABEL@WORKERSLOT: edges of a slot change only while no
// graph is made of it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/pipeline.h"

struct rte_graph;
struct rte_node;

namespace ssn::dataplane {

struct NodeType;
struct PortFlush;

/// What a graph needs for as long as it is walked.
struct BuiltGraph {
  struct Hook {
    void (*run)(void*);
    void* argument;
  };
  std::vector<std::shared_ptr<void>> states;
  std::vector<std::string> sources;  // registered names
  std::vector<WakeSource> wake_sources;
  bool needs_naps = false;
  std::vector<Hook> on_enter;
  std::vector<Hook> on_leave;
};

struct Pipeline::WorkerSlot {
  WorkerSlot() = default;
  WorkerSlot(const WorkerSlot&) = delete;
  WorkerSlot& operator=(const WorkerSlot&) = delete;
  ~WorkerSlot();

  std::vector<NodeStatistics> statistics() const;

  BuiltGraph built;
  WorkerGraph walked;
  rte_graph* graph = nullptr;
};

class Pipeline::Builder final : public GraphBuilder {
 public:
  struct Place {
    Worker& worker;
    const std::vector<Worker*>& workers;
    const std::vector<const Port*>& ports;
    Counters& counters;
    Handoffs& handoffs;
    char slot;
  };
  Builder(const Place& place, BuiltGraph& built) : place_(place), built_(built) {}

  Worker& worker() const noexcept override { return place_.worker; }
  unsigned worker_count() const noexcept override { return static_cast<unsigned>(place_.workers.size()); }
  NodeHandle find(const NodeType& type, std::string_view label) const noexcept override;
  void connect(NodeHandle from, std::uint16_t edge, NodeHandle to) override;
  std::uint16_t append_edge(NodeHandle from, NodeHandle to) override;
  NodeHandle drop(std::string_view reason) override;
  NodeHandle receive(std::string_view port) override;
  NodeHandle transmit(std::string_view port) override;
  NodeHandle handoff(std::string_view label) override;
  NodeHandle handoff_source(std::string_view label) override;
  Counter& counter(std::string_view name, CounterKind kind) override;
  void wake_on(int fd, void (*arm)(void*), void (*disarm)(void*), void* argument) override;
  void need_naps() override { built_.needs_naps = true; }
  void on_enter(void (*run)(void*), void* argument) override { built_.on_enter.push_back({run, argument}); }
  void on_leave(void (*run)(void*), void* argument) override { built_.on_leave.push_back({run, argument}); }

  /// After all parts: ports that nobody uses, edges that nobody connected, the first mistake of a part.
  Outcome finish();
  /// Registers what is new, and makes the graph.
  Result<rte_graph*> create(int numa_node);

 protected:
  NodeHandle add_node(const NodeType& type, std::string_view label, std::shared_ptr<void> state) override;

 private:
  struct Instance {
    const NodeType* type = nullptr;
    std::string label;
    void* state = nullptr;
    std::vector<NodeHandle> edges;
    std::uint32_t id = 0;  // DPDK's
  };

  const Port* port(std::string_view name) const noexcept;
  unsigned sender_of(const Port& port) const noexcept;
  void tie_senders(const Port& port);
  std::string registered_label(const Instance& instance) const;
  std::string registered_name(const Instance& instance) const;
  void mistake(std::string what);
  Outcome register_node(Instance& instance);
  Outcome set_edges(const Instance& instance);
  static Outcome size_streams(rte_graph& graph);
  static int init_node(const rte_graph* graph, rte_node* node);

  Place place_;
  BuiltGraph& built_;
  std::vector<Instance> instances_;
  std::shared_ptr<PortFlush> flush_;  // of all ports that this worker sends by
  std::string mistake_;               // the first one
};

}  // namespace ssn::dataplane
