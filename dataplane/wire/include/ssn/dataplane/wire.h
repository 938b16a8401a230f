// SPDX-License-Identifier: BSD-3-Clause
// Wire mode of a data plane (docs/wire-mode.md): what [[stream]] in the configuration asks for. Makes the
// state of every worker, adds the nodes to every worker's graph, and gives workers the connections that the
// key service opened.
//
//   auto wire = WireMode::make(setup);
//   parts.push_back([&](GraphBuilder& graph) { return wire.value()->build(graph); });
//   auto keys = KeyService::open(..., *wire.value());
//
// Threads: made and built by the control thread. attach(), detach() and refresh() are the key service's.
// Outlives the graphs it was built into.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/connection_sink.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/hw/offload_device.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

struct rte_mempool;

namespace ssn::dataplane {

struct WirePlan;
struct WireWorker;
struct WireSession;
struct WireMember;
class MemoryRegistry;

class WireMode final : public ConnectionSink {
 public:
  /// Everything outlives the object.
  struct Setup {
    const Configuration* configuration = nullptr;
    unsigned workers = 1;
    const kernels::Implementation* implementation = nullptr;
    /// Null: the kernels are called directly. Where it takes registered memory only, all packets were
    /// registered and marked (Eal::mark_packets).
    hw::OffloadDevice* device = nullptr;
    std::function<void(std::string_view)> report;  ///< events, for a log; control thread
    /// Any thread: tend() is wanted soon. Makes no more than one system call.
    std::function<void()> call_control;
    /// Index of link `link` to a peer among the host's links.
    std::function<std::uint32_t(const std::string& peer, std::size_t link)> host_link;
    /// Where packets are taken from that leave by a port.
    std::function<rte_mempool*(const std::string& port)> pool;
    /// In a worker's graph: where packets for links go (link_of() is the host's index of the link),
    /// and the node behind whose edge packets to our UDP port come.
    std::function<NodeHandle(GraphBuilder&)> link_output;
    std::function<Outcome(GraphBuilder&, NodeHandle receive)> connect_udp;
  };

  static Result<std::unique_ptr<WireMode>> make(Setup setup);
  ~WireMode();

  /// Adds wire mode to one worker's graph.
  Outcome build(GraphBuilder& graph);
  /// Destroys sessions that are over. Call once when all connections are closed.
  void reap();
  /// Now and then, and after Setup::call_control: closes queues of devices that were given up, and reaps.
  void tend();
  /// Before the connections are closed: closes all queues; the CPU does the rest. Workers run. Fails where a
  /// worker does not answer.
  Outcome stop_device();
  /// Opens them again, before there are connections. Does nothing the first time.
  Outcome start_device();

  bool attach(Connection& connection) override;
  bool detach(Connection& connection) override;
  bool refresh(Connection& connection) override;
  void released(Connection& connection) override;

  /// Why the last attach() could not be done; nothing where it could.
  std::string trouble() const;
  /// Why not all workers use the device; nothing where they do.
  std::string device_trouble() const;

 private:
  explicit WireMode(Setup setup);
  Outcome plan_streams();
  Outcome make_worker(unsigned index);
  Outcome add_stream_nodes(GraphBuilder& graph, WireMember& member, std::size_t at);
  Result<hw::OffloadQueue> open_queue(WireMember& member);
  void close_given_up();
  std::uint64_t deadline_ns() const noexcept;

  Setup setup_;
  std::unique_ptr<MemoryRegistry> memory_;
  std::vector<std::unique_ptr<WirePlan>> plans_;
  std::vector<std::unique_ptr<WireMember>> members_;  // of each worker
  mutable std::mutex mutex_;                          // of what follows; never taken by a worker
  std::vector<std::unique_ptr<WireSession>> sessions_;
  std::string trouble_;
  std::string device_trouble_;
};

}  // namespace ssn::dataplane
