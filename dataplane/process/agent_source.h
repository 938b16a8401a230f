// SPDX-License-Identifier: BSD-3-Clause
// What the agent is told of this process.
#pragma once

#include <memory>

#include "ssn/dataplane/agent_source.h"

namespace ssn::dataplane {

class Process;

/// The process must outlive it.
std::unique_ptr<agent::AgentSource> make_agent_source(Process& process);

}  // namespace ssn::dataplane
