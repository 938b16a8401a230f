// SPDX-License-Identifier: BSD-3-Clause
// Received frames, from Ethernet to UDP. Each function looks at one layer, trusts nothing but what the one
// before it checked, and says where the frame goes next. Frames may hold any bytes: nothing outside
// [data, data + length) is read, nothing outside [data, data + room) written.
//
// One worker calls these for its frames; the frame and the HostWorker are its own.
#pragma once

#include <cstdint>

#include "ssn/dataplane/host.h"

namespace ssn::dataplane {

/// What the port found out about a checksum.
enum class RxChecksum : std::uint8_t { unknown, good, bad };

/// A frame in one piece of memory. ether_input() begins with what is above the line.
struct Frame {
  std::uint8_t* data = nullptr;  ///< the Ethernet header
  std::uint32_t length = 0;
  std::uint32_t room = 0;  ///< bytes from `data` on that may be written: answers are made in place
  std::uint16_t port = 0;
  RxChecksum ip_checksum = RxChecksum::unknown;  ///< of the IPv4 header
  RxChecksum l4_checksum = RxChecksum::unknown;  ///< UDP's
  // ---- filled in on the way
  std::uint16_t l3 = 0;   ///< where the IP or ARP packet begins
  std::uint16_t l4 = 0;   ///< what the IP packet carries
  std::uint32_t end = 0;  ///< of the IP packet: without Ethernet's padding
};

enum class Next : std::uint8_t {
  drop,
  arp,
  ip4,
  ip6,
  icmp4,
  icmp6,
  nd,
  udp,
  deliver,  ///< to listener `listener`: the payload is [offset, offset + length)
  send,     ///< back out of the port that it came from: the frame is [offset, offset + length) now
};
inline constexpr std::size_t next_count = 10;

struct Step {
  Next next = Next::drop;
  HostDrop reason = HostDrop::none;  ///< where next is drop
  std::uint8_t listener = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

/// The reasons that each of them has.
inline constexpr HostDrop ether_drops[] = {
    HostDrop::frame_too_short, HostDrop::frame_exceeds_mtu,     HostDrop::frame_not_ethernet2,
    HostDrop::vlan_tagged,     HostDrop::ethertype_unknown,     HostDrop::source_mac_multicast,
    HostDrop::source_mac_ours, HostDrop::destination_mac_other,
};
inline constexpr HostDrop arp_drops[] = {
    HostDrop::arp_malformed, HostDrop::arp_bad_sender,   HostDrop::arp_address_conflict,
    HostDrop::arp_not_ours,  HostDrop::arp_rate_limited, HostDrop::arp_heard,
};
inline constexpr HostDrop ip4_drops[] = {
    HostDrop::ip4_malformed,        HostDrop::ip4_truncated,    HostDrop::ip4_bad_checksum,
    HostDrop::ip4_bad_option,       HostDrop::ip4_source_route, HostDrop::ip4_fragment,
    HostDrop::ip4_bad_source,       HostDrop::ip4_not_ours,     HostDrop::ip4_broadcast,
    HostDrop::ip4_protocol_unknown,
};
inline constexpr HostDrop ip6_drops[] = {
    HostDrop::ip6_malformed,  HostDrop::ip6_truncated,     HostDrop::ip6_bad_source,
    HostDrop::ip6_not_ours,   HostDrop::ip6_fragment,      HostDrop::ip6_routing_header,
    HostDrop::ip6_bad_option, HostDrop::ip6_bad_extension, HostDrop::ip6_protocol_unknown,
};
inline constexpr HostDrop icmp4_drops[] = {
    HostDrop::icmp_malformed,     HostDrop::icmp_bad_checksum,     HostDrop::icmp_type_unknown,
    HostDrop::icmp_rate_limited,  HostDrop::icmp_echo_unrequested, HostDrop::icmp_error_heard,
    HostDrop::icmp_error_unknown,
};
inline constexpr HostDrop icmp6_drops[] = {
    HostDrop::icmp_malformed,    HostDrop::icmp_bad_checksum,  HostDrop::icmp_type_unknown,
    HostDrop::icmp_rate_limited, HostDrop::icmp_echo_to_group, HostDrop::icmp_echo_unrequested,
    HostDrop::icmp_error_heard,  HostDrop::icmp_error_unknown, HostDrop::ip6_bad_source,
};
inline constexpr HostDrop nd_drops[] = {
    HostDrop::nd_bad_hop_limit,    HostDrop::nd_malformed, HostDrop::nd_bad_option,
    HostDrop::nd_address_conflict, HostDrop::nd_not_ours,  HostDrop::nd_rate_limited,
    HostDrop::nd_router_message,   HostDrop::nd_heard,     HostDrop::no_room,
};
inline constexpr HostDrop udp_drops[] = {
    HostDrop::udp_malformed, HostDrop::udp_bad_checksum, HostDrop::udp6_without_checksum,
    HostDrop::udp_to_group,  HostDrop::udp_port_unknown,
};

Step ether_input(const Host& host, Frame& frame) noexcept;
Step arp_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step ip4_input(const Host& host, Frame& frame) noexcept;
Step ip6_input(const Host& host, Frame& frame) noexcept;
Step icmp4_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step icmp6_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step nd_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step udp_input(const Host& host, Frame& frame) noexcept;

/// All of the above: drop, deliver or send.
Step host_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;

}  // namespace ssn::dataplane
