// SPDX-License-Identifier: BSD-3-Clause
#include "node_bench.h"

#include <fmt/core.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <thread>
#include <unordered_set>

#include "handoff.h"
#include "port_rx.h"
#include "port_tx.h"
#include "ssn/dataplane/graph_builder.h"

namespace ssn::dataplane::test {
namespace {

// Of the pool, to tell packets from jobs.
const std::unordered_set<const void*>& all_packets() {
  static const std::unordered_set<const void*> all = [] {
    std::unordered_set<const void*> found;
    rte_mempool_obj_iter(
        &machine()->eal->packets(),
        [](rte_mempool*, void* to, void* object, unsigned) {
          static_cast<std::unordered_set<const void*>*>(to)->insert(object);
        },
        &found);
    return found;
  }();
  return all;
}

void* state_of(rte_node& node) {
  NodeContext context;
  std::memcpy(&context, node.ctx, sizeof context);
  return context.state;
}

std::string failure(const Error& error) { return error.what + ": " + error.why; }

}  // namespace

std::string machine_text() {
  return fmt::format(
      "[node]\nname = \"unit-{}\"\nledger = \"none.ledger\"\n[eal]\nhuge_pages = \"off\"\nmemory = \"128 "
      "MiB\"\n"
      "[[port]]\nname = \"client\"\ndevice = \"net_ring0\"\n"
      "[[port]]\nname = \"one\"\ndevice = \"net_ring1\"\naddresses = [\"10.0.1.1/24\"]\n"
      "[[port]]\nname = \"two\"\ndevice = \"net_ring2\"\nmtu = 9000\naddresses = [\"10.0.2.1/24\"]\n"
      "[[port]]\nname = \"three\"\ndevice = \"net_ring3\"\naddresses = [\"10.0.3.1/24\"]\n",
      ::getpid());
}

Machine* machine() {
  static const std::unique_ptr<Machine> one = []() -> std::unique_ptr<Machine> {
    auto made = std::make_unique<Machine>();
    Result<Configuration> read = Configuration::parse(machine_text(), "test.toml");
    Result<MachineState> state = machine_state();
    EXPECT_TRUE(read.ok()) << failure(read.error());
    EXPECT_TRUE(state.ok());
    if (!read.ok() || !state.ok()) return nullptr;
    made->configuration = std::move(read.value());
    state.value().worker_cpus.assign(1, state.value().allowed_cpus.front());
    Result<EalPlan> plan = make_eal_plan(made->configuration, state.value());
    EXPECT_TRUE(plan.ok()) << failure(plan.error());
    if (!plan.ok()) return nullptr;
    Result<std::unique_ptr<Eal>> eal = Eal::start(plan.value(), [](std::string_view) {});
    EXPECT_TRUE(eal.ok()) << failure(eal.error());
    if (!eal.ok()) return nullptr;
    made->eal = std::move(eal.value());
    Result<std::unique_ptr<Ports>> ports = Ports::open(made->configuration, 1, made->eal->packets());
    EXPECT_TRUE(ports.ok()) << failure(ports.error());
    if (!ports.ok()) return nullptr;
    made->ports = std::move(ports.value());
    for (const std::unique_ptr<Port>& port : made->ports->all()) {
      EXPECT_EQ(port->id, port->index);
      port->mac = {2, 0, 0, 0, 1, static_cast<std::uint8_t>(port->index)};  // rings have none
    }
    return made;
  }();
  return one.get();
}

std::vector<std::uint8_t> bytes_of(Packet& packet) {
  std::vector<std::uint8_t> bytes;
  for (Packet* segment = &packet; segment != nullptr; segment = segment->next) {
    const std::uint8_t* const data = data_of(*segment);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  return bytes;
}

Left note(void* object) {
  Left left;
  left.object = object;
  if (!all_packets().contains(object)) return left;
  Packet& packet = *static_cast<Packet*>(object);
  left.packet = &packet;
  left.bytes = bytes_of(packet);
  left.port = packet.port;
  left.l2_len = packet.l2_len;
  left.l3_len = packet.l3_len;
  left.flags = packet.ol_flags;
  left.area = area_of(packet);
  return left;
}

std::vector<Packet*> packets_of(const std::vector<Left>& left) {
  std::vector<Packet*> packets;
  for (const Left& each : left) packets.push_back(each.packet);
  return packets;
}

// ---- The nodes of the bench.

struct NodeBench::Inject {
  struct Bursts {
    std::uint16_t edge;
    std::vector<void*> objects;
  };
  std::map<std::string, std::uint16_t> edge_to;
  std::vector<Bursts> waiting;
};

std::uint16_t NodeBench::inject(rte_graph* graph, rte_node* node, void**, std::uint16_t) {
  auto& state = *static_cast<Inject*>(static_cast<SourceContext*>(state_of(*node))->state);
  std::size_t total = 0;
  for (Inject::Bursts& burst : state.waiting) {
    void* nothing = nullptr;
    void** const objects = burst.objects.empty() ? &nothing : burst.objects.data();
    rte_node_enqueue(graph, node, burst.edge, objects, static_cast<std::uint16_t>(burst.objects.size()));
    total += burst.objects.size();
  }
  state.waiting.clear();
  return static_cast<std::uint16_t>(total);
}

std::uint16_t NodeBench::pass(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count) {
  auto& tap = *static_cast<Tap*>(state_of(*node));
  for (std::uint16_t i = 0; i < count; ++i) tap.left.push_back(note(objects[i]));
  if (!tap.holds) {
    tap.passed = true;
    rte_node_enqueue(graph, node, 0, objects, count);
  }
  return count;
}

const NodeType NodeBench::inject_type = {"bench_inject", {}, true, NodeBench::inject};
const NodeType NodeBench::tap_type = {"bench_tap", {}, false, NodeBench::pass};

// Puts a tap into every edge.
class TappedGraph final : public GraphBuilder {
 public:
  TappedGraph(GraphBuilder& real, NodeBench::Side& side) : real_(real), side_(side) {
    side_.inject = std::make_shared<NodeBench::Inject>();
    inject_ = real_.add(NodeBench::inject_type, "bench", side_.inject);
  }

  Worker& worker() const noexcept override { return real_.worker(); }
  unsigned worker_count() const noexcept override { return real_.worker_count(); }
  NodeHandle find(const NodeType& type, std::string_view label) const noexcept override {
    return real_.find(type, label);
  }
  void connect(NodeHandle from, std::uint16_t edge, NodeHandle to) override {
    real_.connect(from, edge, tap(from, edge, to));
    nodes_[from.index].connected.insert(edge);
  }
  std::uint16_t append_edge(NodeHandle from, NodeHandle to) override {
    const NodeHandle between = tap(from, UINT16_MAX, to);
    return real_.append_edge(from, between);
  }
  NodeHandle drop(std::string_view reason) override {
    const NodeHandle made = real_.drop(reason);
    drops_.insert(made.index);
    names_[made.index] = std::string("drop-").append(reason);
    return made;
  }
  NodeHandle receive(std::string_view port) override {
    return known(port_rx_type, port, real_.receive(port));
  }
  NodeHandle transmit(std::string_view port) override {
    const NodeHandle made = real_.transmit(port);
    if (real_.find(port_tx_type, port) == made) return known(port_tx_type, port, made);
    return known(handoff_type, std::string("tx-").append(port), made);
  }
  NodeHandle handoff(std::string_view label) override {
    const NodeHandle made = real_.handoff(label);
    if (real_.find(handoff_type, label) == made) return known(handoff_type, label, made);
    drops_.insert(made.index);
    names_[made.index] = "drop-no_worker";
    return made;
  }
  NodeHandle handoff_source(std::string_view label) override {
    return known(handoff_source_type, label, real_.handoff_source(label));
  }
  Counter& counter(std::string_view name, CounterKind kind) override { return real_.counter(name, kind); }
  void wake_on(int fd, void (*arm)(void*), void (*disarm)(void*), void* argument) override {
    real_.wake_on(fd, arm, disarm, argument);
  }
  void need_naps() override { real_.need_naps(); }
  void on_enter(void (*run)(void*), void* argument) override { real_.on_enter(run, argument); }
  void on_leave(void (*run)(void*), void* argument) override { real_.on_leave(run, argument); }

  /// After all parts: edges that drop, and ways in.
  void finish() {
    for (auto& [index, node] : nodes_) {
      for (std::uint16_t edge = 0; edge < node.type->edges.size(); ++edge) {
        const Edge& of_type = node.type->edges[edge];
        if (of_type.kind == EdgeKind::drop && !node.connected.contains(edge)) {
          connect({index}, edge, drop(of_type.name));
        }
      }
      if (node.type->is_source) continue;
      side_.inject->edge_to[names_[index]] = real_.append_edge(inject_, {index});
    }
    for (const std::uint32_t index : drops_) {
      side_.inject->edge_to[names_[index]] = real_.append_edge(inject_, {index});
    }
  }

 protected:
  NodeHandle add_node(const NodeType& type, std::string_view label, std::shared_ptr<void> state) override {
    return known(type, label, real_.add<void>(type, label, std::move(state)));
  }

 private:
  struct Known {
    const NodeType* type = nullptr;
    std::set<std::uint16_t> connected;
  };

  NodeHandle known(const NodeType& type, std::string_view label, NodeHandle made) {
    if (made.index != NodeHandle::none && !nodes_.contains(made.index)) {
      nodes_[made.index].type = &type;
      names_[made.index] = fmt::format("{}-{}", type.name, label);
    }
    return made;
  }
  NodeHandle tap(NodeHandle from, std::uint16_t edge, NodeHandle to) {
    Tap& made = side_.taps.emplace_back();
    made.from = names_[from.index];
    const std::span<const Edge> edges = nodes_[from.index].type->edges;
    const bool of_type = edge < edges.size();
    made.edge = of_type ? edges[edge].name : names_[to.index];
    made.drops = of_type ? edges[edge].kind == EdgeKind::drop : drops_.contains(to.index);
    const NodeHandle node = real_.add(NodeBench::tap_type, fmt::format("t{}", side_.taps.size()),
                                      std::shared_ptr<Tap>(std::shared_ptr<void>(), &made));
    real_.append_edge(node, to);
    return node;
  }

  GraphBuilder& real_;
  NodeBench::Side& side_;
  NodeHandle inject_;
  std::map<std::uint32_t, Known> nodes_;
  std::map<std::uint32_t, std::string> names_;
  std::set<std::uint32_t> drops_;
};

// ---- The bench.

void NodeBench::SetUp() {
  ASSERT_NE(machine(), nullptr);
  in_use_before_ = rte_mempool_in_use_count(&pool());
  sides_.resize(worker_count_);
  Pipeline::Setup setup;
  for (unsigned i = 0; i < worker_count_; ++i) {
    workers_.push_back(std::move(Worker::make(i, 0, Worker::Idle::poll, counters_).value()));
    workers_.back()->stop();  // run() runs commands, and nothing else
    setup.workers.push_back(workers_.back().get());
  }
  setup.counters = &counters_;
  for (const std::unique_ptr<Port>& port : machine()->ports->all()) setup.ports.push_back(port.get());
  pipeline_ = std::move(Pipeline::make(std::move(setup)).value());
}

void NodeBench::TearDown() {
  if (machine() == nullptr) return;
  forget();
  unbuild();
  drain_ports();
  pipeline_.reset();
  EXPECT_EQ(in_use(), 0U) << "packets were lost";
}

void NodeBench::build(const std::vector<GraphPart>& parts) {
  ASSERT_NE(pipeline_, nullptr);
  const GraphPart tapped = [&](GraphBuilder& real) -> Outcome {
    TappedGraph graph(real, sides_[real.worker().index()]);
    for (const GraphPart& part : parts) {
      if (Outcome outcome = part(graph); !outcome.ok()) return outcome;
    }
    graph.finish();
    return done;
  };
  // install() waits for its commands.
  std::atomic<bool> installed{false};
  std::thread runner([&] {
    while (!installed.load(std::memory_order_acquire)) {
      run_commands();
      std::this_thread::yield();
    }
  });
  const Outcome outcome = pipeline_->install({tapped});
  installed.store(true, std::memory_order_release);
  runner.join();
  ASSERT_TRUE(outcome.ok()) << failure(outcome.error());
}

void NodeBench::unbuild() {
  for (const std::unique_ptr<Worker>& each : workers_) each->set_graph(nullptr);
  pipeline_.reset();
}

void NodeBench::run_commands() {
  for (const std::unique_ptr<Worker>& each : workers_) each->run();
}

void NodeBench::drain_ports() {
  for (const std::unique_ptr<Port>& port : machine()->ports->all()) {
    Packet* packets[Burst::chunk];
    while (const std::uint16_t count = rte_eth_rx_burst(port->id, 0, packets, Burst::chunk)) {
      release(packets, count);
    }
  }
}

unsigned NodeBench::in_use() { return rte_mempool_in_use_count(&pool()) - in_use_before_; }

Packet* NodeBench::packet(std::span<const std::uint8_t> bytes, std::uint16_t port) {
  Packet* const made = allocate(pool());
  EXPECT_NE(made, nullptr);
  set_length(*made, static_cast<std::uint16_t>(bytes.size()));
  if (!bytes.empty()) std::memcpy(data_of(*made), bytes.data(), bytes.size());
  made->port = port;
  return made;
}

Packet* NodeBench::numbered(std::uint32_t number, std::uint16_t bytes) {
  const std::vector<std::uint8_t> content(bytes, static_cast<std::uint8_t>(number));
  Packet* const made = packet(content);
  if (bytes >= 4) std::memcpy(data_of(*made), &number, sizeof number);
  return made;
}

NodeBench::Drought::Drought(rte_mempool& pool, unsigned left) {
  while (Packet* const each = allocate(pool)) taken_.push_back(each);
  for (unsigned i = 0; i < left && !taken_.empty(); ++i) {
    release(*taken_.back());
    taken_.pop_back();
  }
}
NodeBench::Drought::~Drought() {
  for (Packet* const each : taken_) release(*each);
}

void NodeBench::feed(const std::string& node, const std::vector<Packet*>& packets, unsigned worker) {
  feed_objects(node, {packets.begin(), packets.end()}, worker);
}

void NodeBench::feed_objects(const std::string& node, std::vector<void*> objects, unsigned worker) {
  ASSERT_NE(sides_[worker].inject, nullptr) << "there is no graph";
  Inject& inject = *sides_[worker].inject;
  const auto found = inject.edge_to.find(node);
  ASSERT_NE(found, inject.edge_to.end()) << "there is no node " << node;
  inject.waiting.push_back({found->second, std::move(objects)});
}

Worker::Walked NodeBench::walk(unsigned worker) { return workers_[worker]->walk_at(now_ns_); }

Worker::Walked NodeBench::run(const std::string& node, const std::vector<Packet*>& packets) {
  forget();
  feed(node, packets);
  return walk();
}

void NodeBench::hold(const std::string& node, unsigned worker) {
  bool found = false;
  for (Tap& each : sides_[worker].taps) {
    if (each.from != node || each.drops) continue;
    each.holds = true;
    found = true;
  }
  EXPECT_TRUE(found) << node << " has no edge to hold";
}

Tap& NodeBench::tap(const std::string& from, const std::string& edge, unsigned worker) {
  for (Tap& each : sides_[worker].taps) {
    if (each.from == from && each.edge == edge) return each;
  }
  ADD_FAILURE() << from << " has no edge " << edge;
  static Tap none;
  none = {};
  return none;
}

Edges NodeBench::edges(const std::string& from, unsigned worker) {
  Edges found;
  for (const Tap& each : sides_[worker].taps) {
    if (each.from == from && !each.left.empty()) found[each.edge] += each.left.size();
  }
  return found;
}

std::map<const void*, NodeBench::Place> NodeBench::places(unsigned worker) {
  std::map<const void*, Place> found;
  for (const Tap& each : sides_[worker].taps) {
    for (const Left& left : each.left) {
      const auto [at, is_new] = found.try_emplace(left.object, Place{&each, &left});
      EXPECT_TRUE(is_new) << "left " << at->second.tap->from << " by " << at->second.tap->edge << ", and "
                          << each.from << " by " << each.edge;
    }
  }
  return found;
}

std::vector<Packet*> NodeBench::take(const std::string& from, const std::string& edge, unsigned worker) {
  std::vector<Packet*> packets;
  for (void* const each : take_objects(from, edge, worker)) packets.push_back(static_cast<Packet*>(each));
  return packets;
}

std::vector<void*> NodeBench::take_objects(const std::string& from, const std::string& edge,
                                           unsigned worker) {
  Tap& held = tap(from, edge, worker);
  EXPECT_TRUE(held.holds) << from << " " << edge;
  std::vector<void*> objects;
  for (const Left& each : held.left) objects.push_back(each.object);
  held.left.clear();
  return objects;
}

void NodeBench::forget() {
  for (Side& side : sides_) {
    for (Tap& each : side.taps) {
      for (const Left& left : each.left) {
        if (each.holds && left.packet != nullptr) release(*left.packet);
      }
      each.left.clear();
    }
  }
}

NodeStatistics NodeBench::statistics(const std::string& node) const {
  for (const GraphStatistics& graph : pipeline_->statistics()) {
    for (const NodeStatistics& each : graph.nodes) {
      if (each.name == node) return each;
    }
  }
  ADD_FAILURE() << "there is no node " << node;
  return {};
}

void NodeBench::start_trace(std::uint32_t packets, const std::string& at_node) {
  wish_.left = packets;
  trace_ =
      std::make_unique<TraceBuffer>(wish_, at_node.empty() ? any_node : pipeline_->node_number(0, at_node));
  workers_[0]->set_trace(trace_.get());
}

std::vector<std::string> NodeBench::trace_of(std::uint32_t number) {
  trace_->read(records_, SIZE_MAX);
  std::vector<std::string> all;
  for (const TraceRecord& each : records_) {
    const std::string node = node_name(each.node);
    if (each.packet != number || node.starts_with("bench_")) continue;
    std::string next = each.next == any_node ? std::string() : node_name(each.next);
    if (next.starts_with("bench_tap-t")) {
      const Tap& through = sides_[0].taps[std::stoul(next.substr(11)) - 1];
      next = through.edge;
    }
    all.push_back(each.detail != nullptr ? node + ": " + each.detail
                  : next.empty()         ? node
                                         : node + " > " + next);
  }
  return all;
}

void NodeBench::mark(Packet& packet, std::uint32_t number) {
  packet.ol_flags |= trace_flag;
  area_of(packet).trace = number;
}

}  // namespace ssn::dataplane::test
