// SPDX-License-Identifier: BSD-3-Clause
// Who may ask, and what is counted of it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "audit_log.h"
#include "caller.h"

namespace ssn::agent {

using pki::Caller;
using pki::caller_of;
using pki::CallerProof;

/// May ask what operators may.
inline bool is_operator(const Caller& caller, const std::vector<std::string>& operators) {
  return caller.kind == Caller::Kind::local ||
         (caller.kind == Caller::Kind::certified && !caller.name.empty() &&
          std::find(operators.begin(), operators.end(), caller.name) != operators.end());
}

/// Why a call that goes on is ended.
inline Error not_any_more(const char* what) {
  return {Exit::refused, what, "the caller's certificate is not to be believed any more", "",
          "get another certificate: ssn pki renew, ssn pki issue"};
}

/// For what changes something, or gives data: temporary while decisions cannot be logged and the settings ask
/// for that.
inline Outcome may_go_on(const audit::AuditLog* log) {
  return log == nullptr ? Outcome(done) : log->may_go_on();
}

/// What the agent counts of itself.
struct AgentCounters {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> refused{0};        ///< calls of those who may not
  std::atomic<std::uint64_t> busy{0};           ///< calls over a limit
  std::atomic<std::uint64_t> session_calls{0};  ///< of data owners
  std::atomic<std::uint64_t> stalled{0};        ///< streams ended because the caller did not read
  std::atomic<std::uint64_t> peer_streams{0};
  std::atomic<std::uint64_t> peer_streams_bad{0};  ///< ended because of what the peer sent
  std::atomic<std::uint64_t> counter_streams{0};   ///< gauge
  std::atomic<std::uint64_t> trace_streams{0};     ///< gauge
};

}  // namespace ssn::agent
