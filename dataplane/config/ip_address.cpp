// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/ip_address.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace ssn::dataplane {
namespace {

// Longer than every address that inet_pton takes.
constexpr std::size_t longest_text = 64;

// Decimal digits only, without leading zeros.
std::optional<unsigned> parse_number(std::string_view digits, unsigned most) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value > most ||
      (digits.size() > 1 && digits.front() == '0')) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

bool IpPrefix::contains(const IpAddress& other) const noexcept {
  if (other.family != address.family) {
    return false;
  }
  const unsigned whole = prefix_length / 8U;
  const unsigned rest = prefix_length % 8U;
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole, other.bytes.begin())) {
    return false;
  }
  return rest == 0 || ((address.bytes[whole] ^ other.bytes[whole]) >> (8U - rest)) == 0;
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  if (text.size() >= longest_text || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string terminated(text);
  IpAddress address;
  address.family = text.find(':') == std::string_view::npos ? IpFamily::v4 : IpFamily::v6;
  const int family = address.family == IpFamily::v4 ? AF_INET : AF_INET6;
  if (::inet_pton(family, terminated.c_str(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

std::optional<IpPrefix> parse_ip_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<IpAddress> address = parse_ip_address(text.substr(0, slash));
  if (!address) {
    return std::nullopt;
  }
  const std::optional<unsigned> length = parse_number(text.substr(slash + 1), address->bits());
  return length ? std::optional(IpPrefix{*address, static_cast<std::uint8_t>(*length)}) : std::nullopt;
}

std::optional<IpEndpoint> parse_ip_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  const std::optional<IpAddress> address =
      parse_ip_address(bracketed ? host.substr(1, host.size() - 2) : host);
  const std::optional<unsigned> port = parse_number(text.substr(colon + 1), 65535);
  if (!address || !port || *port == 0 || bracketed != (address->family == IpFamily::v6)) {
    return std::nullopt;
  }
  return IpEndpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::string format(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = address.family == IpFamily::v4 ? AF_INET : AF_INET6;
  return ::inet_ntop(family, address.bytes.data(), text, sizeof text) != nullptr ? text : "";
}

std::string format(const IpPrefix& prefix) {
  return fmt::format("{}/{}", format(prefix.address), prefix.prefix_length);
}

std::string format(const IpEndpoint& endpoint) {
  const char* const pattern = endpoint.address.family == IpFamily::v4 ? "{}:{}" : "[{}]:{}";
  return fmt::format(fmt::runtime(pattern), format(endpoint.address), endpoint.port);
}

}  // namespace ssn::dataplane
