// SPDX-License-Identifier: BSD-3-Clause
// Where the cycles of a worker go: a source in its graph that reads what DPDK counts for each node, in
// windows of some walks. On a machine that is not ours alone a window in which the worker was interrupted
// tells nothing: the better half of them is used.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ssn/dataplane/graph_builder.h"

struct rte_graph;

namespace ssn::bench {

class Probe {
 public:
  static constexpr unsigned nodes_max = 128;
  static constexpr unsigned windows_max = 8192;

  /// `walks` make a window. `blocks`: how many there were by now; `serve`: what the surroundings have to do
  /// before each walk, counted as this node's. Called by the worker.
  Probe(
      std::function<std::uint64_t()> blocks, unsigned walks, std::function<void()> serve = [] {})
      : blocks_(std::move(blocks)), serve_(std::move(serve)), walks_(walks), windows_(windows_max) {}

  /// The last part of the pipeline.
  static Outcome build(dataplane::GraphBuilder& graph, const std::shared_ptr<Probe>& probe);

  // ---- Any thread but the worker.
  /// Forgets what was seen, unless it is to go on with it.
  void start(bool go_on);
  void stop();

  struct Node {
    std::string name;
    double cycles = 0;   ///< for a block
    double packets = 0;  ///< or jobs, for a block
    double burst = 0;    ///< of them, in a call that had any
  };
  struct Result {
    std::vector<Node> nodes;
    double cycles = 0;   ///< for a block, everything
    double between = 0;  ///< of them, in no node
    std::size_t windows = 0;
    std::uint64_t blocks = 0;
  };
  /// After stop().
  Result result() const;
  /// While it ran.
  std::uint64_t allocations() const noexcept { return allocations_.load(); }
  std::uint64_t reallocations() const noexcept { return reallocations_.load(); }
  bool catches_system_calls() const noexcept { return catches_.load(); }

  /// Each walk.
  void walk(rte_graph& graph) noexcept;
  void serve() const { serve_(); }

 private:
  struct Count {
    std::uint64_t cycles = 0, packets = 0, calls = 0;
  };
  struct Window {
    std::uint64_t ticks = 0, blocks = 0;
    std::array<Count, nodes_max> nodes{};
  };
  enum class State : int { idle, wanted, running, stopping };
  void read(rte_graph& graph, Window& now) noexcept;
  void begin(rte_graph& graph) noexcept;
  void end(rte_graph& graph) noexcept;

  const std::function<std::uint64_t()> blocks_;
  const std::function<void()> serve_;
  const unsigned walks_;
  std::atomic<State> state_{State::idle};
  std::atomic<std::uint64_t> allocations_{0}, reallocations_{0};
  std::atomic<bool> catches_{false};
  std::uint64_t allocations_before_ = 0;
  std::uint64_t reallocations_before_ = 0;
  unsigned walked_ = 0;
  Window before_;
  std::vector<std::string> names_;
  std::vector<Window> windows_;
  std::size_t used_ = 0;
};

}  // namespace ssn::bench
