// SPDX-License-Identifier: BSD-3-Clause
// Everything that a running ssn-dataplane consists of, made in order and ended in the opposite one.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "control_loop.h"
#include "generation.h"
#include "ssn/dataplane/agent.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/counters.h"
#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/pipeline.h"
#include "ssn/dataplane/ports.h"
#include "ssn/dataplane/worker.h"

namespace ssn::audit {
class AuditLog;
}
namespace ssn::membership {
class LiveMembership;
}

namespace ssn::dataplane {

class Process {
 public:
  using Log = std::function<void(std::string_view line)>;

  /// Starts everything; says in one line each what it does. On the thread that will call all others.
  /// `plan` was made for this configuration; `loop` outlives it.
  static Result<std::unique_ptr<Process>> start(Configuration configuration, const EalPlan& plan,
                                                ControlLoop& loop, Log log);
  /// Ends everything.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // ---- The control thread.
  /// Changes to another configuration, or says why not; then nothing has changed.
  Outcome swap(Configuration next);
  /// Asks devices how they are, and takes away what is over; about every half second.
  void tend();
  /// A JSON document: who, where, what.
  std::string ready_document() const;
  /// What a person wants to know when it has started.
  std::vector<std::string> ready_lines() const;

  // ---- Any thread.
  struct PortState {
    LinkStatus link;
    PortStatistics statistics;
  };
  struct Snapshot {
    std::shared_ptr<const Configuration> configuration;
    std::uint64_t generation = 0;
    std::vector<PortState> ports;
    std::shared_ptr<const Generation> running;  ///< host, wire mode, keys
  };
  Snapshot snapshot() const;
  const std::vector<std::unique_ptr<Worker>>& workers() const noexcept { return workers_; }
  const Ports& ports() const noexcept { return *ports_; }
  const Counters& counters() const noexcept { return *counters_; }
  Pipeline& pipeline() noexcept { return *pipeline_; }
  const std::vector<std::string>& fallbacks() const noexcept { return plan_.fallbacks; }
  agent::Agent* agent() noexcept { return agent_.get(); }
  ControlLoop& loop() noexcept { return loop_; }

 private:
  Process(const EalPlan& plan, ControlLoop& loop, Log log);
  Outcome pin_membership(const Configuration& configuration);
  Outcome start_agent(const Configuration& configuration);
  Outcome start_offload(const Configuration& configuration);
  Outcome register_packets();
  Outcome start_workers(const Configuration& configuration);
  Generation::Setup generation_setup(std::shared_ptr<const Configuration> configuration);
  Outcome install(std::shared_ptr<const Configuration> configuration);
  void register_port_counters();
  void look_at_ports();
  void stop_workers();

  const EalPlan plan_;
  ControlLoop& loop_;
  const Log log_;

  std::shared_ptr<membership::LiveMembership> membership_;  // null: none is pinned
  std::unique_ptr<audit::AuditLog> audit_;                  // null: none is kept; outlives the agent
  std::unique_ptr<agent::Agent> agent_;
  std::unique_ptr<agent::AgentSource> source_;
  std::unique_ptr<Eal> eal_;
  std::unique_ptr<Ports> ports_;
  std::unique_ptr<Counters> counters_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t launched_ = 0;
  std::unique_ptr<Pipeline> pipeline_;
  const kernels::Implementation* kernels_ = nullptr;
  std::unique_ptr<hw::OffloadDevice> offload_;
  std::vector<hw::OffloadMemory> packet_memory_;  // all packets, where the device asks for that

  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const Configuration> configuration_;
  std::uint64_t generation_ = 0;  // of the configuration
  std::shared_ptr<Generation> running_;
  std::vector<PortState> port_states_;
};

}  // namespace ssn::dataplane
