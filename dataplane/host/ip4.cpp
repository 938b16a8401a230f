// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>

#include "input.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

namespace {

/// Options are of no use to a host without routers to instruct; only their form is checked, and that none
/// asks for a way of its own.
HostDrop check_options(const std::uint8_t* options, std::uint32_t bytes) noexcept {
  constexpr std::uint8_t end = 0;
  constexpr std::uint8_t nothing = 1;
  constexpr std::uint8_t loose_source_route = 131;
  constexpr std::uint8_t strict_source_route = 137;
  for (std::uint32_t at = 0; at < bytes && options[at] != end;) {
    if (options[at] == nothing) {
      ++at;
      continue;
    }
    if (bytes - at < 2 || options[at + 1] < 2 || options[at + 1] > bytes - at)
      return HostDrop::ip4_bad_option;
    if (options[at] == loose_source_route || options[at] == strict_source_route)
      return HostDrop::ip4_source_route;
    at += options[at + 1];
  }
  return HostDrop::none;
}

/// Whether a host other than us may have sent from there.
bool good_source(const HostPort& port, const IpAddress& source) noexcept {
  return !source.is_multicast() && !source.is_unspecified() && !source.is_loopback() && !port.owns(source) &&
         !port.is_broadcast(source);
}

HostDrop check_addresses(const HostPort& port, const Frame& frame) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  if (port.is_link_pair(ip + 12) && (frame.data[0] & 1U) == 0) [[likely]]
    return HostDrop::none;
  const IpAddress destination = ip4_address(ip + 16);
  if (!port.owns(destination)) {
    return destination.is_multicast() || port.is_broadcast(destination) ? HostDrop::ip4_broadcast
                                                                        : HostDrop::ip4_not_ours;
  }
  // For us alone, but sent to everybody (RFC 1122, 3.3.6).
  if ((frame.data[0] & 1U) != 0) return HostDrop::ip4_broadcast;
  return good_source(port, ip4_address(ip + 12)) ? HostDrop::none : HostDrop::ip4_bad_source;
}

/// Of a header without options, which nearly all are, in five words.
bool header_sum_right(const std::uint8_t* ip, std::uint32_t header) noexcept {
  if (header != ip4_bytes) return checksum_right(checksum_add(0, ip, header));
  std::uint64_t sum = 0;
  for (std::uint32_t at = 0; at < ip4_bytes; at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, ip + at, sizeof word);
    sum += word;
  }
  return checksum_right(sum);
}

void report_fragment(const Host& host, const Frame& frame) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  const std::uint32_t link = host.find_link(frame.port, ip4_address(ip + 16), ip4_address(ip + 12));
  if (link != Host::no_link) host.report(link).fragments.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Step ip4_input(const Host& host, Frame& frame) noexcept {
  const std::uint32_t available = frame.length - frame.l3;
  const std::uint8_t* const ip = frame.data + frame.l3;
  if (available < ip4_bytes || ip[0] >> 4 != 4) return dropped(HostDrop::ip4_malformed);
  const std::uint32_t header = (ip[0] & 15U) * 4;
  const std::uint32_t total = headers::load16(ip + 2);
  if (header < ip4_bytes || header > available || total < header) return dropped(HostDrop::ip4_malformed);
  if (total > available) return dropped(HostDrop::ip4_truncated);
  if (frame.ip_checksum == RxChecksum::bad ||
      (frame.ip_checksum == RxChecksum::unknown && !header_sum_right(ip, header))) {
    return dropped(HostDrop::ip4_bad_checksum);
  }
  const HostPort& port = *host.port(frame.port);
  if (const HostDrop bad = check_addresses(port, frame); bad != HostDrop::none) return dropped(bad);
  if (header > ip4_bytes) {
    const HostDrop bad = check_options(ip + ip4_bytes, header - ip4_bytes);
    if (bad != HostDrop::none) return dropped(bad);
  }
  if ((headers::load16(ip + 6) & 0x3FFFU) != 0) {  // an offset, or more to come
    report_fragment(host, frame);
    return dropped(HostDrop::ip4_fragment);
  }
  frame.l4 = static_cast<std::uint16_t>(frame.l3 + header);
  frame.end = frame.l3 + total;
  if (ip[9] == headers::protocol_udp) return to_next(Next::udp);
  if (ip[9] == headers::protocol_icmp4) return to_next(Next::icmp4);
  return dropped(HostDrop::ip4_protocol_unknown);
}

}  // namespace ssn::dataplane
