// SPDX-License-Identifier: BSD-3-Clause
// What data owners get: control/api/session.proto. Deny by default: a certificate with the role owner, and
// only what is the caller's own.
#pragma once

#include <memory>

#include "access.h"
#include "source_gate.h"
#include "ssn/dataplane/session_host.h"

namespace grpc {
class Service;
}

namespace ssn::agent {

using HostGate = Gate<SessionHost>;

class SessionServer {
 public:
  /// `serves`: this node is an SSA; if it is none, everybody is refused. All must outlive it.
  static std::unique_ptr<SessionServer> make(HostGate& gate, bool serves,
                                             const std::shared_ptr<pki::LiveIdentity>& live,
                                             AgentCounters& counters, const audit::AuditLog* audit);
  virtual ~SessionServer() = default;
  virtual grpc::Service& service() = 0;
};

}  // namespace ssn::agent
