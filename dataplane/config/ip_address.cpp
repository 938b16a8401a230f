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
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (!address || error != std::errc() || end != digits.data() + digits.size() || length > address->bits() ||
      (digits.size() > 1 && digits.front() == '0')) {
    return std::nullopt;
  }
  return IpPrefix{*address, static_cast<std::uint8_t>(length)};
}

std::string format(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = address.family == IpFamily::v4 ? AF_INET : AF_INET6;
  return ::inet_ntop(family, address.bytes.data(), text, sizeof text) != nullptr ? text : "";
}

std::string format(const IpPrefix& prefix) {
  return fmt::format("{}/{}", format(prefix.address), prefix.prefix_length);
}

}  // namespace ssn::dataplane
