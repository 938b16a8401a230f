// SPDX-License-Identifier: BSD-3-Clause
// Notes every call of a gRPC server, with how it was answered: also those that a service refuses for reasons
// of its own, and those of calls to come. What never became a call (no certificate, another authority's) gRPC
// refuses by itself, and says so in the process's log.
#pragma once

#include <memory>

namespace grpc {
class ServerBuilder;
}

namespace ssn::audit {

class AuditLog;

/// Once for a builder. `log` outlives its server; null: nothing is noted.
void note_calls(grpc::ServerBuilder& builder, AuditLog* log);

}  // namespace ssn::audit
