// SPDX-License-Identifier: BSD-3-Clause
// The IP host as a part of the pipeline. No header of DPDK. Control threads.
//
//   auto part = HostPart::make(configuration, ports, previous);  // checks all addresses and links
//   part->build(graph);                                          // for each worker, before parts that use it
//   part->listen(graph, udp_port, collect);                      // who gets what comes to a UDP port
//   graph.connect(send, 0, part->link_output(graph));            // payloads, with link_of(packet)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/host.h"
#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

struct EtherInput;
struct UdpInput;

class HostPart {
 public:
  /// `ports`: all that are open. `previous`: the host before a change of the configuration, whose neighbours
  /// are remembered; may be null.
  static Result<std::unique_ptr<HostPart>> make(const Configuration& configuration,
                                                std::span<const Port* const> ports, const HostPart* previous);

  /// Adds the host's nodes to the graph of one worker, and connects the ports that have addresses and no
  /// other use.
  Outcome build(GraphBuilder& graph);

  // After build() for the same worker:
  /// What arrives for a UDP port goes to `to`: the payload; l2_len and l3_len say how long the headers before
  /// it were. Only ports of configured links.
  Outcome listen(GraphBuilder& graph, std::uint16_t udp_port, NodeHandle to) const;
  /// Takes payloads to send.
  NodeHandle link_output(GraphBuilder& graph) const;
  /// The host at this worker, for guests.
  std::shared_ptr<HostWorker> worker(GraphBuilder& graph) const;
  /// Takes whole frames, for parts that received some that are none of theirs.
  NodeHandle ether_input(GraphBuilder& graph) const;

  /// The host's number of a link, from its places in the configuration.
  std::uint32_t link(std::size_t peer, std::size_t link_of_peer) const noexcept {
    return first_link_[peer] + static_cast<std::uint32_t>(link_of_peer);
  }
  const Host& host() const noexcept { return *host_; }

 private:
  HostPart() = default;
  std::shared_ptr<Host> host_;
  std::vector<const Port*> ports_;         // those with addresses
  std::vector<std::string> received_;      // names of those that only the host uses
  std::vector<std::uint32_t> first_link_;  // of each peer
  struct Inputs {
    std::shared_ptr<EtherInput> ether;
    std::shared_ptr<UdpInput> udp;
    std::shared_ptr<HostWorker> worker;
  };
  std::vector<Inputs> inputs_;  // of each worker that was built for
};

}  // namespace ssn::dataplane
