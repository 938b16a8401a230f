// SPDX-License-Identifier: BSD-3-Clause
// How a node is written. A node file defines a state, a function over bursts, and one NodeType:
//
//   // nodes/strip_tag.h
//   struct StripTag { std::uint16_t tag; Counter& stripped; };
//   enum StripTagEdge : std::uint16_t { strip_tag_next, strip_tag_bad };
//   extern const NodeType strip_tag_type;
//
//   // nodes/strip_tag.cpp
//   namespace {
//   std::uint16_t strip_tags(StripTag& state, Burst& burst) {
//     std::uint16_t edges[Burst::chunk];
//     burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
//       for (std::uint16_t i = 0; i < count; ++i) edges[i] = strip(state, *packets[i]);
//       burst.send_each(packets, edges, count);
//     });
//     return burst.size();
//   }
//   constexpr Edge edges[] = {{"next"}, {"bad_tag", EdgeKind::drop}};
//   }
//   const NodeType strip_tag_type = node_type<strip_tags>("strip_tag", edges);
//
// What a node must do: send or keep or release every packet of its burst, on an edge of its own, and return
// how many packets it handled. A burst may have any number of packets: work in chunks. It runs on a worker:
// no system call, no allocation, no lock, no log. It never sees a graph; which nodes its edges lead to is
// graph_builder.h's affair. Its state belongs to one worker, and lives from before the first until after the
// last call.
#pragma once

#include <rte_graph.h>
#include <rte_graph_worker.h>

#include <atomic>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <span>

#include "ssn/dataplane/packet.h"
#include "ssn/dataplane/trace.h"
#include "ssn/dataplane/worker.h"

namespace ssn::dataplane {

enum class EdgeKind : std::uint8_t {
  next,  ///< must be connected
  drop,  ///< leads to the node drop-NAME, which counts drop.NAME, unless it is connected otherwise
};

struct Edge {
  const char* name = nullptr;
  EdgeKind kind = EdgeKind::next;
};

using NodeProcess = rte_node_process_t;

/// One for each kind of node, in static storage.
struct NodeType {
  const char* name = nullptr;     ///< a-z, 0-9, '_'; at most 24 bytes
  std::span<const Edge> edges{};  ///< the first ones of each instance, in this order
  bool is_source = false;         ///< called in every walk, with an empty burst
  NodeProcess process = nullptr;
};

/// What DPDK keeps for a node, in the 16 bytes that it gives us.
struct NodeContext {
  void* state = nullptr;
  Worker* worker = nullptr;
};
static_assert(sizeof(NodeContext) == RTE_NODE_CTX_SZ);

/// What stands between NodeContext::state and the state of a source: walks that found nothing are not to be
/// mixed with those that did, or the cycles of a packet could not be told.
struct SourceContext {
  void* state = nullptr;
  std::atomic<std::uint64_t> idle_calls{0};
  std::atomic<std::uint64_t> idle_cycles{0};

  void add_idle(std::uint64_t cycles) noexcept {
    idle_calls.store(idle_calls.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    idle_cycles.store(idle_cycles.load(std::memory_order_relaxed) + cycles, std::memory_order_relaxed);
  }
};

/// The packets that a node was given, and where it sends them. Lives for one call.
class Burst {
 public:
  /// What a node works on at a time: fits kernels, offload queues and its own arrays.
  static constexpr std::uint16_t chunk = 64;

  Burst(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count) noexcept
      : graph_(graph), node_(node), objects_(objects), count_(count) {
    std::memcpy(&context_, node->ctx, sizeof context_);
    trace_ = context_.worker->trace();
  }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  Worker& worker() const noexcept { return *context_.worker; }
  /// Of the instance; for a source its SourceContext.
  void* state() const noexcept { return context_.state; }
  std::uint16_t size() const noexcept { return count_; }
  Packet& operator[](std::uint16_t i) const noexcept { return *static_cast<Packet*>(objects_[i]); }
  Packet* const* packets() const noexcept { return reinterpret_cast<Packet* const*>(objects_); }

  /// function(Packet* const* packets, std::uint16_t count) for at most `chunk` packets at a time.
  template <typename Function>
  void for_each_chunk(Function function) {
    for (std::uint16_t begin = 0; begin < count_;) {
      const std::uint16_t left = static_cast<std::uint16_t>(count_ - begin);
      const std::uint16_t count = left < chunk ? left : chunk;
      function(packets() + begin, count);
      begin = static_cast<std::uint16_t>(begin + count);
    }
  }

  /// Sends one packet. Several at once cost less.
  void send(std::uint16_t edge, Packet& packet) noexcept {
    record(edge, packet);
    rte_node_enqueue_x1(graph_, node_, edge, &packet);
  }
  void send(std::uint16_t edge, Packet* const* packets, std::uint16_t count) noexcept {
    if (count == 0) {
      return;
    }
    for (std::uint16_t i = 0; trace_ != nullptr && i < count; ++i) {
      record(edge, *packets[i]);
    }
    rte_node_enqueue(graph_, node_, edge, reinterpret_cast<void**>(const_cast<Packet**>(packets)), count);
  }
  /// Packet i on edges[i]; neighbours that go the same way go together.
  void send_each(Packet* const* packets, const std::uint16_t* edges, std::uint16_t count) noexcept {
    for (std::uint16_t begin = 0; begin < count;) {
      std::uint16_t end = static_cast<std::uint16_t>(begin + 1);
      while (end < count && edges[end] == edges[begin]) {
        ++end;
      }
      send(edges[begin], packets + begin, static_cast<std::uint16_t>(end - begin));
      begin = end;
    }
  }
  /// The whole burst, without copying where the next node has nothing yet. Not for sources.
  void send_all(std::uint16_t edge) noexcept {
    if (count_ == 0) {
      return;
    }
    for (std::uint16_t i = 0; trace_ != nullptr && i < count_; ++i) {
      record(edge, (*this)[i]);
    }
    rte_node_next_stream_move(graph_, node_, edge);
  }

  /// Says "look at your state" to a node that takes jobs (job_burst.h).
  void nudge(std::uint16_t edge) noexcept { rte_node_enqueue_x1(graph_, node_, edge, nullptr); }

  // ---- Sources: packets go straight to where the next node will find them.
  /// Room for `count` packets; then commit() those that are there.
  Packet** reserve(std::uint16_t edge, std::uint16_t count) noexcept {
    return reinterpret_cast<Packet**>(rte_node_next_stream_get(graph_, node_, edge, count));
  }
  void commit(std::uint16_t edge, Packet* const* packets, std::uint16_t count) noexcept {
    for (std::uint16_t i = 0; trace_ != nullptr && i < count; ++i) {
      record(edge, *packets[i]);
    }
    rte_node_next_stream_put(graph_, node_, edge, count);
  }

  // ---- Traces.
  bool is_tracing() const noexcept { return trace_ != nullptr; }
  /// For a source of packets, before it sends them: marks those that a trace wants.
  void begin_trace(Packet* const* packets, std::uint16_t count) noexcept;
  /// A remark about a packet: a literal with up to two numbers in it, "share {} of block {}".
  void remark(Packet& packet, const char* detail, std::uint64_t first = 0,
              std::uint64_t second = 0) noexcept {
    if (trace_ != nullptr && is_traced(packet)) [[unlikely]] {
      write_record(any_node, packet, detail, first, second);
    }
  }
  /// What node_type() does before the node's own function, where a trace runs.
  void enter() noexcept;

 private:
  void mark(Packet& packet) noexcept;
  void record(std::uint16_t edge, Packet& packet) noexcept {
    if (trace_ != nullptr && is_traced(packet)) [[unlikely]] {
      write_record(node_->nodes[edge]->id, packet, nullptr, 0, 0);
    }
  }
  void write_record(std::uint32_t next, Packet& packet, const char* detail, std::uint64_t first,
                    std::uint64_t second) noexcept;

  rte_graph* const graph_;
  rte_node* const node_;
  void** const objects_;
  const std::uint16_t count_;
  NodeContext context_;
  TraceBuffer* trace_;
};

namespace detail {

template <typename State>
State state_of(std::uint16_t (*)(State&, Burst&));

template <auto process>
std::uint16_t run_node(rte_graph* graph, rte_node* node, void** objects, std::uint16_t count) {
  using State = decltype(state_of(process));
  Burst burst(graph, node, objects, count);
  if (burst.is_tracing()) [[unlikely]] {
    burst.enter();
  }
  return process(*static_cast<State*>(burst.state()), burst);
}

/// Calls function(state), and keeps the cycles of idle calls apart.
template <typename State, typename Function>
std::uint16_t run_source(void* source, Function function) {
  const std::uint64_t begin = rte_rdtsc();
  SourceContext& context = *static_cast<SourceContext*>(source);
  const std::uint16_t count = function(*static_cast<State*>(context.state));
  if (count == 0) {
    context.add_idle(rte_rdtsc() - begin);
  }
  return count;
}

template <auto process>
std::uint16_t run_source_node(rte_graph* graph, rte_node* node, void** objects, std::uint16_t) {
  using State = decltype(state_of(process));
  Burst burst(graph, node, objects, 0);
  return run_source<State>(burst.state(), [&](State& state) { return process(state, burst); });
}

}  // namespace detail

/// A node whose function is `process`: std::uint16_t (State&, Burst&).
template <auto process>
constexpr NodeType node_type(const char* name, std::span<const Edge> edges) {
  return {name, edges, false, detail::run_node<process>};
}
/// The same for a source: called in every walk; it calls Worker::note_work() when it had something, and
/// returns how many packets it sent.
template <auto process>
constexpr NodeType source_type(const char* name, std::span<const Edge> edges) {
  return {name, edges, true, detail::run_source_node<process>};
}

}  // namespace ssn::dataplane
