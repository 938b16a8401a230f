// SPDX-License-Identifier: BSD-3-Clause
// The nodes of the IP host. What must become of a frame is scapy's word (tests/vectors/host.txt); what must
// become of the packet around it is said here.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "host_fixture.h"
#include "host_nodes.h"
#include "node_bench.h"
#include "ssn/dataplane/graph_builder.h"

namespace ssn::dataplane::test {

using ssn::test::Bytes;
using ssn::test::host_cases;
using ssn::test::host_spec;
using ssn::test::HostCase;
using ssn::test::mac;
using ssn::test::second;
using testing::ElementsAre;
using testing::IsEmpty;

inline constexpr std::uint16_t both_ports[] = {1, 2};
inline constexpr std::size_t burst_sizes[] = {0, 1, 63, 64, 65, 256, 300};

// The way of frames, each stage behind those that lead to it.
struct Stage {
  const char* node;
  const char* edge;
  const char* next;
};
inline constexpr Stage stages[] = {
    {"ether_input-t", "arp", "arp_input-t"},   {"ether_input-t", "ip4", "ip4_input-t"},
    {"ether_input-t", "ip6", "ip6_input-t"},   {"ip4_input-t", "udp", "udp_input-t"},
    {"ip6_input-t", "udp", "udp_input-t"},     {"ip4_input-t", "icmp4", "icmp4_input-t"},
    {"ip6_input-t", "icmp6", "icmp6_input-t"}, {"icmp6_input-t", "nd", "nd_input-t"},
};
inline constexpr const char* input_nodes[] = {"ether_input-t", "arp_input-t", "ip4_input-t",
                                              "ip6_input-t",   "udp_input-t", "icmp4_input-t",
                                              "icmp6_input-t", "nd_input-t"};

// Adds the host's nodes as HostPart does, but for a host that configurations cannot describe.
struct Adder {
  GraphBuilder& graph;
  std::shared_ptr<HostState> shared;

  static const char* port_name(std::uint16_t id) { return id == 1 ? "one" : "two"; }
  void transmit(NodeHandle from, PortEdges& to) const {
    for (const std::uint16_t port : both_ports) {
      to[port] = graph.append_edge(from, graph.transmit(port_name(port)));
    }
  }
  NodeHandle passing(const NodeType& type) const {
    return graph.add(type, "t", std::make_shared<PassingNode>(PassingNode{shared}));
  }
  NodeHandle answering(const NodeType& type) const {
    const auto state = std::make_shared<AnsweringNode>();
    state->shared = shared;
    const NodeHandle made = graph.add(type, "t", state);
    transmit(made, state->transmit);
    return made;
  }
  void sending(SendingNode& state) const {
    state.shared = shared;
    state.no_memory = &graph.counter("host.no_memory");
    for (const std::uint16_t port : both_ports) state.pools[port] = machine()->ports->all()[port]->pool;
  }
};

class HostNodes : public NodeBench {
 protected:
  void build_host(const HostSpec& spec = host_spec(), bool with_timer = false) {
    auto made = Host::make(spec);
    ASSERT_TRUE(made.ok()) << made.error().why;
    host_ = std::move(made.value());
    build({[&](GraphBuilder& graph) { return add_nodes(graph, with_timer); }});
    for (const char* const node : input_nodes) {
      if (node != std::string("udp_input-t")) hold(node);  // its listeners drop
    }
    hold("link_output-t");
    if (with_timer) hold("host_timer-t");
  }

  /// Through all stages behind ether_input.
  void carry(const std::vector<Packet*>& packets) {
    feed("ether_input-t", packets);
    walk();
    for (const Stage& stage : stages) {
      feed(stage.next, take(stage.node, stage.edge));
      walk();
    }
  }
  static const HostCase& a_case(Next next, std::uint16_t ethertype, const std::string& reason = "",
                                std::uint16_t port = 1) {
    for (const HostCase& each : host_cases()) {
      if (each.next != next || each.reason != reason || each.port != port || each.frame.size() < 14) continue;
      if ((each.frame[12] << 8 | each.frame[13]) == ethertype) return each;
    }
    ADD_FAILURE() << "host.txt has no such case";
    return host_cases().front();
  }
  Packet* packet_of(const HostCase& one) { return packet(one.frame, one.port); }
  /// As it left a node, for the next one.
  Packet* again(const Left& left) {
    Packet* const made = packet(left.bytes, left.port);
    made->l2_len = left.l2_len & 0x7FU;
    made->l3_len = left.l3_len & 0x1FFU;
    return made;
  }
  /// What a case is when it comes to this node.
  Packet* at(const std::string& node, const HostCase& one) {
    forget();
    feed("ether_input-t", {packet_of(one)});
    walk();
    for (const Stage& stage : stages) {
      std::vector<Packet*> packets = take(stage.node, stage.edge);
      if (packets.empty()) continue;
      if (stage.next == node) return packets.front();
      feed(stage.next, packets);
      walk();
    }
    ADD_FAILURE() << one.name << " does not come to " << node;
    return packet_of(one);
  }

  std::shared_ptr<Host> host_;
  std::shared_ptr<HostState> shared_;
  std::array<bool, 2> listens_{true, true};
  bool at_once_ = false;  ///< listeners get datagrams of links from ether_input already

 private:
  Outcome add_nodes(GraphBuilder& graph, bool with_timer) {
    shared_ = std::make_shared<HostState>(host_, std::uint16_t{0});
    shared_->arp_replies = &graph.counter("host.arp_replies");
    shared_->neighbour_advertisements = &graph.counter("host.neighbour_advertisements");
    shared_->echo_replies = &graph.counter("host.echo_replies");
    shared_->solicitations = &graph.counter("host.solicitations");
    shared_->announcements = &graph.counter("host.announcements");
    shared_->addresses_learnt = &graph.counter("host.addresses_learnt");
    const Adder nodes{graph, shared_};
    const auto receiving = std::make_shared<EtherInput>();
    receiving->shared = shared_;
    const NodeHandle ether = graph.add(ether_input_type, "t", receiving);
    const NodeHandle ip4 = nodes.passing(ip4_input_type);
    const NodeHandle ip6 = nodes.passing(ip6_input_type);
    const NodeHandle icmp6 = nodes.answering(icmp6_input_type);
    const auto listening = std::make_shared<UdpInput>();
    listening->shared = shared_;
    const NodeHandle udp = graph.add(udp_input_type, "t", listening);
    graph.connect(ether, ether_to_arp, nodes.answering(arp_input_type));
    graph.connect(ether, ether_to_ip4, ip4);
    graph.connect(ether, ether_to_ip6, ip6);
    graph.connect(ip4, ip4_to_udp, udp);
    graph.connect(ip4, ip4_to_icmp, nodes.answering(icmp4_input_type));
    graph.connect(ip6, ip6_to_udp, udp);
    graph.connect(ip6, ip6_to_icmp, icmp6);
    graph.connect(icmp6, icmp6_to_nd, nodes.answering(nd_input_type));
    for (std::size_t i = 0; i < listens_.size(); ++i) {
      const NodeHandle sink = graph.drop("listener" + std::to_string(i));
      if (listens_[i]) listening->listener_edges[i] = graph.append_edge(udp, sink);
      if (listens_[i] && at_once_) receiving->listener_edges[i] = graph.append_edge(ether, sink);
    }
    const auto output = std::make_shared<SendingNode>();
    nodes.sending(*output);
    nodes.transmit(graph.add(link_output_type, "t", output), output->transmit);
    if (with_timer) add_timer(nodes);
    return done;
  }
  void add_timer(const Adder& nodes) {
    const auto timer = std::make_shared<TimerNode>(TimerNode{{}, HostTimer(shared_->worker), {}});
    nodes.sending(timer->sending);
    for (std::uint32_t i = 0; i < host_->link_count(); ++i) {
      const std::string name = "link." + std::to_string(i) + ".";
      const auto gauge = [&](const char* what) {
        return &nodes.graph.counter(name + what, CounterKind::gauge);
      };
      timer->links.push_back({gauge("too_big"), gauge("smallest_mtu"), gauge("unreachable"),
                              gauge("fragments"), gauge("neighbour")});
    }
    nodes.transmit(nodes.graph.add(host_timer_type, "t", timer), timer->sending.transmit);
  }
};

inline HostSpec unlimited() {
  HostSpec spec = host_spec();
  spec.limits.echo_per_second = spec.limits.answers_per_second = 100'000'000;
  return spec;
}

// Where a frame of the vectors must be at the end.
inline std::string end_of(const HostCase& one) {
  switch (one.next) {
    case Next::drop:
      return one.reason;
    case Next::deliver:
      return "drop-listener" + std::to_string(one.listener);
    default:
      return one.port == 1 ? "port_tx-one" : "port_tx-two";
  }
}

}  // namespace ssn::dataplane::test
