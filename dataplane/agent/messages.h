// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of agent_source.h and the messages of control/api/operation.proto, both ways. What
// comes in is bounded by the size of a message; nothing else is believed of it. The only file, with the
// services and the client, that includes what is generated.
#pragma once

#include <string>
#include <string_view>

#include "ssn/dataplane/agent_source.h"

namespace grpc {
class Status;
}
namespace ssn::dataplane::v1 {
class CounterSnapshot;
class Error;
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
/// Longest message that a client takes.
inline constexpr int answer_max = 16 << 20;

/// Cuts text to `most` bytes, and replaces what is not UTF-8 or would command a terminal, as protocol buffers
/// and people want it.
std::string clean_text(std::string_view text, std::size_t most);

void write(const Error& error, api::Error& message);
Error read(const api::Error& message);
/// An error travels in the details of a gRPC status; without them (it is gRPC's own) its code says what to
/// do. `where` is whom the call went to.
grpc::Status to_status(const Error& error);
Error from_status(const grpc::Status& status, const std::string& where);

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
