// SPDX-License-Identifier: BSD-3-Clause
// Fields of the headers that runs of UDP datagrams have, for both directions.
#pragma once

#include <cstdint>
#include <cstring>

#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane::udp_headers {

inline constexpr std::uint32_t ethernet_bytes = 14, vlan_bytes = 4, ip4_bytes = 20, ip6_bytes = 40,
                               udp_bytes = 8;
inline constexpr std::uint16_t ethertype_ip4 = 0x0800, ethertype_vlan = 0x8100, ethertype_ip6 = 0x86DD;
inline constexpr std::uint8_t protocol_udp = 17;

inline std::uint16_t load16(const std::uint8_t* from) noexcept {
  return static_cast<std::uint16_t>(from[0] << 8 | from[1]);
}
inline void store16(std::uint8_t* to, std::uint32_t value) noexcept {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}
/// A sum, which has the machine's byte order already.
inline void store_sum(std::uint8_t* to, std::uint16_t sum) noexcept { std::memcpy(to, &sum, sizeof sum); }
/// A number as a word of a sum.
inline std::uint16_t as_word(std::uint32_t value) noexcept {
  std::uint8_t bytes[2];
  store16(bytes, value);
  std::uint16_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Of both addresses and the protocol: a pseudo-header without its length.
inline std::uint64_t address_sum(const std::uint8_t* ip, bool v6) noexcept {
  return checksum_add(as_word(protocol_udp), ip + (v6 ? 8 : 12), v6 ? 32 : 8);
}
/// Writes length and checksum of an IPv4 header without options, or the length of an IPv6 one.
inline void write_ip_length(std::uint8_t* ip, std::uint32_t header, std::uint32_t bytes, bool v6) noexcept {
  if (v6) {
    store16(ip + 4, bytes);
    return;
  }
  store16(ip + 2, header + bytes);
  store16(ip + 10, 0);
  store_sum(ip + 10, checksum_finish(checksum_add(0, ip, header)));
}

}  // namespace ssn::dataplane::udp_headers
