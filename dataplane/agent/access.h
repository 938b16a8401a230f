// SPDX-License-Identifier: BSD-3-Clause
// Who calls. Everybody is nobody until proven otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "ssn/dataplane/agent_source.h"

namespace grpc {
class AuthContext;
}

namespace ssn::agent {

struct Caller {
  enum class Kind : std::uint8_t {
    nobody,
    local,      ///< came through the local socket
    certified,  ///< over TLS, with a certificate that our CA signed
  };
  Kind kind = Kind::nobody;
  std::string name;  ///< common name; empty where the certificate has not exactly one
};

/// Of the connection that a call came on; or, for a client, of the server.
Caller caller_of(const grpc::AuthContext& context);

/// May ask what operators may.
bool is_operator(const Caller& caller, const std::vector<std::string>& operators);

/// What the agent counts of itself.
struct AgentCounters {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> refused{0};  ///< calls of those who may not
  std::atomic<std::uint64_t> busy{0};     ///< calls over a limit
  std::atomic<std::uint64_t> stalled{0};  ///< streams ended because the caller did not read
  std::atomic<std::uint64_t> peer_streams{0};
  std::atomic<std::uint64_t> peer_streams_bad{0};  ///< ended because of what the peer sent
  std::atomic<std::uint64_t> counter_streams{0};   ///< gauge
  std::atomic<std::uint64_t> trace_streams{0};     ///< gauge
};

}  // namespace ssn::agent
