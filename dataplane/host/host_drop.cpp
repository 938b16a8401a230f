// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/host_drop.h"

#include <array>

namespace ssn::dataplane {

std::string_view name(HostDrop reason) noexcept {
  static constexpr std::array<std::string_view, host_drop_count> names = {
      "none", "frame_too_short", "frame_exceeds_mtu", "frame_not_ethernet2", "vlan_tagged",
      "ethertype_unknown", "source_mac_multicast", "source_mac_ours", "destination_mac_other",
      // ARP
      "arp_malformed", "arp_bad_sender", "arp_address_conflict", "arp_not_ours", "arp_rate_limited",
      "arp_heard",
      // IPv4
      "ip4_malformed", "ip4_truncated", "ip4_bad_checksum", "ip4_bad_option", "ip4_source_route",
      "ip4_fragment", "ip4_bad_source", "ip4_not_ours", "ip4_broadcast", "ip4_protocol_unknown",
      // IPv6
      "ip6_malformed", "ip6_truncated", "ip6_bad_source", "ip6_not_ours", "ip6_fragment",
      "ip6_routing_header", "ip6_bad_option", "ip6_bad_extension", "ip6_protocol_unknown",
      // ICMP
      "icmp_malformed", "icmp_bad_checksum", "icmp_type_unknown", "icmp_rate_limited", "icmp_echo_to_group",
      "icmp_echo_unrequested", "icmp_error_heard", "icmp_error_unknown",
      // Neighbour discovery
      "nd_bad_hop_limit", "nd_malformed", "nd_bad_option", "nd_address_conflict", "nd_not_ours",
      "nd_rate_limited", "nd_router_message", "nd_heard", "no_room",
      // UDP
      "udp_malformed", "udp_bad_checksum", "udp6_without_checksum", "udp_to_group", "udp_port_unknown",
      // Output
      "neighbour_unresolved", "neighbour_failed", "payload_too_long"};
  static_assert(!names.back().empty(), "a reason has no name");
  const auto index = static_cast<std::size_t>(reason);
  return index < names.size() ? names[index] : "unknown";
}

}  // namespace ssn::dataplane
