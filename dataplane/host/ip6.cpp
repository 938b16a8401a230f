// SPDX-License-Identifier: BSD-3-Clause
#include "input.h"

namespace ssn::dataplane {

namespace {

constexpr unsigned max_extensions = 4;
constexpr std::uint32_t max_extension_bytes = 256;  // all of them together

/// Options of a hop-by-hop or destination options header (RFC 8200, 4.2). We understand padding and the
/// router alert, which concerns routers; of others their type says whether they may be passed over.
bool options_pass(const std::uint8_t* options, std::uint32_t bytes) noexcept {
  constexpr std::uint8_t pad1 = 0;
  constexpr std::uint8_t may_skip_mask = 0xC0;
  for (std::uint32_t at = 0; at < bytes;) {
    if (options[at] == pad1) {
      ++at;
      continue;
    }
    if (bytes - at < 2 || options[at + 1] > bytes - at - 2) return false;
    if ((options[at] & may_skip_mask) != 0) return false;
    at += 2U + options[at + 1];
  }
  return true;
}

void report_fragment(const Host& host, const Frame& frame) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  const std::uint32_t link = host.find_link(frame.port, ip6_address(ip + 24), ip6_address(ip + 8));
  if (link != Host::no_link) host.report(link).fragments.fetch_add(1, std::memory_order_relaxed);
}

HostDrop check_addresses(const HostPort& port, const Frame& frame) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  const IpAddress source = ip6_address(ip + 8);
  const IpAddress destination = ip6_address(ip + 24);
  if (destination.is_multicast()) {
    if (!port.in_group(destination)) return HostDrop::ip6_not_ours;
  } else if (!port.owns(destination) || (frame.data[0] & 1U) != 0) {
    return HostDrop::ip6_not_ours;
  }
  if (is_mapped(source) || source.is_multicast() || source.is_loopback() || port.owns(source)) {
    return HostDrop::ip6_bad_source;
  }
  return HostDrop::none;
}

/// Goes over extension headers to what the packet carries; leaves that in frame.l4 and `protocol`.
HostDrop skip_extensions(const Host& host, Frame& frame, std::uint8_t& protocol) noexcept {
  std::uint32_t at = frame.l3 + ip6_bytes;
  const std::uint32_t first = at;
  for (unsigned count = 0;; ++count) {
    switch (protocol) {
      case headers::protocol_hop_by_hop:
        if (count != 0) return HostDrop::ip6_bad_extension;
        break;
      case headers::protocol_destination_options:
      case headers::protocol_routing:
        break;
      case headers::protocol_fragment:
        report_fragment(host, frame);
        return HostDrop::ip6_fragment;
      default:
        frame.l4 = static_cast<std::uint16_t>(at);
        return HostDrop::none;
    }
    if (count == max_extensions || frame.end - at < 8) return HostDrop::ip6_bad_extension;
    const std::uint8_t* const extension = frame.data + at;
    const std::uint32_t bytes = (extension[1] + 1U) * 8;
    if (bytes > frame.end - at || at + bytes - first > max_extension_bytes)
      return HostDrop::ip6_bad_extension;
    if (protocol == headers::protocol_routing) {
      if (extension[3] != 0) return HostDrop::ip6_routing_header;  // segments left: to be forwarded
    } else if (!options_pass(extension + 2, bytes - 2)) {
      return HostDrop::ip6_bad_option;
    }
    protocol = extension[0];
    at += bytes;
  }
}

}  // namespace

Step ip6_input(const Host& host, Frame& frame) noexcept {
  const std::uint32_t available = frame.length - frame.l3;
  const std::uint8_t* const ip = frame.data + frame.l3;
  if (available < ip6_bytes || ip[0] >> 4 != 6) return dropped(HostDrop::ip6_malformed);
  const std::uint32_t payload = headers::load16(ip + 4);
  if (payload > available - ip6_bytes) return dropped(HostDrop::ip6_truncated);
  frame.end = frame.l3 + ip6_bytes + payload;
  if (const HostDrop bad = check_addresses(*host.port(frame.port), frame); bad != HostDrop::none) {
    return dropped(bad);
  }
  std::uint8_t protocol = ip[6];
  if (const HostDrop bad = skip_extensions(host, frame, protocol); bad != HostDrop::none) return dropped(bad);
  if (protocol == headers::protocol_icmp6) return to_next(Next::icmp6);
  if (protocol != headers::protocol_udp) return dropped(HostDrop::ip6_protocol_unknown);
  if (ip6_address(ip + 8).is_unspecified()) return dropped(HostDrop::ip6_bad_source);
  return to_next(Next::udp);
}

}  // namespace ssn::dataplane
