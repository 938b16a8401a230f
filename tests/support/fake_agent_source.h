// SPDX-License-Identifier: BSD-3-Clause
// A process for an agent to speak for, where there is no data plane: for tests of the agent and of
// `ssn dataplane`. What it says of itself is made up, but it changes, counts and refuses as a real one.
#pragma once

#include <atomic>
#include <mutex>

#include "ssn/dataplane/agent_source.h"

namespace ssn::test {

class FakeAgentSource final : public agent::AgentSource {
 public:
  agent::Status status() override;
  /// "stream.1.frames_in" and others grow with each call; "keys.sae-b.stock" goes up and down.
  void counters(const std::string& prefix, std::vector<agent::Counter>& out) override;
  /// Three hops a packet; only the nodes and the port that graphs() and status() name.
  Result<std::unique_ptr<agent::TraceSession>> start_trace(const agent::TraceRequest& request) override;
  Result<std::vector<agent::Graph>> graphs() override;
  /// Text without [node] is wrong, in a line; one that names another node is refused by the running process.
  agent::SwapResult swap(agent::SwapMode mode, const std::string& toml, const std::string& file) override;

  /// Of sae-b once: it was cloned.
  Result<std::string> readmit(const std::string& peer) override;

  /// Added to the counters: to make them many.
  std::atomic<unsigned> more_counters{0};
  /// Traces end only when they are ended.
  std::atomic<bool> endless_traces{false};
  std::atomic<unsigned> traces{0};  ///< that run
  /// Makes swap() wait.
  std::mutex swapping;
  std::atomic<unsigned> swaps{0};  ///< that began

 private:
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<bool> quarantined_{true};
};

}  // namespace ssn::test
