// SPDX-License-Identifier: BSD-3-Clause
// What the agent shows of its certificate and of the certificates of others.
#pragma once

#include <cstdint>
#include <vector>

#include "live_identity.h"
#include "ssn/dataplane/agent_source.h"

namespace ssn::agent {

/// "certificate", by the name of this node. `now` in seconds since 1970.
StatusItem status_item(const pki::LiveIdentity::State& state, std::int64_t now);

/// "agent.certificate_left_s" and the like, not sorted among others.
void add_counters(const pki::LiveIdentity::State& state, std::int64_t now, std::vector<Counter>& out);

}  // namespace ssn::agent
