// SPDX-License-Identifier: BSD-3-Clause
// Pictures of a worker's graph: as text, for Graphviz, and as SVG of our own. Pure; what it draws comes from
// another process and is not believed.
#pragma once

#include <string>

#include "ssn/dataplane/agent_source.h"

namespace ssn::cli {

/// Nodes with what they did, and where their packets may go.
std::string draw_text(const agent::Graph& graph);
/// The language of Graphviz.
std::string draw_dot(const agent::Graph& graph);
/// Layer by layer from the sources to the sinks, left to right.
std::string draw_svg(const agent::Graph& graph);

}  // namespace ssn::cli
