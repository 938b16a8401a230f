// SPDX-License-Identifier: BSD-3-Clause
// One node of the pipeline on a bench: it gets the bursts that a test made, and the test sees what leaves it,
// and where. The graph is built as ssn-dataplane builds it, by parts (ssn/dataplane/graph_builder.h), but
//
//   - a tap sits in every edge. It notes what comes past, and passes it on, or holds it where the test says
//   so;
//   - a source of the test's leads to every node: feed() gives a node a burst of any size, also of none;
//   - nobody runs the worker: walk() is one walk, on the test's thread, at a time that the test chooses.
//
// Edges into drop-REASON always pass on: their counters count, and what was dropped is seen by what the tap
// noted. At the end of each test every packet is back in the pool.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/node.h"
#include "ssn/dataplane/packet.h"
#include "ssn/dataplane/pipeline.h"
#include "ssn/dataplane/ports.h"

namespace ssn::dataplane::test {

/// EAL without huge pages, and ports on rings: what they send they receive. Once for the program.
struct Machine {
  Configuration configuration;
  std::unique_ptr<Eal> eal;
  std::unique_ptr<Ports> ports;
};
/// Of DPDK's number: 0 "client", 1 "one", 2 "two" (MTU 9000), 3 "three". Null where it could not be started;
/// the test has failed then.
Machine* machine();
/// As [node], [eal] and [[port]] of its configuration.
std::string machine_text();

/// What went past a tap, as it was then.
struct Left {
  void* object = nullptr;
  Packet* packet = nullptr;  ///< null where the object is a job or a nudge
  std::vector<std::uint8_t> bytes;
  std::uint16_t port = 0;
  std::uint16_t l2_len = 0;
  std::uint16_t l3_len = 0;
  std::uint64_t flags = 0;
  PacketArea area{};
};

/// In one edge.
struct Tap {
  std::string from;  ///< "wire_pack-1"
  std::string edge;  ///< as the node's type calls it; of appended edges the node that they lead to
  bool drops = false;
  bool holds = false;
  std::vector<Left> left;
  bool passed = false;  ///< what is in `left` is not ours any more
};

/// Numbers by edge; edges along which nothing left are not there.
using Edges = std::map<std::string, std::size_t>;

class NodeBench : public testing::Test {
 protected:
  explicit NodeBench(unsigned workers = 1) : worker_count_(workers), counters_(workers) {}

  void SetUp() override;
  void TearDown() override;

  /// Builds the graphs of all workers. `parts` as the pipeline's.
  void build(const std::vector<GraphPart>& parts);
  /// Takes the graphs away; then states may be destroyed.
  void unbuild();
  Worker& worker(unsigned index = 0) { return *workers_[index]; }
  /// Runs the commands that were posted to workers.
  void run_commands();

  // ---- Packets.
  rte_mempool& pool() { return machine()->eal->packets(); }
  /// Packets that are not in the pool, and were before the test.
  unsigned in_use();
  Packet* packet(std::span<const std::uint8_t> bytes, std::uint16_t port = 0);
  /// `bytes` long, and all bytes are the lower ones of `number`.
  Packet* numbered(std::uint32_t number, std::uint16_t bytes = 100);
  /// All packets of the pool but `left`; given back when the object goes.
  class Drought {
   public:
    Drought(rte_mempool& pool, unsigned left);
    ~Drought();
    Drought(const Drought&) = delete;
    Drought& operator=(const Drought&) = delete;

   private:
    std::vector<Packet*> taken_;
  };

  // ---- In and out.
  void feed(const std::string& node, const std::vector<Packet*>& packets, unsigned worker = 0);
  void feed_objects(const std::string& node, std::vector<void*> objects, unsigned worker = 0);
  Worker::Walked walk(unsigned worker = 0);
  void advance(std::uint64_t ns) { now_ns_ += ns; }
  std::uint64_t now() const { return now_ns_; }
  /// feed(), walk(); what left before is forgotten.
  Worker::Walked run(const std::string& node, const std::vector<Packet*>& packets);

  /// What leaves this node along edges that do not drop stays in their taps.
  void hold(const std::string& node, unsigned worker = 0);
  Tap& tap(const std::string& from, const std::string& edge, unsigned worker = 0);
  const std::vector<Left>& left(const std::string& from, const std::string& edge, unsigned worker = 0) {
    return tap(from, edge, worker).left;
  }
  Edges edges(const std::string& from, unsigned worker = 0);
  struct Place {
    const Tap* tap = nullptr;
    const Left* left = nullptr;
  };
  /// Where everything is that left a node and was not taken. That nothing is in two places is checked.
  std::map<const void*, Place> places(unsigned worker = 0);
  /// Takes what a tap holds away from it.
  std::vector<Packet*> take(const std::string& from, const std::string& edge, unsigned worker = 0);
  std::vector<void*> take_objects(const std::string& from, const std::string& edge, unsigned worker = 0);
  /// Empties all taps; releases packets that they hold.
  void forget();
  std::uint64_t counter(std::string_view name) const { return counters_.value(name); }
  NodeStatistics statistics(const std::string& node) const;

  // ---- Traces.
  void start_trace(std::uint32_t packets, const std::string& at_node = {});
  /// "NODE > NEXT" and "NODE: detail" of the packet `number`, without taps.
  std::vector<std::string> trace_of(std::uint32_t number);
  static void mark(Packet& packet, std::uint32_t number);

 private:
  friend class TappedGraph;
  struct Inject;
  /// Of one worker.
  struct Side {
    std::deque<Tap> taps;  // addresses stay
    std::shared_ptr<Inject> inject;
  };
  static std::uint16_t inject(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count);
  static std::uint16_t pass(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count);
  static const NodeType inject_type;
  static const NodeType tap_type;
  void drain_ports();

  const unsigned worker_count_;
  Counters counters_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Side> sides_;
  std::unique_ptr<Pipeline> pipeline_;
  unsigned in_use_before_ = 0;
  std::uint64_t now_ns_ = 1'000'000'000;
  TraceWish wish_;
  std::unique_ptr<TraceBuffer> trace_;
  std::vector<TraceRecord> records_;
};

/// Bytes of a packet.
std::vector<std::uint8_t> bytes_of(Packet& packet);
/// What a tap would note now.
Left note(void* object);
/// Packets of what left, in order.
std::vector<Packet*> packets_of(const std::vector<Left>& left);

}  // namespace ssn::dataplane::test
