// SPDX-License-Identifier: BSD-3-Clause
// The numbers of wire mode under their public names: docs/agent.md.
#pragma once

#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/wire_worker.h"

namespace ssn::dataplane {

/// Shows the numbers of a worker and its streams as counters.
void mirror_counters(GraphBuilder& graph, WireWorker& worker);

}  // namespace ssn::dataplane
