// SPDX-License-Identifier: BSD-3-Clause
// What operators get: control/api/operation.proto.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "access.h"
#include "source_gate.h"

namespace grpc {
class Service;
}

namespace ssn::agent {

/// Limits on what runs at once; calls over them fail as temporary.
inline constexpr unsigned counter_streams_max = 8;
inline constexpr unsigned trace_streams_max = 4;
/// Threads of gRPC that serve operators.
inline constexpr int operator_threads_max = 24;

class OperationServer {
 public:
  /// All must outlive it.
  static std::unique_ptr<OperationServer> make(SourceGate& gate, const std::vector<std::string>& operators,
                                               const std::shared_ptr<pki::LiveIdentity>& live,
                                               AgentCounters& counters, const audit::AuditLog* audit);
  virtual ~OperationServer() = default;
  virtual grpc::Service& service() = 0;
};

}  // namespace ssn::agent
