// SPDX-License-Identifier: BSD-3-Clause
// A trace that runs: buffers at all workers, and reading them.
#pragma once

#include <atomic>
#include <memory>

#include "ssn/dataplane/agent_source.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

class Process;

/// `busy`: a trace runs; one at a time, because a packet carries one mark. Workers must run until it ends.
Result<std::unique_ptr<agent::TraceSession>> start_trace_session(Process& process,
                                                                 const agent::TraceRequest& request,
                                                                 std::atomic<bool>& busy);

}  // namespace ssn::dataplane
