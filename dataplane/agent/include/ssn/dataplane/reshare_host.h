// SPDX-License-Identifier: BSD-3-Clause
// What the agent of a shareholder asks of its process for the control side: service Resharing of
// control/api/operation.proto. Who may ask was settled by the agent before. No type of gRPC, protocol buffers
// or DPDK.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/roles/resharing.h"

namespace ssn::agent {

/// Of every answer to what changes something.
struct TermState {
  bool is_old = false;     ///< the caller's term is; then nothing was done
  std::uint64_t term = 0;  ///< the highest that this node saw
};

struct OrderReply {
  TermState term;
  roles::ReshareAnswer answer = roles::ReshareAnswer::malformed;
};

struct CancelReply {
  TermState term;
  bool known = false;
};

struct ReshareReport {
  roles::ReshareStatus status;
  std::string node;  ///< name of status.node; empty: this one
};

/// Implementations take calls from several threads at once, which may wait for a worker or its store
/// (seconds, never longer than their own deadline), and take no lock that a worker holds. temporary: a worker
/// or the store did not answer in time, what was asked for may still happen.
class ReshareHost {
 public:
  virtual ~ReshareHost() = default;

  virtual Result<OrderReply> order_reshare(std::uint64_t term, const roles::ReshareOrder& order) = 0;
  virtual Result<CancelReply> cancel_reshare(std::uint64_t term, std::uint64_t job) = 0;
  /// All jobs that are known here, by job.
  virtual Result<std::vector<ReshareReport>> reshares() = 0;
  /// Returns when it is durable.
  virtual Result<TermState> erase(std::uint64_t term, std::uint64_t object, std::uint32_t generation) = 0;
};

/// Calls that run at once; those beyond fail as temporary.
inline constexpr unsigned reshare_calls_max = 12;
/// And streams of ListReshares, besides.
inline constexpr unsigned reshare_streams_max = 4;

}  // namespace ssn::agent
