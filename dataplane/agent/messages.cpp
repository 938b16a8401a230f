// SPDX-License-Identifier: BSD-3-Clause
#include "messages.h"

#include "error.pb.h"
#include "operation.pb.h"

namespace ssn::agent {
namespace {

constexpr std::size_t name_max = 256;
constexpr std::size_t text_max = 4096;

}  // namespace

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
  for (const v1::Error& error : message.errors()) {
    result.errors.push_back(read(error));
  }
  for (const std::string& change : message.changes()) {
    result.changes.push_back(clean_text(change, text_max));
  }
  return result;
}

}  // namespace ssn::agent
