// SPDX-License-Identifier: BSD-3-Clause
// Numbers of the headers that the host reads and writes, and their fields in network byte order.
#pragma once

#include <cstdint>
#include <cstring>

namespace ssn::dataplane::headers {

inline constexpr std::uint16_t ethertype_ip4 = 0x0800;
inline constexpr std::uint16_t ethertype_arp = 0x0806;
inline constexpr std::uint16_t ethertype_vlan = 0x8100;
inline constexpr std::uint16_t ethertype_ip6 = 0x86DD;
inline constexpr std::uint16_t ethertype_service_vlan = 0x88A8;
/// Below it the field is a length (IEEE 802.3).
inline constexpr std::uint16_t ethertype_least = 0x0600;

inline constexpr std::uint8_t protocol_hop_by_hop = 0;
inline constexpr std::uint8_t protocol_icmp4 = 1;
inline constexpr std::uint8_t protocol_udp = 17;
inline constexpr std::uint8_t protocol_routing = 43;
inline constexpr std::uint8_t protocol_fragment = 44;
inline constexpr std::uint8_t protocol_icmp6 = 58;
inline constexpr std::uint8_t protocol_destination_options = 60;

inline constexpr std::uint8_t default_hop_limit = 64;
inline constexpr std::uint8_t nd_hop_limit = 255;

inline constexpr std::uint32_t arp_bytes = 28;
inline constexpr std::uint32_t icmp_bytes = 8;
inline constexpr std::uint32_t nd_message_bytes = 24;  // solicitation or advertisement without options
inline constexpr std::uint32_t nd_option_bytes = 8;    // one link-layer address

inline constexpr std::uint8_t icmp6_solicitation = 135;
inline constexpr std::uint8_t icmp6_advertisement = 136;
inline constexpr std::uint8_t nd_option_source = 1;
inline constexpr std::uint8_t nd_option_target = 2;

inline std::uint16_t load16(const std::uint8_t* from) noexcept {
  return static_cast<std::uint16_t>(from[0] << 8 | from[1]);
}
inline std::uint32_t load32(const std::uint8_t* from) noexcept {
  return static_cast<std::uint32_t>(load16(from)) << 16 | load16(from + 2);
}
inline void store16(std::uint8_t* to, std::uint32_t value) noexcept {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}
/// A checksum, which has the machine's byte order already.
inline void store_sum(std::uint8_t* to, std::uint16_t sum) noexcept { std::memcpy(to, &sum, sizeof sum); }

}  // namespace ssn::dataplane::headers
