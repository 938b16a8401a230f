// SPDX-License-Identifier: BSD-3-Clause
// The parts that a pipeline is made of: what a configuration asks for, as nodes and edges. Each makes a
// GraphPart (graph_builder.h) out of the configuration, which must outlive it.
#pragma once

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/graph_builder.h"

namespace ssn::dataplane {

/// [[bridge]]: what one port receives the other sends, unchanged.
GraphPart bridges_part(const Configuration& configuration);

}  // namespace ssn::dataplane
