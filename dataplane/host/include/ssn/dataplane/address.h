// SPDX-License-Identifier: BSD-3-Clause
// Ethernet and IP addresses as values. IPv4 addresses are kept as IPv4-mapped IPv6 ones (RFC 4291, 2.5.5.2),
// so that one type and one table serve both; on the wire such an IPv6 address is not accepted.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "ssn/hw/result.h"

namespace ssn::dataplane {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  static MacAddress from(const std::uint8_t* six) noexcept {
    MacAddress out;
    std::memcpy(out.bytes.data(), six, 6);
    return out;
  }
  /// The address's bytes as a number, the first one highest; below 2^48.
  std::uint64_t number() const noexcept;
  static MacAddress from_number(std::uint64_t number) noexcept;
  /// Also true for broadcast.
  bool is_multicast() const noexcept { return (bytes[0] & 1U) != 0; }
  bool is_broadcast() const noexcept;
  bool is_zero() const noexcept { return number() == 0; }
  bool operator==(const MacAddress&) const = default;
};

inline constexpr MacAddress broadcast_mac{{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}};

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  static IpAddress from4(const std::uint8_t* four) noexcept {
    IpAddress out;
    out.bytes[10] = out.bytes[11] = 0xFF;
    std::memcpy(out.bytes.data() + 12, four, 4);
    return out;
  }
  static IpAddress from6(const std::uint8_t* sixteen) noexcept {
    IpAddress out;
    std::memcpy(out.bytes.data(), sixteen, 16);
    return out;
  }
  bool is4() const noexcept {
    static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return std::memcmp(bytes.data(), mapped, sizeof mapped) == 0;
  }
  /// The four bytes of an IPv4 address.
  const std::uint8_t* four() const noexcept { return bytes.data() + 12; }
  /// 0.0.0.0 or ::
  bool is_unspecified() const noexcept;
  /// 224.0.0.0/4 or ff00::/8
  bool is_multicast() const noexcept { return is4() ? (bytes[12] & 0xF0U) == 0xE0 : bytes[0] == 0xFF; }
  /// 127.0.0.0/8 or ::1
  bool is_loopback() const noexcept;
  /// fe80::/10; IPv4's 169.254.0.0/16 needs no special treatment.
  bool is_link_local6() const noexcept { return bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80; }
  bool operator==(const IpAddress&) const = default;
};

/// An address of ours with the network that it lies in: 10.0.1.1/24.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;  ///< in bits of its family: 0 to 32 or 0 to 128

  bool contains(const IpAddress& other) const noexcept;
  /// The network's broadcast address; only IPv4 networks of up to 30 bits have one.
  bool is_broadcast(const IpAddress& other) const noexcept;
  bool operator==(const Prefix&) const = default;
};

/// ff02::1:ffXX:XXXX, where neighbours ask for `address` (RFC 4291, 2.7.1).
IpAddress solicited_node(const IpAddress& address) noexcept;
/// 33:33:XX:XX:XX:XX (RFC 2464, 7).
MacAddress multicast_mac(const IpAddress& group6) noexcept;
/// fe80:: with the interface identifier made from the Ethernet address (RFC 2464, 4 and 5).
IpAddress link_local(const MacAddress& mac) noexcept;

/// Each says in its Error what is wrong with `text`; `where` is the setting that it came from.
Result<MacAddress> parse_mac(std::string_view text, std::string_view where);
Result<IpAddress> parse_address(std::string_view text, std::string_view where);
/// ADDRESS/LENGTH, or ADDRESS alone, which is a network of one.
Result<Prefix> parse_prefix(std::string_view text, std::string_view where);

std::string to_string(const MacAddress& address);
std::string to_string(const IpAddress& address);
std::string to_string(const Prefix& prefix);

}  // namespace ssn::dataplane
