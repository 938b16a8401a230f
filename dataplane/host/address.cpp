// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

namespace ssn::dataplane {

namespace {

Error bad_text(std::string_view what, std::string_view text, std::string why, std::string_view where,
               std::string fix) {
  std::string said("'");
  said.append(text).append("' is not ").append(what);
  return Error{Exit::usage, std::move(said), std::move(why), std::string(where), std::move(fix)};
}

bool equal_bits(const std::uint8_t* a, const std::uint8_t* b, unsigned bits) noexcept {
  if (std::memcmp(a, b, bits / 8) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

}  // namespace

std::uint64_t MacAddress::number() const noexcept {
  std::uint64_t out = 0;
  for (const std::uint8_t byte : bytes) out = out << 8 | byte;
  return out;
}

MacAddress MacAddress::from_number(std::uint64_t number) noexcept {
  MacAddress out;
  for (unsigned i = 0; i < 6; ++i) out.bytes[i] = static_cast<std::uint8_t>(number >> (40 - 8 * i));
  return out;
}

bool MacAddress::is_broadcast() const noexcept { return *this == broadcast_mac; }

bool IpAddress::is_unspecified() const noexcept {
  static constexpr std::array<std::uint8_t, 16> zeros{};
  return std::memcmp(is4() ? four() : bytes.data(), zeros.data(), is4() ? 4 : 16) == 0;
}

bool IpAddress::is_loopback() const noexcept {
  if (is4()) return bytes[12] == 127;
  IpAddress one;
  one.bytes[15] = 1;
  return *this == one;
}

bool Prefix::contains(const IpAddress& other) const noexcept {
  if (address.is4() != other.is4()) return false;
  if (address.is4()) return equal_bits(address.four(), other.four(), length);
  return equal_bits(address.bytes.data(), other.bytes.data(), length);
}

bool Prefix::is_broadcast(const IpAddress& other) const noexcept {
  if (!address.is4() || length > 30 || !contains(other)) return false;
  for (unsigned bit = length; bit < 32; ++bit) {
    if ((other.four()[bit / 8] >> (7 - bit % 8) & 1U) == 0) return false;
  }
  return true;
}

IpAddress solicited_node(const IpAddress& address) noexcept {
  IpAddress out;
  out.bytes = {0xFF, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0, 0, 0};
  std::memcpy(out.bytes.data() + 13, address.bytes.data() + 13, 3);
  return out;
}

MacAddress multicast_mac(const IpAddress& group6) noexcept {
  MacAddress out{{0x33, 0x33, 0, 0, 0, 0}};
  std::memcpy(out.bytes.data() + 2, group6.bytes.data() + 12, 4);
  return out;
}

IpAddress link_local(const MacAddress& mac) noexcept {
  IpAddress out;
  const auto& m = mac.bytes;
  out.bytes = {0xFE, 0x80, 0,    0,    0,    0,    0,   0, static_cast<std::uint8_t>(m[0] ^ 2U),
               m[1], m[2], 0xFF, 0xFE, m[3], m[4], m[5]};
  return out;
}

Result<MacAddress> parse_mac(std::string_view text, std::string_view where) {
  MacAddress out;
  bool good = text.size() == 17;
  for (unsigned i = 0; good && i < 6; ++i) {
    const char* const from = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(from, from + 2, out.bytes[i], 16);
    good = error == std::errc() && end == from + 2 && (i == 5 || *end == ':');
  }
  if (good) return out;
  return bad_text("an Ethernet address", text,
                  "it must be six pairs of hexadecimal digits with colons between", where,
                  "Write it as 02:00:00:00:00:01.");
}

Result<IpAddress> parse_address(std::string_view text, std::string_view where) {
  const std::string terminated(text);
  std::uint8_t raw[16];
  if (terminated.size() == text.size() && terminated.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, terminated.c_str(), raw) == 1) return IpAddress::from4(raw);
    if (inet_pton(AF_INET6, terminated.c_str(), raw) == 1) {
      const IpAddress out = IpAddress::from6(raw);
      if (!out.is4()) return out;
      return bad_text("an address to use", text, "it is an IPv4 address in the clothes of an IPv6 one", where,
                      std::string("Write it as ").append(to_string(out)).append("."));
    }
  }
  return bad_text("an IP address", text, "it is neither IPv4 nor IPv6 as they are written", where,
                  "Write it as 10.0.1.1 or fd00::1.");
}

Result<Prefix> parse_prefix(std::string_view text, std::string_view where) {
  const std::size_t slash = text.find('/');
  auto address = parse_address(text.substr(0, slash), where);
  if (!address.ok()) return std::move(address.error());
  const unsigned most = address.value().is4() ? 32 : 128;
  Prefix out{address.value(), static_cast<std::uint8_t>(most)};
  if (slash == std::string_view::npos) return out;
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() || length > most) {
    return bad_text(
        "a network", text,
        std::string("the length after the slash must be a number from 0 to ").append(std::to_string(most)),
        where, "Write it as 10.0.1.1/24 or fd00::1/64.");
  }
  out.length = static_cast<std::uint8_t>(length);
  return out;
}

std::string to_string(const MacAddress& address) {
  char text[18];
  const auto& b = address.bytes;
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
  return text;
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.is4()) {
    inet_ntop(AF_INET, address.four(), text, sizeof text);
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  }
  return text;
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.address).append("/").append(std::to_string(prefix.length));
}

}  // namespace ssn::dataplane
