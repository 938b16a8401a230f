// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/pipeline.h"

#include <fmt/core.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>

#include <algorithm>
#include <atomic>
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

void walk(void* graph) { rte_graph_walk(static_cast<rte_graph*>(graph)); }

}  // namespace

// What a worker changes from and to, as an argument of the command that does it. Whoever waits in vain calls
// it off; a worker that has begun is between two walks and nearly done.
struct Pipeline::Switch {
  enum class State : std::uint8_t { waiting, begun, called_off };
  Worker* worker = nullptr;
  const WorkerSlot* from = nullptr;
  const WorkerSlot* to = nullptr;
  Ticket ticket = 0;  // 0: was not posted
  std::atomic<State> state{State::waiting};

  bool call_off() noexcept {
    State expected = State::waiting;
    return state.compare_exchange_strong(expected, State::called_off, std::memory_order_acq_rel);
  }
  bool is_over() const noexcept { return ticket == 0 || worker->is_done(ticket); }
  bool is_made() const noexcept { return is_over() && state.load(std::memory_order_acquire) == State::begun; }
};

// A change of all workers; with `slots` that must outlive what workers make of it.
struct Pipeline::Change {
  explicit Change(std::size_t workers) : there(workers), back(workers) {}
  std::vector<Switch> there;
  std::vector<Switch> back;  // of those that had changed, where another one did not
  std::vector<std::unique_ptr<WorkerSlot>> slots;

  bool is_over() const noexcept {
    const auto over = [](const Switch& each) { return each.is_over(); };
    return std::all_of(there.begin(), there.end(), over) && std::all_of(back.begin(), back.end(), over);
  }
};

namespace {

void run_hooks(const std::vector<BuiltGraph::Hook>& hooks) {
  for (const BuiltGraph::Hook& each : hooks) each.run(each.argument);
}

}  // namespace

void Pipeline::run_switch(void* argument) {
  Switch& change = *static_cast<Switch*>(argument);
  Switch::State expected = Switch::State::waiting;
  if (!change.state.compare_exchange_strong(expected, Switch::State::begun, std::memory_order_acq_rel))
    return;
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

namespace {

// Posts a command and waits for its end, both until `until`. The inbox drains with the worker's next walk.
template <typename Switches>
bool carry_out(Switches& switches, void (*run)(void*), std::chrono::steady_clock::time_point until) {
  using std::chrono::steady_clock;
  for (auto& each : switches) {
    if (each.worker == nullptr) continue;
    while (!each.worker->post({run, &each}, &each.ticket)) {
      if (steady_clock::now() >= until) return false;
      std::this_thread::yield();
    }
  }
  return std::all_of(switches.begin(), switches.end(), [&](const auto& each) {
    if (each.worker == nullptr) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
    return each.worker->wait(each.ticket, std::max(left, std::chrono::milliseconds(0)));
  });
}

}  // namespace

Outcome Pipeline::late(const Worker& worker) const {
  return Error{
      Exit::failed, "cannot change what workers do",
      fmt::format("worker {} has not finished a walk for {} ms; all workers go on as before", worker.index(),
                  setup_.patience.count()),
      fmt::format("worker {} on CPU {}", worker.index(), worker.cpu()),
      "try again; if it stays so, restart the process: a node of that worker hangs (`perf top -C` of "
      "its CPU says which), or others keep its CPU"};
}

void Pipeline::forget_parked() {
  std::erase_if(parked_, [](const std::unique_ptr<Change>& each) { return each->is_over(); });
}

Outcome Pipeline::switch_to(std::vector<std::unique_ptr<WorkerSlot>> next) {
  forget_parked();
  auto change = std::make_unique<Change>(setup_.workers.size());
  for (std::size_t i = 0; i < setup_.workers.size(); ++i) {
    Switch& each = change->there[i];
    each.worker = setup_.workers[i];
    each.from = i < slots_.size() ? slots_[i].get() : nullptr;
    each.to = i < next.size() ? next[i].get() : nullptr;
  }
  if (!carry_out(change->there, run_switch, std::chrono::steady_clock::now() + setup_.patience)) {
    // Whoever has not begun by now will not; whoever has goes back.
    const Worker* missing = nullptr;
    for (std::size_t i = 0; i < setup_.workers.size(); ++i) {
      Switch& each = change->there[i];
      if (each.call_off()) {
        missing = missing == nullptr ? each.worker : missing;
        continue;
      }
      change->back[i].worker = each.worker;
      change->back[i].from = each.to;
      change->back[i].to = each.from;
    }
    if (missing != nullptr) {
      static_cast<void>(
          carry_out(change->back, run_switch, std::chrono::steady_clock::now() + setup_.patience));
      change->slots = std::move(next);
      parked_.push_back(std::move(change));
      forget_parked();
      return late(*missing);
    }
  }
  std::vector<std::unique_ptr<WorkerSlot>> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(slots_, std::move(next));
    for (const std::unique_ptr<WorkerSlot>& slot : old) add_totals(*slot, retired_);
  }
  if (!change->is_over()) {  // a worker is in the middle of it
    change->slots = std::move(old);
    parked_.push_back(std::move(change));
  }
  return done;
}

Outcome Pipeline::install(const std::vector<GraphPart>& parts) {
  forget_parked();
  if (!parked_.empty()) {
    return Error{Exit::temporary, "cannot change what workers do",
                 "a worker has not yet come back from the change before", "", "try again later"};
  }
  std::vector<std::unique_ptr<WorkerSlot>> next;
  for (unsigned i = 0; i < setup_.workers.size(); ++i) {
    Result<std::unique_ptr<WorkerSlot>> made = build(i, slot_, parts);
    if (!made.ok()) return made.error();
    next.push_back(std::move(made.value()));
  }
  if (Outcome outcome = switch_to(std::move(next)); !outcome.ok()) return outcome;
  slot_ = slot_ == 'a' ? 'b' : 'a';
  return done;
}

Outcome Pipeline::clear() { return switch_to({}); }

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
