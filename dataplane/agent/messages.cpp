// SPDX-License-Identifier: BSD-3-Clause
#include "messages.h"

#include <fmt/core.h>
#include <grpcpp/support/status.h>

#include <algorithm>

#include "operation.pb.h"

namespace ssn::agent {
namespace {

constexpr std::size_t error_text_max = 1000;  // four of them fit into the metadata of an answer
constexpr std::size_t name_max = 256;
constexpr std::size_t text_max = 4096;

// Length of the UTF-8 sequence that begins at `at` (RFC 3629), or 0.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) {
    return 0;
  }
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return 0;
    }
  }
  const unsigned char second = byte(at + 1);
  const bool outside = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                       (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return outside ? 0 : length;
}

struct CodePair {
  Exit code;
  grpc::StatusCode status;
};
constexpr CodePair codes[] = {
    {Exit::failed, grpc::StatusCode::INTERNAL},           {Exit::usage, grpc::StatusCode::INVALID_ARGUMENT},
    {Exit::not_found, grpc::StatusCode::NOT_FOUND},       {Exit::temporary, grpc::StatusCode::UNAVAILABLE},
    {Exit::refused, grpc::StatusCode::PERMISSION_DENIED},
};

// What gRPC itself found.
Error transport_error(const grpc::Status& status, const std::string& where) {
  const std::string why = status.error_message().empty() ? "no reason was given"
                                                         : clean_text(status.error_message(), error_text_max);
  const char* const what = "cannot ask the data plane";
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return {Exit::not_found, what, why, where,
              "see that ssn-dataplane runs and listens there; over TLS also that each side's certificate is "
              "signed by the other side's CA and names whom it should"};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Exit::refused, what, why, where, "use a certificate of an operator, or the local socket"};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Exit::temporary, what, "it did not answer in time", where,
              "try again; if it lasts, look at what the process waits for"};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Exit::temporary, what, why, where, "end other calls, or ask for less"};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Exit::failed, what, "it does not know the call", where, "use programs of the same version"};
    default:
      return {Exit::failed, what, why, where, "try again; else report it as a bug"};
  }
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    const bool control = length == 1 && (first < 0x20 || first == 0x7F) && first != '\n';
    const bool control_c1 = length == 2 && first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0;
    const bool good = length != 0 && !control && !control_c1;
    const std::string_view piece = good ? text.substr(at, length) : std::string_view("?");
    if (out.size() + piece.size() > most) {
      break;
    }
    out += piece;
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

void write(const Error& error, api::Error& message) {
  message.set_code(static_cast<std::uint32_t>(error.code));
  message.set_what(clean_text(error.what, error_text_max));
  message.set_why(clean_text(error.why, error_text_max));
  message.set_where(clean_text(error.where, error_text_max));
  message.set_fix(clean_text(error.fix, error_text_max));
}

Error read(const api::Error& message) {
  Error error;
  const std::uint32_t last = static_cast<std::uint32_t>(Exit::kernels_refused);
  error.code =
      message.code() >= 1 && message.code() <= last ? static_cast<Exit>(message.code()) : Exit::failed;
  error.what = clean_text(message.what(), error_text_max);
  error.why = clean_text(message.why(), error_text_max);
  error.where = clean_text(message.where(), error_text_max);
  error.fix = clean_text(message.fix(), error_text_max);
  return error;
}

grpc::Status to_status(const Error& error) {
  const auto* const pair = std::find_if(std::begin(codes), std::end(codes),
                                        [&](const CodePair& p) { return p.code == error.code; });
  const grpc::StatusCode code =
      pair == std::end(codes) ? grpc::StatusCode::FAILED_PRECONDITION : pair->status;
  api::Error message;
  write(error, message);
  return {code, message.what() + ": " + message.why(), message.SerializeAsString()};
}

Error from_status(const grpc::Status& status, const std::string& where) {
  api::Error message;
  if (!status.error_details().empty() && message.ParseFromString(status.error_details()) &&
      !message.what().empty()) {
    return read(message);
  }
  return transport_error(status, where);
}

void write(const Status& status, api::Status& message) {
  message.set_node(clean_text(status.node, name_max));
  message.set_version(clean_text(status.version, name_max));
  message.set_role(clean_text(status.role, name_max));
  message.set_configuration(clean_text(status.configuration, text_max));
  message.set_generation(status.generation);
  message.set_process_id(status.process_id);
  message.set_uptime_ns(static_cast<std::uint64_t>(status.uptime.count()));
  for (const std::string& fallback : status.fallbacks) {
    message.add_fallbacks(clean_text(fallback, text_max));
  }
  for (const StatusItem& item : status.items) {
    api::StatusItem& out = *message.add_items();
    out.set_kind(clean_text(item.kind, name_max));
    out.set_name(clean_text(item.name, name_max));
    out.set_healthy(item.healthy);
    out.set_condition(clean_text(item.condition, text_max));
    for (const auto& [name, value] : item.properties) {
      api::Property& property = *out.add_properties();
      property.set_name(clean_text(name, name_max));
      property.set_value(clean_text(value, text_max));
    }
  }
}

Status read(const api::Status& message) {
  Status status;
  status.node = clean_text(message.node(), name_max);
  status.version = clean_text(message.version(), name_max);
  status.role = clean_text(message.role(), name_max);
  status.configuration = clean_text(message.configuration(), text_max);
  status.generation = message.generation();
  status.process_id = message.process_id();
  const std::uint64_t longest = static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count());
  status.uptime = std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(message.uptime_ns(), longest)));
  for (const std::string& fallback : message.fallbacks()) {
    status.fallbacks.push_back(clean_text(fallback, text_max));
  }
  for (const api::StatusItem& in : message.items()) {
    StatusItem item{clean_text(in.kind(), name_max),
                    clean_text(in.name(), name_max),
                    in.healthy(),
                    clean_text(in.condition(), text_max),
                    {}};
    for (const api::Property& property : in.properties()) {
      item.properties.emplace_back(clean_text(property.name(), name_max),
                                   clean_text(property.value(), text_max));
    }
    status.items.push_back(std::move(item));
  }
  return status;
}

void write(const std::vector<Counter>& counters, api::CounterSnapshot& message) {
  for (const Counter& counter : counters) {
    api::Counter& out = *message.add_counters();
    out.set_name(clean_text(counter.name, name_max));
    out.set_value(counter.value);
    out.set_kind(counter.kind == Counter::Kind::gauge ? api::COUNTER_KIND_GAUGE : api::COUNTER_KIND_COUNTER);
  }
}

std::vector<Counter> read(const api::CounterSnapshot& message) {
  std::vector<Counter> counters;
  for (const api::Counter& in : message.counters()) {
    const bool gauge = in.kind() == api::COUNTER_KIND_GAUGE;
    counters.push_back(
        {clean_text(in.name(), name_max), in.value(), gauge ? Counter::Kind::gauge : Counter::Kind::counter});
  }
  return counters;
}

void write(const std::vector<TraceHop>& hops, api::TraceHops& message) {
  for (const TraceHop& hop : hops) {
    api::TraceHop& out = *message.add_hops();
    out.set_packet(hop.packet);
    out.set_worker(hop.worker);
    out.set_time_ns(hop.time_ns);
    out.set_node(clean_text(hop.node, name_max));
    out.set_next(clean_text(hop.next, name_max));
    out.set_bytes(hop.bytes);
    out.set_detail(clean_text(hop.detail, text_max));
  }
}

std::vector<TraceHop> read(const api::TraceHops& message) {
  std::vector<TraceHop> hops;
  for (const api::TraceHop& in : message.hops()) {
    hops.push_back({in.packet(), in.worker(), in.time_ns(), clean_text(in.node(), name_max),
                    clean_text(in.next(), name_max), in.bytes(), clean_text(in.detail(), text_max)});
  }
  return hops;
}

void write(const std::vector<Graph>& graphs, api::Graphs& message) {
  for (const Graph& graph : graphs) {
    api::Graph& out = *message.add_graphs();
    out.set_worker(graph.worker);
    for (const GraphNode& node : graph.nodes) {
      api::GraphNode& node_out = *out.add_nodes();
      node_out.set_name(clean_text(node.name, name_max));
      for (const std::string& next : node.next) {
        node_out.add_next(clean_text(next, name_max));
      }
      node_out.set_calls(node.calls);
      node_out.set_packets(node.packets);
      node_out.set_cycles(node.cycles);
    }
  }
}

std::vector<Graph> read(const api::Graphs& message) {
  std::vector<Graph> graphs;
  for (const api::Graph& in : message.graphs()) {
    Graph graph{in.worker(), {}};
    for (const api::GraphNode& node_in : in.nodes()) {
      GraphNode node{
          clean_text(node_in.name(), name_max), {}, node_in.calls(), node_in.packets(), node_in.cycles()};
      for (const std::string& next : node_in.next()) {
        node.next.push_back(clean_text(next, name_max));
      }
      graph.nodes.push_back(std::move(node));
    }
    graphs.push_back(std::move(graph));
  }
  return graphs;
}

void write(const SwapResult& result, api::SwapResult& message) {
  message.set_applied(result.applied);
  message.set_generation(result.generation);
  for (const Error& error : result.errors) {
    write(error, *message.add_errors());
  }
  for (const std::string& change : result.changes) {
    message.add_changes(clean_text(change, text_max));
  }
}

SwapResult read(const api::SwapResult& message) {
  SwapResult result{message.applied(), message.generation(), {}, {}};
  for (const api::Error& error : message.errors()) {
    result.errors.push_back(read(error));
  }
  for (const std::string& change : message.changes()) {
    result.changes.push_back(clean_text(change, text_max));
  }
  return result;
}

}  // namespace ssn::agent
