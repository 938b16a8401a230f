// SPDX-License-Identifier: BSD-3-Clause
// What the control side orders of a shareholder: service Resharing of control/api/operation.proto. For
// operators, and for the one controller that the configuration names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "access.h"
#include "source_gate.h"
#include "ssn/dataplane/reshare_host.h"

namespace grpc {
class Service;
}

namespace ssn::agent {

using ReshareGate = Gate<ReshareHost>;

class ReshareServer {
 public:
  struct Setup {
    bool serves = false;     ///< this node makes shares anew; if not, everybody is refused
    std::string controller;  ///< its CN; empty: operators only
    std::vector<std::string> operators;
    const audit::AuditLog* audit = nullptr;
  };
  /// `gate`, `live` and `counters` outlive it.
  static std::unique_ptr<ReshareServer> make(ReshareGate& gate, Setup setup,
                                             const std::shared_ptr<pki::LiveIdentity>& live,
                                             AgentCounters& counters);
  virtual ~ReshareServer() = default;
  virtual grpc::Service& service() = 0;
};

}  // namespace ssn::agent
