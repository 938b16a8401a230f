// SPDX-License-Identifier: BSD-3-Clause
// What the agent asks of the process that it speaks for. `ssn-dataplane` implements it; so do tests. No type
// of gRPC, protocol buffers or DPDK.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::agent {

struct Counter {
  enum class Kind : std::uint8_t {
    counter,  ///< only grows while the process lives
    gauge,    ///< goes up and down: stock, occupancy
  };
  std::string name;  ///< stable, dotted: "drop.bad_tag", "node.wire_split.packets"; docs/agent.md
  std::uint64_t value = 0;
  Kind kind = Kind::counter;
};

/// Details of one thing (a port, a stream, ...) as people read them: "state" -> "established". Numbers that
/// grow belong into counters.
using Properties = std::vector<std::pair<std::string, std::string>>;

/// Something that the process consists of.
struct StatusItem {
  std::string kind;  ///< "worker", "port", "peer", "link", "stream", "key_device", "offload"
  std::string name;  ///< unique among its kind: "1", "client", "sae-b", "sae-b.1"
  bool healthy = true;
  std::string condition;  ///< one word or a few: "running", "link down", "waiting for keys"
  Properties properties;
};

struct Status {
  std::string node;                    ///< [node] name
  std::string version;                 ///< of the program
  std::string role;                    ///< "wire"
  std::string configuration;           ///< the file
  std::uint64_t generation = 0;        ///< of the configuration: 1 at start, one more with each swap
  std::uint64_t process_id = 0;        ///
  std::chrono::nanoseconds uptime{};   ///
  std::vector<std::string> fallbacks;  ///< what the machine lacks and how it was mended: "no huge pages: ..."
  std::vector<StatusItem> items;
};

struct TraceRequest {
  std::uint32_t packets = 0;  ///< how many to trace; 1 to trace_packets_max
  std::string node;           ///< only packets that begin at or cross this node; empty: any
  std::string port;           ///< only packets that were received on this port; empty: any
};
inline constexpr std::uint32_t trace_packets_max = 10'000;

/// One packet at one node.
struct TraceHop {
  std::uint64_t packet = 0;   ///< equal for all hops of one packet in one trace
  std::uint32_t worker = 0;   ///< its lcore
  std::uint64_t time_ns = 0;  ///< worker's clock
  std::string node;
  std::string next;         ///< the node that it goes to; empty: it ends here
  std::uint32_t bytes = 0;  ///< of the packet, as it came to the node
  std::string detail;       ///< what the node says of it; never payload or key
};

/// A running trace. Its end stops it. Used by one thread.
class TraceSession {
 public:
  virtual ~TraceSession() = default;
  /// Appends hops to `out`, at most a thousand; waits for the first one up to `wait`. False: the trace is
  /// complete and there will be no more.
  virtual bool read(std::vector<TraceHop>& out, std::chrono::milliseconds wait) = 0;
  /// Hops that were lost because nobody read them in time.
  virtual std::uint64_t lost() const = 0;
};

struct GraphNode {
  std::string name;
  std::vector<std::string> next;  ///< by edge
  std::uint64_t calls = 0;
  std::uint64_t packets = 0;
  std::uint64_t cycles = 0;
};

/// The live graph of one worker. Edges name nodes of the same graph.
struct Graph {
  std::uint32_t worker = 0;  ///< its lcore
  std::vector<GraphNode> nodes;
};

enum class SwapMode : std::uint8_t {
  check,    ///< is the configuration sound by itself?
  dry_run,  ///< and can the running process take it; what would change?
  apply,    ///< change to it
};

struct SwapResult {
  bool applied = false;
  std::uint64_t generation = 0;      ///< of the configuration that runs now
  std::vector<Error> errors;         ///< all that were found; then nothing was changed
  std::vector<std::string> changes;  ///< one line each, in the order in which they are made
};

/// Implementations take calls from several threads at once and take no lock that a worker holds.
class AgentSource {
 public:
  virtual ~AgentSource() = default;

  virtual Status status() = 0;
  /// All counters whose name begins with `prefix`, sorted by name; appended to `out`. Called up to a hundred
  /// times a second.
  virtual void counters(const std::string& prefix, std::vector<Counter>& out) = 0;
  /// usage: the filter names what there is not; temporary: too many traces run.
  virtual Result<std::unique_ptr<TraceSession>> start_trace(const TraceRequest& request) = 0;
  virtual Result<std::vector<Graph>> graphs() = 0;
  /// `toml` is the text, `file` what to call it in errors. The agent calls one at a time.
  virtual SwapResult swap(SwapMode mode, const std::string& toml, const std::string& file) = 0;
  /// An operator's word that a peer (empty: this node) is what it should be. Says what ended, once that is on
  /// the disk. not_found: no such peer; refused: it is in no quarantine; temporary: it could not be done now.
  virtual Result<std::string> readmit(const std::string& peer) = 0;
};

}  // namespace ssn::agent
