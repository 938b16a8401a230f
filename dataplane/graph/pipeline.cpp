// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/pipeline.h"

#include <fmt/core.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <thread>
#include <utility>

#include "graph_nodes.h"
#include "handoffs.h"
#include "pipeline_builder.h"
#include "ssn/dataplane/node.h"

namespace ssn::dataplane {
namespace {

constexpr std::chrono::milliseconds patience{5000};

void walk(void* graph) { rte_graph_walk(static_cast<rte_graph*>(graph)); }

}  // namespace

// What a worker changes from and to, as an argument of the command that does it.
struct Pipeline::Switch {
  Worker* worker = nullptr;
  const WorkerSlot* from = nullptr;
  const WorkerSlot* to = nullptr;
  Ticket ticket = 0;
};

namespace {

void run_hooks(const std::vector<BuiltGraph::Hook>& hooks) {
  for (const BuiltGraph::Hook& each : hooks) each.run(each.argument);
}

}  // namespace

void Pipeline::run_switch(void* argument) {
  const Switch& change = *static_cast<Switch*>(argument);
  if (change.from != nullptr) run_hooks(change.from->built.on_leave);
  change.worker->set_graph(change.to != nullptr ? &change.to->walked : nullptr);
  if (change.to != nullptr) run_hooks(change.to->built.on_enter);
}

Pipeline::WorkerSlot::~WorkerSlot() {
  if (graph != nullptr) rte_graph_destroy(graph->id);
}

Pipeline::Pipeline(Setup setup) : setup_(std::move(setup)) {}
Pipeline::~Pipeline() = default;

Result<std::unique_ptr<Pipeline>> Pipeline::make(Setup setup) {
  assert(!setup.workers.empty() && setup.counters != nullptr);
  std::unique_ptr<Pipeline> pipeline(new Pipeline(std::move(setup)));
  pipeline->handoffs_ = std::make_unique<Handoffs>(pipeline->setup_.workers);
  return pipeline;
}

Result<std::unique_ptr<Pipeline::WorkerSlot>> Pipeline::build(unsigned worker, char slot,
                                                              const std::vector<GraphPart>& parts) {
  auto made = std::make_unique<WorkerSlot>();
  Builder builder({*setup_.workers[worker], setup_.workers, setup_.ports, *setup_.counters, *handoffs_, slot},
                  made->built);
  for (const GraphPart& part : parts) {
    if (Outcome outcome = part(builder); !outcome.ok()) return outcome.error();
  }
  if (Outcome outcome = builder.finish(); !outcome.ok()) return outcome.error();
  if (made->built.sources.empty()) return made;
  Result<rte_graph*> graph = builder.create(setup_.numa_node);
  if (!graph.ok()) return graph.error();
  made->graph = graph.value();
  made->walked.walk = walk;
  made->walked.argument = made->graph;
  made->walked.wake_sources = std::move(made->built.wake_sources);
  made->walked.needs_naps = made->built.needs_naps;
  return made;
}

void Pipeline::switch_to(std::vector<std::unique_ptr<WorkerSlot>> next) {
  std::vector<Switch> switches(setup_.workers.size());
  for (std::size_t i = 0; i < switches.size(); ++i) {
    Switch& change = switches[i];
    change = {setup_.workers[i], i < slots_.size() ? slots_[i].get() : nullptr,
              i < next.size() ? next[i].get() : nullptr, 0};
    while (!change.worker->post({run_switch, &change}, &change.ticket)) {
      // The inbox drains with the worker's next walk.
      std::this_thread::yield();
    }
  }
  for (const Switch& each : switches) {
    while (!each.worker->wait(each.ticket, patience)) {
      // A worker that never comes back between two walks has a defect that no error could mend: its graph
      // must stay where it is.
      fmt::print(stderr, "worker {} has not finished a walk for 5 s; still waiting\n", each.worker->index());
    }
  }
  std::vector<std::unique_ptr<WorkerSlot>> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(slots_, std::move(next));
    for (const std::unique_ptr<WorkerSlot>& slot : old) add_totals(*slot, retired_);
  }
}

Outcome Pipeline::install(const std::vector<GraphPart>& parts) {
  std::vector<std::unique_ptr<WorkerSlot>> next;
  for (unsigned i = 0; i < setup_.workers.size(); ++i) {
    Result<std::unique_ptr<WorkerSlot>> made = build(i, slot_, parts);
    if (!made.ok()) return made.error();
    next.push_back(std::move(made.value()));
  }
  slot_ = slot_ == 'a' ? 'b' : 'a';
  switch_to(std::move(next));
  return done;
}

void Pipeline::clear() { switch_to({}); }

namespace {

NodeStatistics statistics_of(const rte_node& node) {
  NodeStatistics statistics;
  statistics.name = public_node_name(node.name);
  // The worker writes these numbers meanwhile; each is read in one piece.
  statistics.calls = __atomic_load_n(&node.total_calls, __ATOMIC_RELAXED);
  statistics.packets = __atomic_load_n(&node.total_objs, __ATOMIC_RELAXED);
  statistics.cycles = __atomic_load_n(&node.total_cycles, __ATOMIC_RELAXED);
  statistics.reallocations = __atomic_load_n(&node.realloc_count, __ATOMIC_RELAXED);
  return statistics;
}

// Of a source, the calls that found nothing are told apart.
void separate_idle(const rte_node& node, NodeStatistics& statistics) {
  NodeContext context;
  std::memcpy(&context, node.ctx, sizeof context);
  const SourceContext& source = *static_cast<const SourceContext*>(context.state);
  statistics.idle_calls = std::min(source.idle_calls.load(std::memory_order_relaxed), statistics.calls);
  statistics.idle_cycles = std::min(source.idle_cycles.load(std::memory_order_relaxed), statistics.cycles);
  statistics.calls -= statistics.idle_calls;
  // Taking the time costs a few cycles more than were taken.
  statistics.cycles = statistics.calls == 0 ? 0 : statistics.cycles - statistics.idle_cycles;
}

}  // namespace

std::vector<NodeStatistics> Pipeline::WorkerSlot::statistics() const {
  std::vector<NodeStatistics> all;
  if (graph == nullptr) return all;
  for_each_node(*graph, [&](const rte_node& node) {
    NodeStatistics& statistics = all.emplace_back(statistics_of(node));
    if (std::find(built.sources.begin(), built.sources.end(), node.name) != built.sources.end()) {
      separate_idle(node, statistics);
    }
    for (rte_edge_t edge = 0; edge < node.nb_edges; ++edge) {
      statistics.next.push_back(public_node_name(node.nodes[edge]->name));
    }
  });
  return all;
}

std::vector<GraphStatistics> Pipeline::statistics() const {
  const std::lock_guard lock(mutex_);
  std::vector<GraphStatistics> all;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i]->graph != nullptr) {
      all.push_back({static_cast<unsigned>(i), setup_.workers[i]->cpu(), slots_[i]->statistics()});
    }
  }
  return all;
}

void Pipeline::add_totals(const WorkerSlot& slot, std::map<std::string, NodeStatistics>& totals) {
  for (const NodeStatistics& from : slot.statistics()) {
    NodeStatistics& to = totals[from.name];
    to.name = from.name;
    to.calls += from.calls;
    to.packets += from.packets;
    to.cycles += from.cycles;
    to.idle_calls += from.idle_calls;
    to.idle_cycles += from.idle_cycles;
    to.reallocations += from.reallocations;
  }
}

std::vector<NodeStatistics> Pipeline::totals() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, NodeStatistics> totals = retired_;
  for (const std::unique_ptr<WorkerSlot>& slot : slots_) add_totals(*slot, totals);
  std::vector<NodeStatistics> all;
  for (auto& [name, statistics] : totals) all.push_back(std::move(statistics));
  return all;
}

std::uint32_t Pipeline::node_number(unsigned worker, std::string_view name) const {
  const std::lock_guard lock(mutex_);
  std::uint32_t number = any_node;
  if (worker < slots_.size() && slots_[worker]->graph != nullptr) {
    for_each_node(*slots_[worker]->graph, [&](const rte_node& node) {
      if (public_node_name(node.name) == name) number = node.id;
    });
  }
  return number;
}

}  // namespace ssn::dataplane
