// SPDX-License-Identifier: BSD-3-Clause
// Asks the agent of a data plane. No gRPC type: whoever includes this is spared its headers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/agent_source.h"
#include "ssn/hw/result.h"

namespace ssn::client {

/// Whom to ask: the local socket, or an address over TLS.
struct AgentPlace {
  std::string socket;
  std::string address;      ///< "127.0.0.1:7000"; used when there is no socket
  std::string name;         ///< of the node: nobody else is asked
  std::string certificate;  ///< PEM files of the one who asks
  std::string key;
  std::string ca;
  std::string crl = {};  ///< what the authorities in `ca` revoked; empty: nobody is looked up
};

struct CounterUpdate {
  std::uint64_t time_ns = 0;  ///< clock of the data plane
  bool complete = false;      ///< the first; later ones leave out what did not change
  std::vector<agent::Counter> counters;
};

/// One thread. A callback ends a stream.
class AgentClient {
 public:
  /// Prepares only; the first call connects. `patience` is for calls that answer once.
  static Result<std::unique_ptr<AgentClient>> make(
      const AgentPlace& place, std::chrono::milliseconds patience = std::chrono::seconds(10));
  virtual ~AgentClient() = default;

  virtual Result<agent::Status> status() = 0;
  /// Calls `take` for each snapshot; false ends it. `snapshots` 0: until then.
  virtual Outcome watch_counters(const std::string& prefix, std::chrono::milliseconds interval,
                                 std::uint32_t snapshots,
                                 const std::function<bool(const CounterUpdate&)>& take) = 0;
  /// Calls `started` once it runs, and `take` with hops and how many were lost so far; false ends it.
  virtual Outcome trace(
      const agent::TraceRequest& request, const std::function<void()>& started,
      const std::function<bool(const std::vector<agent::TraceHop>&, std::uint64_t lost)>& take) = 0;
  virtual Result<std::vector<agent::Graph>> graphs() = 0;
  virtual Result<agent::SwapResult> swap(agent::SwapMode mode, const std::string& toml,
                                         const std::string& file) = 0;
  /// The quarantine of a peer (empty: of the node itself) ends. Says why it was in one.
  virtual Result<std::string> readmit(const std::string& peer) = 0;
};

}  // namespace ssn::client
