// SPDX-License-Identifier: BSD-3-Clause
// Ethernet and IP addresses as values. IPv4 addresses are kept as IPv4-mapped IPv6 ones (RFC 4291, 2.5.5.2),
// so that one type and one table serve both; on the wire such an IPv6 address is not accepted.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "ssn/dataplane/ip_address.h"

namespace ssn::dataplane {

struct EthernetAddress {
  std::array<std::uint8_t, 6> bytes{};

  static EthernetAddress from(const std::uint8_t* six) noexcept {
    EthernetAddress out;
    std::memcpy(out.bytes.data(), six, 6);
    return out;
  }
  /// The address's bytes as a number, the first one highest; below 2^48.
  std::uint64_t number() const noexcept;
  static EthernetAddress from_number(std::uint64_t number) noexcept;
  /// Also true for broadcast.
  bool is_multicast() const noexcept { return (bytes[0] & 1U) != 0; }
  bool is_broadcast() const noexcept;
  bool is_zero() const noexcept { return number() == 0; }
  bool operator==(const EthernetAddress&) const = default;
};

inline constexpr EthernetAddress broadcast_mac{{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}};

inline bool is4(const IpAddress& address) noexcept { return address.family == IpFamily::v4; }

inline IpAddress ip4_address(const std::uint8_t* four) noexcept {
  IpAddress out;
  std::memcpy(out.bytes.data(), four, 4);
  return out;
}
inline IpAddress ip6_address(const std::uint8_t* sixteen) noexcept {
  IpAddress out;
  out.family = IpFamily::v6;
  std::memcpy(out.bytes.data(), sixteen, 16);
  return out;
}

/// An IPv4 address in the clothes of an IPv6 one (RFC 4291, 2.5.5.2): never to be seen in a packet.
bool is_mapped(const IpAddress& address6) noexcept;
/// fe80::/10
inline bool is_link_local6(const IpAddress& address) noexcept {
  return address.family == IpFamily::v6 && address.bytes[0] == 0xFE && (address.bytes[1] & 0xC0U) == 0x80;
}
/// The broadcast address of a network; only IPv4 networks of up to 30 bits have one.
bool is_broadcast_of(const IpPrefix& network, const IpAddress& address) noexcept;

inline constexpr IpAddress all_nodes6{IpFamily::v6, {0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

/// ff02::1:ffXX:XXXX, where neighbours ask for `address` (RFC 4291, 2.7.1).
IpAddress solicited_node(const IpAddress& address) noexcept;
/// 33:33:XX:XX:XX:XX (RFC 2464, 7).
EthernetAddress multicast_mac(const IpAddress& group6) noexcept;
/// fe80:: with the interface identifier made from the Ethernet address (RFC 2464, 4 and 5).
IpAddress link_local(const EthernetAddress& mac) noexcept;

/// Six pairs of hexadecimal digits with colons between.
std::optional<EthernetAddress> parse_mac(std::string_view text);
std::string format(const EthernetAddress& address);

}  // namespace ssn::dataplane
