// SPDX-License-Identifier: BSD-3-Clause
// The same counters and status through DPDK's own telemetry socket, for its clients and collectors:
//
//   /ssn/status                    what runs
//   /ssn/counters[,PREFIX[,FROM]]  up to 100 counters whose names begin with PREFIX, from number FROM on;
//   "next"
//                                  says where to go on, when there are more
//
// DPDK allows letters, digits, _ and / in names: "/" stands for ".", "_" for everything else.
#pragma once

#include "ssn/dataplane/agent_source.h"

namespace ssn::agent {

/// Before or after EAL begins; once is enough.
Outcome register_telemetry();
/// `source` must live until stop_telemetry() returns.
void serve_telemetry(AgentSource& source);
void stop_telemetry();

/// "drop.bad_tag" -> "drop/bad_tag".
std::string telemetry_name(const std::string& name);

}  // namespace ssn::agent
