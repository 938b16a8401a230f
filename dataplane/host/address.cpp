// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/address.h"

#include <charconv>
#include <cstdio>

namespace ssn::dataplane {

std::uint64_t EthernetAddress::number() const noexcept {
  std::uint64_t out = 0;
  for (const std::uint8_t byte : bytes) out = out << 8 | byte;
  return out;
}

EthernetAddress EthernetAddress::from_number(std::uint64_t number) noexcept {
  EthernetAddress out;
  for (unsigned i = 0; i < 6; ++i) out.bytes[i] = static_cast<std::uint8_t>(number >> (40 - 8 * i));
  return out;
}

bool EthernetAddress::is_broadcast() const noexcept { return *this == broadcast_mac; }

bool is_mapped(const IpAddress& address6) noexcept {
  static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return std::memcmp(address6.bytes.data(), mapped, sizeof mapped) == 0;
}

bool is_broadcast_of(const IpPrefix& network, const IpAddress& address) noexcept {
  if (network.address.family != IpFamily::v4 || network.prefix_length > 30 || !network.contains(address)) {
    return false;
  }
  for (unsigned bit = network.prefix_length; bit < 32; ++bit) {
    if ((address.bytes[bit / 8] >> (7 - bit % 8) & 1U) == 0) return false;
  }
  return true;
}

IpAddress solicited_node(const IpAddress& address) noexcept {
  IpAddress out;
  out.family = IpFamily::v6;
  out.bytes = {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0, 0, 0};
  std::memcpy(out.bytes.data() + 13, address.bytes.data() + 13, 3);
  return out;
}

EthernetAddress multicast_mac(const IpAddress& group6) noexcept {
  EthernetAddress out{{0x33, 0x33, 0, 0, 0, 0}};
  std::memcpy(out.bytes.data() + 2, group6.bytes.data() + 12, 4);
  return out;
}

IpAddress link_local(const EthernetAddress& mac) noexcept {
  IpAddress out;
  out.family = IpFamily::v6;
  const auto& m = mac.bytes;
  out.bytes = {0xFE, 0x80, 0,    0,    0,    0,    0,   0, static_cast<std::uint8_t>(m[0] ^ 2U),
               m[1], m[2], 0xFF, 0xFE, m[3], m[4], m[5]};
  return out;
}

std::optional<EthernetAddress> parse_mac(std::string_view text) {
  EthernetAddress out;
  if (text.size() != 17) return std::nullopt;
  for (unsigned i = 0; i < 6; ++i) {
    const char* const from = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(from, from + 2, out.bytes[i], 16);
    if (error != std::errc() || end != from + 2 || (i != 5 && *end != ':')) return std::nullopt;
  }
  return out;
}

std::string format(const EthernetAddress& address) {
  char text[18];
  const auto& b = address.bytes;
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
  return text;
}

}  // namespace ssn::dataplane
