// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of agent_source.h and the messages of control/api/operation.proto, both ways. What
// comes in is bounded by the size of a message; nothing else is believed of it. The only file, with the
// services and the client, that includes what is generated.
#pragma once

#include <string>
#include <string_view>

#include "call_error.h"
#include "ssn/dataplane/agent_source.h"

namespace ssn::dataplane::v1 {
class CounterSnapshot;
class Graphs;
class Status;
class SwapRequest;
class SwapResult;
class TraceHops;
}  // namespace ssn::dataplane::v1

namespace ssn::agent {

namespace api = ssn::dataplane::v1;

inline constexpr std::size_t swap_text_max = std::size_t{1} << 20;
/// Longest message that an agent takes.
inline constexpr int request_max = (1 << 20) + (64 << 10);
using pki::clean_text;
using pki::read;
using pki::to_status;
using pki::write;
/// For pki::from_status().
inline pki::Callee data_plane_at(const std::string& where) {
  return {"cannot ask the data plane", "ssn-dataplane", "an operator, or the local socket", where};
}

void write(const Status& status, api::Status& message);
Status read(const api::Status& message);

void write(const std::vector<Counter>& counters, api::CounterSnapshot& message);
std::vector<Counter> read(const api::CounterSnapshot& message);

void write(const std::vector<TraceHop>& hops, api::TraceHops& message);
std::vector<TraceHop> read(const api::TraceHops& message);

void write(const std::vector<Graph>& graphs, api::Graphs& message);
std::vector<Graph> read(const api::Graphs& message);

void write(const SwapResult& result, api::SwapResult& message);
SwapResult read(const api::SwapResult& message);

}  // namespace ssn::agent
