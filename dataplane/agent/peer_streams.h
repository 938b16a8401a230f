// SPDX-License-Identifier: BSD-3-Clause
// The gRPC streams under PeerHub's links, of both sides.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "access.h"
#include "certificate.h"
#include "peer_hub.h"
#include "ssn/dataplane/agent.h"

namespace grpc {
class Service;
}

namespace ssn::agent {

class PeerStreams {
 public:
  /// `settings`: name of this node, and which certificates of peers it admits. `live` is there when the first
  /// stream is made. All outlive it.
  static std::unique_ptr<PeerStreams> make(const AgentSettings& settings,
                                           const std::shared_ptr<pki::LiveIdentity>& live,
                                           AgentCounters& counters);
  virtual ~PeerStreams() = default;

  /// Before the first stream: whom they report to.
  virtual void connect(PeerHub& hub) = 0;
  /// For PeerHub. Any thread.
  virtual std::shared_ptr<PeerLink> call(const PeerAddress& peer) = 0;
  /// What a server offers to peers.
  virtual grpc::Service& service() = 0;
  /// Waits until no stream is left that could report. They must have been closed, and the server shut down.
  virtual void wait_for_end() = 0;
};

}  // namespace ssn::agent
