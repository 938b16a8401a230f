// SPDX-License-Identifier: BSD-3-Clause
// Nodes whose objects are jobs of an offload device, not packets. Between such nodes a null pointer may
// travel as well: it says "look at your state", as when work was done without a job.
//
//   wire_split --jobs--> offload_submit --completed jobs--> wire_send --packets--> link_output
//
// Written as other nodes are (node.h), with job_type() and JobBurst instead of node_type() and Burst. Traces
// do not follow jobs: packets are traced from where they are made.
#pragma once

#include "ssn/dataplane/node.h"
#include "ssn/offload_device.h"

namespace ssn::dataplane {

/// The jobs that a node was given. Lives for one call.
class JobBurst {
 public:
  JobBurst(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count) noexcept
      : graph_(graph), node_(node), objects_(objects), packets_(graph, node, nullptr, 0), count_(count) {}
  JobBurst(const JobBurst&) = delete;
  JobBurst& operator=(const JobBurst&) = delete;

  Worker& worker() const noexcept { return packets_.worker(); }
  void* state() const noexcept { return packets_.state(); }
  std::uint16_t size() const noexcept { return count_; }
  ssn_offload_job* const* jobs() const noexcept {
    return reinterpret_cast<ssn_offload_job* const*>(objects_);
  }

  /// To a node that takes jobs.
  void send_jobs(std::uint16_t edge, ssn_offload_job* const* jobs, std::uint16_t count) noexcept {
    if (count != 0) {
      rte_node_enqueue(graph_, node_, edge, reinterpret_cast<void**>(const_cast<ssn_offload_job**>(jobs)),
                       count);
    }
  }
  /// "Look at your state."
  void nudge(std::uint16_t edge) noexcept { packets_.nudge(edge); }
  /// To send packets with.
  Burst& packets() noexcept { return packets_; }

 private:
  rte_graph* const graph_;
  rte_node* const node_;
  void** const objects_;
  Burst packets_;
  const std::uint16_t count_;
};

namespace detail {

template <typename State>
State job_state_of(std::uint16_t (*)(State&, JobBurst&));

template <auto process>
std::uint16_t run_job_node(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count) {
  using State = decltype(job_state_of(process));
  JobBurst burst(graph, node, objects, count);
  return process(*static_cast<State*>(burst.state()), burst);
}

template <auto process>
std::uint16_t run_job_source(rte_graph* graph, rte_node* node, void** objects, std::uint16_t) {
  using State = decltype(job_state_of(process));
  JobBurst burst(graph, node, objects, 0);
  return run_source<State>(burst.state(), [&](State& state) { return process(state, burst); });
}

}  // namespace detail

/// A node whose function is `process`: std::uint16_t (State&, JobBurst&).
template <auto process>
constexpr NodeType job_type(const char* name, std::span<const Edge> edges) {
  return {name, edges, false, detail::run_job_node<process>};
}
/// The same for a source.
template <auto process>
constexpr NodeType job_source_type(const char* name, std::span<const Edge> edges) {
  return {name, edges, true, detail::run_job_source<process>};
}

}  // namespace ssn::dataplane
