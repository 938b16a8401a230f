// SPDX-License-Identifier: BSD-3-Clause
#include "probe.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "ssn/dataplane/node.h"
#include "ssn/dataplane/pipeline.h"
#include "watch.h"

namespace ssn::bench {
namespace {

using dataplane::NodeContext;
using dataplane::SourceContext;

template <typename Function>
void for_each_node(rte_graph& graph, Function function) {
  rte_graph_off_t offset = graph.nodes_start;
  for (rte_node_t i = 0; i < graph.nb_nodes; ++i) {
    rte_node& node = *reinterpret_cast<rte_node*>(reinterpret_cast<char*>(&graph) + offset);
    offset = node.next;
    function(node);
  }
}

std::uint16_t process(rte_graph* graph, rte_node* node, void**, std::uint16_t) {
  NodeContext context;
  std::memcpy(&context, node->ctx, sizeof context);
  auto& probe = *static_cast<Probe*>(static_cast<SourceContext*>(context.state)->state);
  probe.walk(*graph);
  probe.serve();
  return 0;
}

// It sends nothing, but DPDK wants an edge.
constexpr dataplane::Edge edges[] = {{"nothing", dataplane::EdgeKind::drop}};
const dataplane::NodeType probe_type = {"bench_probe", edges, true, process};

}  // namespace

Outcome Probe::build(dataplane::GraphBuilder& graph, const std::shared_ptr<Probe>& probe) {
  graph.add(probe_type, "all", probe);
  return done;
}

void Probe::start(bool go_on) {
  if (!go_on) used_ = 0;
  state_.store(State::wanted, std::memory_order_release);
}

void Probe::stop() {
  State running = State::running;
  while (!state_.compare_exchange_strong(running, State::stopping)) {
    running = State::running;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  while (state_.load(std::memory_order_acquire) != State::idle) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

void Probe::read(rte_graph& graph, Window& now) noexcept {
  // First: an interruption of what follows belongs to the next window, as this node's cycles do.
  now.ticks = rte_rdtsc();
  std::size_t i = 0;
  for_each_node(graph, [&](const rte_node& node) {
    if (i < nodes_max) now.nodes[i++] = {node.total_cycles, node.total_objs, node.total_calls};
  });
  now.blocks = blocks_();
}

void Probe::begin(rte_graph& graph) noexcept {
  reallocations_before_ = 0;
  for_each_node(graph, [&](const rte_node& node) { reallocations_before_ += node.realloc_count; });
  if (names_.empty()) {
    for_each_node(graph, [&](const rte_node& node) {
      if (names_.size() < nodes_max) names_.push_back(dataplane::public_node_name(node.name));
    });
  }
  walked_ = 0;
  read(graph, before_);
  allocations_before_ = allocations_of_this_thread();
  catches_.store(watch_system_calls());
  state_.store(State::running, std::memory_order_release);
}

void Probe::end(rte_graph& graph) noexcept {
  ignore_system_calls();
  allocations_ += allocations_of_this_thread() - allocations_before_;
  std::uint64_t reallocations = 0;
  for_each_node(graph, [&](const rte_node& node) { reallocations += node.realloc_count; });
  reallocations_ += reallocations - reallocations_before_;
  state_.store(State::idle, std::memory_order_release);
}

void Probe::walk(rte_graph& graph) noexcept {
  switch (state_.load(std::memory_order_acquire)) {
    case State::idle:
      return;
    case State::wanted:
      begin(graph);
      return;
    case State::stopping:
      end(graph);
      return;
    case State::running:
      break;
  }
  if (++walked_ < walks_ || used_ == windows_.size()) return;
  walked_ = 0;
  static_cast<void>(watch_system_calls());
  Window& window = windows_[used_];
  read(graph, window);
  Window now = window;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    window.nodes[i].cycles -= before_.nodes[i].cycles;
    window.nodes[i].packets -= before_.nodes[i].packets;
    window.nodes[i].calls -= before_.nodes[i].calls;
  }
  window.ticks -= before_.ticks;
  window.blocks -= before_.blocks;
  before_ = now;
  if (window.blocks != 0) ++used_;
}

Probe::Result Probe::result() const {
  std::vector<const Window*> best;
  for (std::size_t i = 0; i < used_; ++i) best.push_back(&windows_[i]);
  std::sort(best.begin(), best.end(),
            [](const Window* a, const Window* b) { return a->ticks * b->blocks < b->ticks * a->blocks; });
  best.resize((best.size() + 1) / 2);
  Result result;
  result.windows = best.size();
  Window sum;
  for (const Window* const each : best) {
    sum.ticks += each->ticks;
    sum.blocks += each->blocks;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      sum.nodes[i].cycles += each->nodes[i].cycles;
      sum.nodes[i].packets += each->nodes[i].packets;
      sum.nodes[i].calls += each->nodes[i].calls;
    }
  }
  if (sum.blocks == 0) return result;
  const auto blocks = static_cast<double>(sum.blocks);
  result.blocks = sum.blocks;
  result.cycles = static_cast<double>(sum.ticks) / blocks;
  result.between = result.cycles;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const Count& count = sum.nodes[i];
    Node node{names_[i], static_cast<double>(count.cycles) / blocks,
              static_cast<double>(count.packets) / blocks, 0};
    if (count.calls != 0) node.burst = static_cast<double>(count.packets) / static_cast<double>(count.calls);
    result.between -= node.cycles;
    if (count.cycles != 0) result.nodes.push_back(std::move(node));
  }
  return result;
}

}  // namespace ssn::bench
