// SPDX-License-Identifier: BSD-3-Clause
#include "host_part.h"

#include <algorithm>
#include <set>
#include <string>

#include "host_nodes.h"

namespace ssn::dataplane {

namespace {

constexpr const char* label = "host";
constexpr std::size_t links_shown = 512;

PortSpec port_spec(const PortConfiguration& configured, const Port& port) {
  PortSpec spec;
  spec.name = configured.name;
  spec.id = port.id;
  spec.mac = EthernetAddress::from(port.mac.data());
  spec.mtu = port.mtu;
  spec.addresses = configured.addresses;
  spec.gateways = configured.gateways;
  spec.computes_ip4_checksum = port.offloads.send_ipv4_checksum;
  spec.computes_udp_checksum = port.offloads.send_udp_checksum;
  return spec;
}

/// The longest payload that streams send over each link of a peer.
std::uint32_t payload_over(const Configuration& configuration, const std::string& peer, std::size_t link) {
  std::uint32_t most = 0;
  for (const StreamConfiguration& stream : configuration.streams) {
    if (stream.peer != peer ||
        std::find(stream.links.begin(), stream.links.end(), link) == stream.links.end()) {
      continue;
    }
    most = std::max(most, stream.cell + static_cast<std::uint32_t>(protocol::overhead_bytes));
  }
  return most;
}

bool has_other_use(const Configuration& configuration, const std::string& port) {
  const bool bridged = std::any_of(
      configuration.bridges.begin(), configuration.bridges.end(),
      [&](const BridgeConfiguration& bridge) { return bridge.ports[0] == port || bridge.ports[1] == port; });
  return bridged || std::any_of(configuration.streams.begin(), configuration.streams.end(),
                                [&](const StreamConfiguration& stream) { return stream.port == port; });
}

}  // namespace

Result<std::unique_ptr<HostPart>> HostPart::make(const Configuration& configuration,
                                                 std::span<const Port* const> ports,
                                                 const HostPart* previous) {
  std::unique_ptr<HostPart> part(new HostPart);
  HostSpec spec;
  for (const PortConfiguration& configured : configuration.ports) {
    const auto port = std::find_if(ports.begin(), ports.end(),
                                   [&](const Port* open) { return open->name == configured.name; });
    if (configured.addresses.empty() || port == ports.end()) continue;
    spec.ports.push_back(port_spec(configured, **port));
    part->ports_.push_back(*port);
    if (!has_other_use(configuration, configured.name)) part->received_.push_back(configured.name);
  }
  std::set<std::uint16_t> listeners;
  for (const PeerConfiguration& peer : configuration.peers) {
    part->first_link_.push_back(static_cast<std::uint32_t>(spec.links.size()));
    for (std::size_t i = 0; i < peer.links.size(); ++i) {
      const LinkConfiguration& configured = peer.links[i];
      LinkSpec link;
      link.name = std::string(peer.name).append("-").append(std::to_string(i + 1));
      const auto port = std::find_if(ports.begin(), ports.end(),
                                     [&](const Port* open) { return open->name == configured.port; });
      link.port = port != ports.end() ? (*port)->id : Host::max_ports;
      link.local = configured.local;
      link.remote = configured.remote;
      link.udp_port = configured.udp_port;
      link.payload_bytes = payload_over(configuration, peer.name, i);
      spec.links.push_back(link);
      listeners.insert(configured.udp_port);
    }
  }
  if (configuration.ssa.present) {
    listeners.insert(configuration.ssa.udp_port);
    spec.limits.guests = static_cast<std::uint16_t>(configuration.ssa.owners);
  }
  spec.listeners.assign(listeners.begin(), listeners.end());
  auto host = Host::make(spec);
  if (!host.ok()) return std::move(host.error());
  part->host_ = std::move(host.value());
  if (previous != nullptr) part->host_->inherit(*previous->host_);
  return part;
}

namespace {

/// Adds the nodes of one worker.
struct Maker {
  GraphBuilder& graph;
  const std::vector<const Port*>& ports;
  std::shared_ptr<HostState> shared;

  void transmit(NodeHandle from, PortEdges& edges) const {
    for (const Port* const port : ports)
      edges[port->id] = graph.append_edge(from, graph.transmit(port->name));
  }
  NodeHandle passing(const NodeType& type) const {
    return graph.add(type, label, std::make_shared<PassingNode>(PassingNode{shared}));
  }
  NodeHandle answering(const NodeType& type) const {
    const auto state = std::make_shared<AnsweringNode>();
    state->shared = shared;
    const NodeHandle node = graph.add(type, label, state);
    transmit(node, state->transmit);
    return node;
  }
  void prepare(SendingNode& state) const {
    state.shared = shared;
    state.no_memory = &graph.counter("host.no_memory");
    for (const Port* const port : ports) state.pools[port->id] = port->pool;
  }
};

std::shared_ptr<HostState> shared_state(GraphBuilder& graph, std::shared_ptr<const Host> host) {
  auto state =
      std::make_shared<HostState>(std::move(host), static_cast<std::uint16_t>(graph.worker().index()));
  state->arp_replies = &graph.counter("host.arp_replies");
  state->neighbour_advertisements = &graph.counter("host.neighbour_advertisements");
  state->echo_replies = &graph.counter("host.echo_replies");
  state->solicitations = &graph.counter("host.solicitations");
  state->announcements = &graph.counter("host.announcements");
  state->addresses_learnt = &graph.counter("host.addresses_learnt");
  // Counters go on over changes of the configuration.
  HostCounters& counted = state->worker.counters;
  counted.arp_replies = state->arp_replies->read();
  counted.neighbour_advertisements = state->neighbour_advertisements->read();
  counted.echo_replies = state->echo_replies->read();
  counted.solicitations = state->solicitations->read();
  counted.announcements = state->announcements->read();
  counted.addresses_learnt = state->addresses_learnt->read();
  return state;
}

void add_timer(const Maker& nodes) {
  GraphBuilder& graph = nodes.graph;
  const auto state = std::make_shared<TimerNode>(TimerNode{{}, HostTimer(nodes.shared->worker), {}});
  nodes.prepare(state->sending);
  const Host& host = *nodes.shared->host;
  for (std::uint32_t i = 0; i < host.link_count() && host.link_count() <= links_shown; ++i) {
    const std::string prefix = std::string("link.").append(host.link(i).name).append(".");
    state->links.push_back({&graph.counter(prefix + "too_big", CounterKind::gauge),
                            &graph.counter(prefix + "smallest_mtu", CounterKind::gauge),
                            &graph.counter(prefix + "unreachable", CounterKind::gauge),
                            &graph.counter(prefix + "fragments", CounterKind::gauge),
                            &graph.counter(prefix + "neighbour", CounterKind::gauge)});
  }
  nodes.transmit(graph.add(host_timer_type, label, state), state->sending.transmit);
}

}  // namespace

Outcome HostPart::build(GraphBuilder& graph) {
  if (ports_.empty()) return done;
  const unsigned worker = graph.worker().index();
  const Maker nodes{graph, ports_, shared_state(graph, host_)};
  if (inputs_.size() <= worker) inputs_.resize(worker + std::size_t{1});
  Inputs& inputs = inputs_[worker];
  inputs.ether = std::make_shared<EtherInput>();
  inputs.udp = std::make_shared<UdpInput>();
  inputs.ether->shared = inputs.udp->shared = nodes.shared;
  inputs.worker = std::shared_ptr<HostWorker>(nodes.shared, &nodes.shared->worker);
  const NodeHandle ether = graph.add(ether_input_type, label, inputs.ether);
  const NodeHandle ip4 = nodes.passing(ip4_input_type);
  const NodeHandle ip6 = nodes.passing(ip6_input_type);
  const NodeHandle icmp6 = nodes.answering(icmp6_input_type);
  const NodeHandle udp = graph.add(udp_input_type, label, inputs.udp);
  graph.connect(ether, ether_to_arp, nodes.answering(arp_input_type));
  graph.connect(ether, ether_to_ip4, ip4);
  graph.connect(ether, ether_to_ip6, ip6);
  graph.connect(ip4, ip4_to_udp, udp);
  graph.connect(ip4, ip4_to_icmp, nodes.answering(icmp4_input_type));
  graph.connect(ip6, ip6_to_udp, udp);
  graph.connect(ip6, ip6_to_icmp, icmp6);
  graph.connect(icmp6, icmp6_to_nd, nodes.answering(nd_input_type));

  const auto output = std::make_shared<SendingNode>();
  nodes.prepare(*output);
  nodes.transmit(graph.add(link_output_type, label, output), output->transmit);
  if (worker == 0) add_timer(nodes);
  for (const std::string& port : received_) {
    const NodeHandle receive = graph.receive(port);
    if (receive != NodeHandle{}) graph.connect(receive, 0, ether);
  }
  return done;
}

Outcome HostPart::listen(GraphBuilder& graph, std::uint16_t udp_port, NodeHandle to) const {
  const int listener = host_->listener(udp_port);
  const unsigned worker = graph.worker().index();
  if (listener < 0 || worker >= inputs_.size() || inputs_[worker].udp == nullptr) {
    return Error{Exit::failed, "nothing can listen at UDP port " + std::to_string(udp_port),
                 listener < 0 ? "no link of a peer uses it" : "no port has an address", "udp_port",
                 "Configure a link with this UDP port."};
  }
  const auto at = static_cast<std::size_t>(listener);
  std::uint16_t& edge = inputs_[worker].udp->listener_edges[at];
  if (edge != 0) {
    return Error{Exit::failed, "two listen at UDP port " + std::to_string(udp_port),
                 "a port has one listener", "udp_port", "Give them different ports."};
  }
  edge = graph.append_edge(graph.find(udp_input_type, label), to);
  inputs_[worker].ether->listener_edges[at] = graph.append_edge(graph.find(ether_input_type, label), to);
  return done;
}

std::shared_ptr<HostWorker> HostPart::worker(GraphBuilder& graph) const {
  const unsigned index = graph.worker().index();
  return index < inputs_.size() ? inputs_[index].worker : nullptr;
}

NodeHandle HostPart::link_output(GraphBuilder& graph) const { return graph.find(link_output_type, label); }

NodeHandle HostPart::ether_input(GraphBuilder& graph) const { return graph.find(ether_input_type, label); }

}  // namespace ssn::dataplane
