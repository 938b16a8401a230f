// SPDX-License-Identifier: BSD-3-Clause
// The nodes of the IP host (dataplane/host): thin, each one stage of host_input.h or host_output.h.
// host_part.h ties them together.
//
// Between them travel whole frames; l2_len and l3_len of the mbuf say where headers end, and ip4_input and
// ip6_input cut off Ethernet's padding. ether_input, for datagrams of known links, and udp_input give
// listeners the payload alone. link_output takes payloads, with the host's number of the link as
// link_of(packet).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/dataplane/host_input.h"
#include "ssn/dataplane/host_output.h"
#include "ssn/dataplane/node.h"

struct rte_mempool;

namespace ssn::dataplane {

/// What the host's nodes of one worker share. Only that worker touches it once the graph is built.
struct HostState {
  HostState(std::shared_ptr<const Host> owned, std::uint16_t worker_index)
      : host(std::move(owned)), worker(*host, worker_index) {}

  /// Shows counters to others.
  void publish() noexcept;

  std::shared_ptr<const Host> host;
  HostWorker worker;
  Counter* arp_replies = nullptr;
  Counter* neighbour_advertisements = nullptr;
  Counter* echo_replies = nullptr;
  Counter* solicitations = nullptr;
  Counter* announcements = nullptr;
  Counter* addresses_learnt = nullptr;
};

/// Edges to the ports, by DPDK's number of the port.
using PortEdges = std::array<std::uint16_t, Host::max_ports>;

/// State of ip4_input, ip6_input.
struct PassingNode {
  std::shared_ptr<HostState> shared;
};
using ListenerEdges = std::array<std::uint16_t, Host::max_listeners>;  ///< 0: nobody is there
struct EtherInput {
  std::shared_ptr<HostState> shared;
  ListenerEdges listener_edges{};
};
/// State of arp_input, icmp4_input, icmp6_input, nd_input.
struct AnsweringNode {
  std::shared_ptr<HostState> shared;
  PortEdges transmit{};
};
struct UdpInput {
  std::shared_ptr<HostState> shared;
  ListenerEdges listener_edges{};
};
/// State of link_output and host_timer.
struct SendingNode {
  std::shared_ptr<HostState> shared;
  PortEdges transmit{};
  std::array<rte_mempool*, Host::max_ports> pools{};  ///< for frames of the host's own
  Counter* no_memory = nullptr;  ///< solicitations and announcements that found no packet to be made in
};
struct TimerNode {
  SendingNode sending;
  HostTimer timer;
  struct LinkGauges {
    Counter* too_big;
    Counter* smallest_mtu;
    Counter* unreachable;
    Counter* fragments;
    Counter* neighbour;
  };
  std::vector<LinkGauges> links;  ///< what is shown of each link; may be empty
};

enum EtherInputEdge : std::uint16_t { ether_to_arp, ether_to_ip4, ether_to_ip6 };
enum Ip4InputEdge : std::uint16_t { ip4_to_udp, ip4_to_icmp };
enum Ip6InputEdge : std::uint16_t { ip6_to_udp, ip6_to_icmp };
enum Icmp6InputEdge : std::uint16_t { icmp6_to_nd };

extern const NodeType ether_input_type;
extern const NodeType arp_input_type;
extern const NodeType ip4_input_type;
extern const NodeType ip6_input_type;
extern const NodeType icmp4_input_type;
extern const NodeType icmp6_input_type;
extern const NodeType nd_input_type;
extern const NodeType udp_input_type;
extern const NodeType link_output_type;
extern const NodeType host_timer_type;

}  // namespace ssn::dataplane
