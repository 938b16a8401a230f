// SPDX-License-Identifier: BSD-3-Clause
// The graphs of all workers: builds them from parts (graph_builder.h), switches workers to them, takes the
// old ones away. There are two slots: a new set of graphs is built beside the one that is walked, and only
// when all of it stands, workers change over, each between two walks.
//
// One control thread, which is DPDK's main thread or any other one; statistics() any thread but workers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/counters.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/port.h"
#include "ssn/dataplane/worker.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

/// A node of a worker's graph, and what it did since the graph was built.
struct NodeStatistics {
  std::string name;
  std::vector<std::string> next;  ///< by edge
  std::uint64_t calls = 0;        ///< bursts; of a source only those calls that gave packets
  std::uint64_t packets = 0;      ///< or jobs
  std::uint64_t cycles = 0;       ///< of the time stamp counter, in those calls
  std::uint64_t idle_calls = 0;   ///< of a source that had nothing
  std::uint64_t idle_cycles = 0;
  std::uint64_t reallocations = 0;  ///< of its stream since then: should stay 0
};
struct GraphStatistics {
  unsigned worker = 0;  ///< index
  unsigned cpu = 0;
  std::vector<NodeStatistics> nodes;
};

class Pipeline {
 public:
  /// What a stream to a node holds without growing.
  static constexpr std::uint16_t stream_packets = 2048;

  struct Setup {
    std::vector<Worker*> workers;  ///< by index; they run already, or will
    Counters* counters = nullptr;
    std::vector<const Port*> ports;
    int numa_node = -1;  ///< of graphs' memory
    /// How long a worker may take to come back between two walks, where it changes its graph.
    std::chrono::milliseconds patience{5000};
  };

  /// Everything in `setup` outlives it.
  static Result<std::unique_ptr<Pipeline>> make(Setup setup);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  /// Workers do not run any more, or walk nothing: see clear().
  ~Pipeline();

  /// Builds the graphs of all workers out of parts, in their order; switches all workers to them; waits until
  /// nobody walks the old ones, and destroys those. On failure nothing has changed. Workers must run.
  /// A worker that does not come back in time is an error that names it: then those that had changed over go
  /// back to the graphs before, which all workers walk on. New graphs that a worker could not be brought back
  /// from either stay as they are until it answers.
  Outcome install(const std::vector<GraphPart>& parts);
  /// Workers walk nothing from now on. Fails like install().
  Outcome clear();

  std::vector<GraphStatistics> statistics() const;
  /// Sums over workers, and over all graphs there ever were; by name, without edges.
  std::vector<NodeStatistics> totals() const;
  /// DPDK's number of a node, for traces; UINT32_MAX where the worker has none of that name.
  std::uint32_t node_number(unsigned worker, std::string_view name) const;

 private:
  struct WorkerSlot;
  struct Switch;
  struct Change;
  class Builder;
  class Handoffs;

  explicit Pipeline(Setup setup);
  Result<std::unique_ptr<WorkerSlot>> build(unsigned worker, char slot, const std::vector<GraphPart>& parts);
  static void run_switch(void* argument);
  Outcome switch_to(std::vector<std::unique_ptr<WorkerSlot>> next);
  Outcome late(const Worker& worker) const;
  void forget_parked();
  static void add_totals(const WorkerSlot& slot, std::map<std::string, NodeStatistics>& totals);

  Setup setup_;
  std::unique_ptr<Handoffs> handoffs_;
  mutable std::mutex mutex_;  // of the slots; never taken by a worker
  std::vector<std::unique_ptr<WorkerSlot>> slots_;
  std::vector<std::unique_ptr<Change>> parked_;    // that a worker may still carry out
  std::map<std::string, NodeStatistics> retired_;  // of graphs that are no more
  char slot_ = 'a';                                // the next one to be built
};

/// The public name of a node of DPDK: without the part that tells workers and slots apart.
std::string public_node_name(std::string_view registered);

}  // namespace ssn::dataplane
