// SPDX-License-Identifier: BSD-3-Clause
// The data plane as an IP host: which addresses its ports have, how its links are reached, who listens where.
// No DPDK, no clock, no system call: frames, lengths and times come in as arguments.
//
// host_input.h takes received frames apart and answers what is for the host itself; host_output.h puts
// headers in front of what leaves over a link, and asks for neighbours.
//
// Threads: a Host is made by one thread, then read by all workers and not changed, but for what is atomic in
// it: the neighbour table and the reports of links. What a worker needs for itself is in its HostWorker. A
// new configuration is a new Host; inherit() saves it from asking for its neighbours again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ssn/dataplane/address.h"
#include "ssn/dataplane/host_drop.h"
#include "ssn/dataplane/neighbour_table.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

inline constexpr std::uint32_t ethernet_bytes = 14;
inline constexpr std::uint32_t vlan_bytes = 4;
inline constexpr std::uint32_t ip4_bytes = 20;  ///< without options
inline constexpr std::uint32_t ip6_bytes = 40;
inline constexpr std::uint32_t udp_bytes = 8;
/// Room that encapsulate() may need in front of a payload.
inline constexpr std::uint32_t max_link_header = ethernet_bytes + vlan_bytes + ip6_bytes + udp_bytes;
/// No frame that the host makes by itself is longer: a neighbour solicitation with VLAN tag.
inline constexpr std::uint32_t max_host_frame = 96;

struct HostLimits {
  std::uint32_t echo_per_second = 20'000;    ///< answers to pings, each worker
  std::uint32_t answers_per_second = 1'000;  ///< answers to ARP and neighbour solicitations, each worker
  std::uint16_t guests = 0;                  ///< at a time, each worker
  NeighbourTimes neighbours;
};

struct PortSpec {
  std::string name;      ///< for messages
  std::uint16_t id = 0;  ///< the EAL's port number
  EthernetAddress mac;
  std::uint32_t mtu = 1500;            ///< of an IP packet; frames are longer by their Ethernet header
  std::vector<IpPrefix> addresses;     ///< a link-local address is added where there is an IPv6 one
  std::vector<IpAddress> gateways;     ///< at most one of each family, on-link
  std::optional<std::uint16_t> vlan;   ///< 1 to 4094: all frames carry this tag; without: none does
  bool computes_ip4_checksum = false;  ///< the port fills in the IPv4 header checksum of what it sends
  bool computes_udp_checksum = false;  ///< likewise UDP's
};

enum class UdpChecksum : std::uint8_t {
  /// By the port where it can. Otherwise by us over IPv6, which demands it, and none over IPv4: every packet
  /// of ours carries a tag that says more.
  automatic,
  always,
};

/// A way to a peer: datagrams from `local` to `remote` through a port.
struct LinkSpec {
  std::string name;  ///< for messages
  std::uint16_t port = 0;
  IpAddress local;
  IpAddress remote;
  std::uint16_t udp_port = 0;       ///< destination
  std::uint32_t payload_bytes = 0;  ///< the longest UDP payload it must carry; checked against the MTU
  UdpChecksum checksum = UdpChecksum::automatic;
  std::optional<EthernetAddress> next_hop_mac;  ///< instead of asking for it
};

/// Somebody whom no link of the configuration leads to: he speaks first, and is answered.
struct GuestSpec {
  std::uint16_t port = 0;
  IpAddress local;
  std::uint16_t local_udp_port = 0;  ///< where he sends to; answers come from there
  IpAddress remote;
  std::uint16_t remote_udp_port = 0;
};

struct HostSpec {
  std::vector<PortSpec> ports;
  std::vector<LinkSpec> links;
  std::vector<std::uint16_t> listeners;  ///< UDP ports; a listener's index is its place here
  HostLimits limits;
};

/// A port as the host sees it.
struct HostPort {
  static constexpr std::size_t max_addresses = 33;  ///< the link-local one included

  std::string name;
  std::uint16_t id = 0;
  EthernetAddress mac;
  std::uint32_t mtu = 0;
  std::uint16_t vlan = 0;  ///< 0: none
  bool computes_ip4_checksum = false;
  bool computes_udp_checksum = false;
  std::vector<IpPrefix> addresses;
  std::vector<IpAddress> gateways;
  /// Of links over IPv4 that use the port, the first few: source and destination of the peer's packets as
  /// they lie in a header. Both are known to be good.
  std::vector<std::uint64_t> link_pairs;
  static constexpr std::size_t max_link_pairs = 8;

  bool is_link_pair(const std::uint8_t* source_and_destination) const noexcept {
    std::uint64_t pair = 0;
    std::memcpy(&pair, source_and_destination, sizeof pair);
    for (const std::uint64_t each : link_pairs) {
      if (each == pair) return true;
    }
    return false;
  }
  /// Length of the Ethernet header of every frame.
  std::uint32_t l2_bytes() const noexcept { return ethernet_bytes + (vlan != 0 ? vlan_bytes : 0); }
  bool owns(const IpAddress& address) const noexcept;
  /// A multicast group that we are a member of: all nodes, and the solicited-node groups of our addresses.
  bool in_group(const IpAddress& group6) const noexcept;
  bool is_broadcast(const IpAddress& address) const noexcept;
  /// Where to send what is for `remote`: itself if on-link, or a gateway; null without a route.
  const IpAddress* next_hop(const IpAddress& remote) const noexcept;
};

/// The headers of a link, ready but for lengths, checksums and the next hop's Ethernet address. One link's
/// hot fields fill two cache lines.
struct alignas(64) HostLink {
  std::array<std::uint8_t, max_link_header> header{};
  std::uint8_t header_bytes = 0;
  std::uint8_t l2_bytes = 0;
  bool v6 = false;
  bool ip_checksum_by_port = false;
  bool udp_checksum_by_port = false;
  bool udp_checksum = false;  ///< the field is filled in at all
  std::uint16_t port = 0;
  std::uint32_t neighbour = 0;  ///< in the neighbour table
  std::uint32_t max_payload = 0;
  std::uint32_t ip_sum = 0;      ///< IPv4: of the header without length and checksum
  std::uint32_t pseudo_sum = 0;  ///< of the pseudo-header without length

  std::string name;
  IpAddress local;
  IpAddress remote;
  std::uint16_t udp_port = 0;
};

/// What the network said about a link. None of it is authenticated: it is shown, and nothing is decided by
/// it. Written by any worker, read by anybody.
struct alignas(64) LinkReport {
  std::atomic<std::uint64_t> too_big{0};       ///< "fragmentation needed" and "packet too big"
  std::atomic<std::uint32_t> smallest_mtu{0};  ///< that any of them named; 0: none did
  std::atomic<std::uint64_t> unreachable{0};   ///< other ICMP errors about packets that we sent
  std::atomic<std::uint64_t> fragments{0};     ///< fragments from the peer: its MTU is larger than the path's
};

/// The way back to a guest. Its next hop is whoever his datagrams come from: nobody is asked for it.
struct HostGuest {
  HostLink link;
  EthernetAddress mac;  ///< zeros: nothing came yet
  std::uint16_t source_port = 0;
  bool open = false;
};

class Host {
 public:
  static constexpr std::uint16_t max_ports = 256;
  static constexpr std::size_t max_links = 65536;
  static constexpr std::size_t max_listeners = 64;
  static constexpr std::uint32_t min_mtu = 576;  ///< 1280 where there is IPv6
  static constexpr std::uint32_t max_mtu = 16384;
  static constexpr std::uint32_t no_link = 0xFFFFFFFF;

  /// Refuses what cannot work: an address that no port has, a remote without a route, a payload beyond the
  /// MTU.
  static Result<std::unique_ptr<Host>> make(const HostSpec& spec);

  /// Null: not one of ours.
  const HostPort* port(std::uint16_t id) const noexcept { return id < by_id_.size() ? by_id_[id] : nullptr; }
  const std::vector<HostPort>& ports() const noexcept { return ports_; }
  std::uint32_t link_count() const noexcept { return static_cast<std::uint32_t>(links_.size()); }
  const HostLink& link(std::uint32_t index) const noexcept { return links_[index]; }
  LinkReport& report(std::uint32_t index) const noexcept { return reports_[index]; }
  NeighbourTable& neighbours() const noexcept { return *neighbours_; }
  const HostLimits& limits() const noexcept { return limits_; }

  /// The listener at a UDP port, or -1.
  int listener(std::uint16_t udp_port) const noexcept;
  /// The first link of a port between two addresses, and to a UDP port unless that is 0; or no_link.
  std::uint32_t find_link(std::uint16_t port, const IpAddress& local, const IpAddress& remote,
                          std::uint16_t udp_port = 0) const noexcept;
  /// Refuses what cannot work, as make() does. Any thread.
  Result<HostGuest> make_guest(const GuestSpec& spec) const;
  /// Takes over what another host knows of the neighbours that both have. Before workers see this one.
  void inherit(const Host& other) noexcept { neighbours_->inherit(*other.neighbours_); }

 private:
  Host() = default;
  Outcome add_ports(const std::vector<PortSpec>& specs);
  Outcome add_links(const std::vector<LinkSpec>& specs);
  void add_link_pair(const HostLink& link);
  Outcome add_listeners(const std::vector<std::uint16_t>& listeners);

  std::vector<HostPort> ports_;
  std::vector<const HostPort*> by_id_;
  std::vector<HostLink> links_;
  std::unique_ptr<LinkReport[]> reports_;
  std::unique_ptr<NeighbourIndex> by_remote_;  // the first link to a remote
  std::vector<std::uint32_t> next_of_remote_;  // and the others, chained
  std::vector<std::uint16_t> listeners_;
  std::unique_ptr<NeighbourTable> neighbours_;
  HostLimits limits_;
};

/// At most `per_second` grants a second, and a burst of a tenth of that after a pause.
class RateLimit {
 public:
  explicit RateLimit(std::uint32_t per_second) noexcept;
  bool grant(std::uint64_t now) noexcept;

 private:
  std::uint64_t cost_;      // nanoseconds that one grant takes
  std::uint64_t capacity_;  // the most that is saved up
  std::uint64_t saved_;
  std::uint64_t last_ = 0;
};

/// What the host counts besides drops. One worker's.
struct HostCounters {
  std::uint64_t arp_replies = 0;
  std::uint64_t neighbour_advertisements = 0;
  std::uint64_t echo_replies = 0;
  std::uint64_t solicitations = 0;  ///< ARP requests and neighbour solicitations that we sent
  std::uint64_t announcements = 0;
  std::uint64_t addresses_learnt = 0;  ///< a neighbour's Ethernet address became known or another one
};

/// One worker's own part of the host. Only that worker touches it; counters may be read by others.
struct HostWorker {
  HostWorker(const Host& host_of, std::uint16_t index_of);

  /// The number of a guest among the links.
  std::uint32_t guest_link(std::uint16_t slot) const noexcept { return host->link_count() + slot; }
  bool is_link(std::uint32_t number) const noexcept { return number < host->link_count() + guests.size(); }
  const HostLink& link(std::uint32_t number) const noexcept {
    return number < host->link_count() ? host->link(number) : guests[number - host->link_count()].link;
  }
  /// An authentic datagram came from him; `frame` is all of it, with `l2_bytes` of Ethernet header. False: it
  /// did not come from where he said he is. Then nothing changes.
  bool heard_guest(std::uint16_t slot, const std::uint8_t* frame, std::uint32_t l2_bytes) noexcept;

  const Host* host;
  std::uint16_t index;  ///< of the worker; chooses the UDP source port
  RateLimit echo;
  RateLimit answers;
  HostCounters counters;
  std::vector<HostGuest> guests;  ///< slots; open() and close them between packets
};

}  // namespace ssn::dataplane
