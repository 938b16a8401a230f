// SPDX-License-Identifier: BSD-3-Clause
// Why the IP host ends a packet. Every packet that goes no further has one of these reasons. Those whose name
// ends in "_heard" are no losses: the message was for the host itself and did its work.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ssn::dataplane {

enum class HostDrop : std::uint8_t {
  none,
  // Ethernet
  frame_too_short,
  frame_exceeds_mtu,  ///< longer than the port's MTU permits: neighbours disagree about it
  frame_not_ethernet2,
  vlan_tagged,  ///< a tag that the port is not configured for, or none where it is
  ethertype_unknown,
  source_mac_multicast,
  source_mac_ours,  ///< a loop in the network, or another station with our address
  destination_mac_other,
  // ARP
  arp_malformed,
  arp_bad_sender,        ///< contradicts the Ethernet header, or cannot be a host's
  arp_address_conflict,  ///< somebody else has an IP address of ours
  arp_not_ours,          ///< asks for another address
  arp_rate_limited,
  arp_heard,
  // IPv4
  ip4_malformed,  ///< too short, another version, header length out of range
  ip4_truncated,  ///< says that it is longer than its frame
  ip4_bad_checksum,
  ip4_bad_option,
  ip4_source_route,
  ip4_fragment,  ///< we reassemble nothing: somebody's MTU is larger than the path's
  ip4_bad_source,
  ip4_not_ours,
  ip4_broadcast,  ///< or multicast; we serve neither
  ip4_protocol_unknown,
  // IPv6
  ip6_malformed,
  ip6_truncated,
  ip6_bad_source,
  ip6_not_ours,
  ip6_fragment,
  ip6_routing_header,
  ip6_bad_option,
  ip6_bad_extension,  ///< in the wrong place, too many, or longer than the packet
  ip6_protocol_unknown,
  // ICMP and ICMPv6
  icmp_malformed,
  icmp_bad_checksum,
  icmp_type_unknown,
  icmp_rate_limited,
  icmp_echo_to_group,
  icmp_echo_unrequested,  ///< an answer: we ask nobody
  icmp_error_heard,       ///< about a packet of one of our links: see LinkReport
  icmp_error_unknown,     ///< about a packet that we cannot have sent
  // Neighbour discovery
  nd_bad_hop_limit,  ///< not 255: it came through a router
  nd_malformed,
  nd_bad_option,
  nd_address_conflict,
  nd_not_ours,
  nd_rate_limited,
  nd_router_message,  ///< solicitation, advertisement, redirect: routes come from the configuration
  nd_heard,
  no_room,  ///< for the answer to a message
  // UDP
  udp_malformed,
  udp_bad_checksum,
  udp6_without_checksum,
  udp_to_group,
  udp_port_unknown,
  // On the way out
  neighbour_unresolved,  ///< the next hop's Ethernet address is not known yet; it was asked for
  neighbour_failed,      ///< the next hop does not answer
  payload_too_long,      ///< for the link's MTU
};
inline constexpr std::size_t host_drop_count = static_cast<std::size_t>(HostDrop::payload_too_long) + 1;

inline constexpr std::array<const char*, host_drop_count> host_drop_names = {
    "none",
    // Ethernet
    "frame_too_short", "frame_exceeds_mtu", "frame_not_ethernet2", "vlan_tagged", "ethertype_unknown",
    "source_mac_multicast", "source_mac_ours", "destination_mac_other",
    // ARP
    "arp_malformed", "arp_bad_sender", "arp_address_conflict", "arp_not_ours", "arp_rate_limited",
    "arp_heard",
    // IPv4
    "ip4_malformed", "ip4_truncated", "ip4_bad_checksum", "ip4_bad_option", "ip4_source_route",
    "ip4_fragment", "ip4_bad_source", "ip4_not_ours", "ip4_broadcast", "ip4_protocol_unknown",
    // IPv6
    "ip6_malformed", "ip6_truncated", "ip6_bad_source", "ip6_not_ours", "ip6_fragment", "ip6_routing_header",
    "ip6_bad_option", "ip6_bad_extension", "ip6_protocol_unknown",
    // ICMP and ICMPv6
    "icmp_malformed", "icmp_bad_checksum", "icmp_type_unknown", "icmp_rate_limited", "icmp_echo_to_group",
    "icmp_echo_unrequested", "icmp_error_heard", "icmp_error_unknown",
    // Neighbour discovery
    "nd_bad_hop_limit", "nd_malformed", "nd_bad_option", "nd_address_conflict", "nd_not_ours",
    "nd_rate_limited", "nd_router_message", "nd_heard", "no_room",
    // UDP
    "udp_malformed", "udp_bad_checksum", "udp6_without_checksum", "udp_to_group", "udp_port_unknown",
    // On the way out
    "neighbour_unresolved", "neighbour_failed", "payload_too_long"};
static_assert(host_drop_names.back() != nullptr, "a reason has no name");

/// "ip4_bad_checksum", ... ; stable, for counters and node names.
constexpr const char* name(HostDrop reason) noexcept {
  return host_drop_names[static_cast<std::size_t>(reason)];
}

}  // namespace ssn::dataplane
