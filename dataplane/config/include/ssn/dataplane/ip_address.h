// SPDX-License-Identifier: BSD-3-Clause
// IP addresses as plain values. No DPDK, no system call.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssn::dataplane {

enum class IpFamily : std::uint8_t { v4 = 4, v6 = 6 };

/// Network byte order; an IPv4 address takes the first four bytes, the others are 0.
struct IpAddress {
  IpFamily family = IpFamily::v4;
  std::array<std::uint8_t, 16> bytes{};

  std::size_t length() const noexcept { return family == IpFamily::v4 ? 4 : 16; }
  unsigned bits() const noexcept { return family == IpFamily::v4 ? 32 : 128; }
  // Asked of every packet, hence here.
  bool is_multicast() const noexcept {
    return family == IpFamily::v4 ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff;
  }
  bool is_unspecified() const noexcept { return bytes == std::array<std::uint8_t, 16>{}; }
  bool is_loopback() const noexcept {
    return family == IpFamily::v4
               ? bytes[0] == 127
               : bytes == std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  }
  /// 255.255.255.255.
  bool is_broadcast() const noexcept {
    return family == IpFamily::v4 && (bytes[0] & bytes[1] & bytes[2] & bytes[3]) == 0xff;
  }

  auto operator<=>(const IpAddress&) const = default;
};

/// An address with the length of its network's prefix: "10.1.0.1/24". The host part is kept.
struct IpPrefix {
  IpAddress address;
  std::uint8_t prefix_length = 0;

  /// Whether `other` is in this network.
  bool contains(const IpAddress& other) const noexcept;

  auto operator<=>(const IpPrefix&) const = default;
};

/// A UDP port of an address: "192.0.2.1:7100", "[2001:db8::1]:7100".
struct IpEndpoint {
  IpAddress address;
  std::uint16_t port = 0;

  auto operator<=>(const IpEndpoint&) const = default;
};

/// Dotted IPv4, or IPv6 as in RFC 4291 without a zone. Nothing else is taken: no leading zeros, no blanks.
std::optional<IpAddress> parse_ip_address(std::string_view text);
/// With "/LENGTH", which is required.
std::optional<IpPrefix> parse_ip_prefix(std::string_view text);
/// The port is 1 to 65535.
std::optional<IpEndpoint> parse_ip_endpoint(std::string_view text);
/// As RFC 5952 writes it.
std::string format(const IpAddress& address);
std::string format(const IpPrefix& prefix);
std::string format(const IpEndpoint& endpoint);

}  // namespace ssn::dataplane
