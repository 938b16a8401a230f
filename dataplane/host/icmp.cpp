// SPDX-License-Identifier: BSD-3-Clause
#include "input.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

namespace {

constexpr std::uint8_t echo_reply4 = 0;
constexpr std::uint8_t unreachable4 = 3;
constexpr std::uint8_t fragmentation_needed = 4;  // a code of it
constexpr std::uint8_t source_quench4 = 4;
constexpr std::uint8_t echo_request4 = 8;
constexpr std::uint8_t time_exceeded4 = 11;
constexpr std::uint8_t bad_parameter4 = 12;

constexpr std::uint8_t packet_too_big6 = 2;
constexpr std::uint8_t last_error6 = 127;
constexpr std::uint8_t echo_request6 = 128;
constexpr std::uint8_t echo_reply6 = 129;
constexpr std::uint8_t first_nd = 133;
constexpr std::uint8_t last_nd = 137;

/// Changes the type in an ICMP header and its checksum accordingly (RFC 1624).
void change_type(std::uint8_t* icmp, std::uint8_t type) noexcept {
  std::uint16_t before;
  std::uint16_t after;
  std::uint16_t sum;
  std::memcpy(&before, icmp, 2);
  icmp[0] = type;
  std::memcpy(&after, icmp, 2);
  std::memcpy(&sum, icmp + 2, 2);
  headers::store_sum(icmp + 2, checksum_finish(std::uint64_t{static_cast<std::uint16_t>(~sum)} +
                                               static_cast<std::uint16_t>(~before) + after));
}

/// What somebody's ICMP error says about a packet of ours.
Step report_error(const Host& host, std::uint32_t link, bool too_big, std::uint32_t mtu) noexcept {
  if (link == Host::no_link) return dropped(HostDrop::icmp_error_unknown);
  LinkReport& report = host.report(link);
  if (!too_big) {
    report.unreachable.fetch_add(1, std::memory_order_relaxed);
    return dropped(HostDrop::icmp_error_heard);
  }
  report.too_big.fetch_add(1, std::memory_order_relaxed);
  std::uint32_t smallest = report.smallest_mtu.load(std::memory_order_relaxed);
  while (mtu != 0 && (smallest == 0 || mtu < smallest) &&
         !report.smallest_mtu.compare_exchange_weak(smallest, mtu, std::memory_order_relaxed)) {
  }
  return dropped(HostDrop::icmp_error_heard);
}

Step error4(const Host& host, const Frame& frame) noexcept {
  const std::uint8_t* const icmp = frame.data + frame.l4;
  const std::uint8_t* const inner = icmp + headers::icmp_bytes;
  const std::uint32_t bytes = frame.end - frame.l4 - headers::icmp_bytes;
  std::uint32_t link = Host::no_link;
  // Ours have no options.
  if (bytes >= ip4_bytes + udp_bytes && inner[0] == 0x45 && inner[9] == headers::protocol_udp) {
    link = host.find_link(frame.port, ip4_address(inner + 12), ip4_address(inner + 16),
                          headers::load16(inner + ip4_bytes + 2));
  }
  const bool too_big = icmp[0] == unreachable4 && icmp[1] == fragmentation_needed;
  return report_error(host, link, too_big, headers::load16(icmp + 6));
}

Step error6(const Host& host, const Frame& frame) noexcept {
  const std::uint8_t* const icmp = frame.data + frame.l4;
  const std::uint8_t* const inner = icmp + headers::icmp_bytes;
  const std::uint32_t bytes = frame.end - frame.l4 - headers::icmp_bytes;
  std::uint32_t link = Host::no_link;
  if (bytes >= ip6_bytes + udp_bytes && inner[0] >> 4 == 6 && inner[6] == headers::protocol_udp) {
    link = host.find_link(frame.port, ip6_address(inner + 8), ip6_address(inner + 24),
                          headers::load16(inner + ip6_bytes + 2));
  }
  return report_error(host, link, icmp[0] == packet_too_big6, headers::load32(icmp + 4));
}

/// The answer goes back to the station that the question came from, which is the way to the asker, with plain
/// headers directly in front of the ICMP message: options and extensions are not repeated.
Step echo4(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  if (!worker.echo.grant(now)) return dropped(HostDrop::icmp_rate_limited);
  const HostPort& port = *worker.host->port(frame.port);
  const std::uint8_t* const ip = frame.data + frame.l3;
  const EthernetAddress asker = EthernetAddress::from(frame.data + 6);
  const IpAddress source = ip4_address(ip + 12);
  const IpAddress destination = ip4_address(ip + 16);
  const std::uint8_t service = ip[1];
  std::uint8_t* const icmp = frame.data + frame.l4;
  change_type(icmp, echo_reply4);
  // The difference alone cannot tell a message of nothing but zeros, whose checksum is all ones, from others.
  if ((icmp[2] | icmp[3]) == 0) {
    headers::store_sum(icmp + 2, checksum_finish(checksum_add(0, icmp, frame.end - frame.l4)));
  }
  std::uint8_t* const out = frame.data + frame.l4 - ip4_bytes;
  std::memset(out, 0, ip4_bytes);
  out[0] = 0x45;
  out[1] = service;
  headers::store16(out + 2, ip4_bytes + frame.end - frame.l4);
  out[6] = 0x40;
  out[8] = headers::default_hop_limit;
  out[9] = headers::protocol_icmp4;
  std::memcpy(out + 12, destination.bytes.data(), 4);
  std::memcpy(out + 16, source.bytes.data(), 4);
  headers::store_sum(out + 10, checksum_finish(checksum_add(0, out, ip4_bytes)));
  const std::uint32_t begin = frame.l4 - ip4_bytes - port.l2_bytes();
  write_ethernet(port, asker, headers::ethertype_ip4, frame.data + begin);
  ++worker.counters.echo_replies;
  return answered(begin, frame.end - begin);
}

Step echo6(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  if (ip[24] == 0xFF) return dropped(HostDrop::icmp_echo_to_group);
  if (!worker.echo.grant(now)) return dropped(HostDrop::icmp_rate_limited);
  const HostPort& port = *worker.host->port(frame.port);
  const EthernetAddress asker = EthernetAddress::from(frame.data + 6);
  // The checksum covers both addresses alike.
  change_type(frame.data + frame.l4, echo_reply6);
  const Ip6Fields fields{ip6_address(ip + 24), ip6_address(ip + 8), frame.end - frame.l4,
                         headers::protocol_icmp6, headers::default_hop_limit};
  write_ip6(fields, frame.data + frame.l4 - ip6_bytes);
  const std::uint32_t begin = frame.l4 - ip6_bytes - port.l2_bytes();
  write_ethernet(port, asker, headers::ethertype_ip6, frame.data + begin);
  ++worker.counters.echo_replies;
  return answered(begin, frame.end - begin);
}

}  // namespace

Step icmp4_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  const std::uint32_t bytes = frame.end - frame.l4;
  const std::uint8_t* const icmp = frame.data + frame.l4;
  if (bytes < headers::icmp_bytes) return dropped(HostDrop::icmp_malformed);
  if (!checksum_right(checksum_add(0, icmp, bytes))) return dropped(HostDrop::icmp_bad_checksum);
  switch (icmp[0]) {
    case echo_request4:
      return icmp[1] == 0 ? echo4(worker, frame, now) : dropped(HostDrop::icmp_malformed);
    case echo_reply4:
      return dropped(HostDrop::icmp_echo_unrequested);
    case unreachable4:
    case source_quench4:
    case time_exceeded4:
    case bad_parameter4:
      return error4(*worker.host, frame);
    default:
      return dropped(HostDrop::icmp_type_unknown);
  }
}

Step icmp6_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  const std::uint32_t bytes = frame.end - frame.l4;
  const std::uint8_t* const ip = frame.data + frame.l3;
  const std::uint8_t* const icmp = frame.data + frame.l4;
  if (bytes < headers::icmp_bytes) return dropped(HostDrop::icmp_malformed);
  const IpAddress source = ip6_address(ip + 8);
  const std::uint64_t pseudo =
      pseudo_header_sum(source, ip6_address(ip + 24), headers::protocol_icmp6, bytes);
  if (!checksum_right(checksum_add(pseudo, icmp, bytes))) return dropped(HostDrop::icmp_bad_checksum);
  if (icmp[0] >= first_nd && icmp[0] <= last_nd) return to_next(Next::nd);
  if (source.is_unspecified()) return dropped(HostDrop::ip6_bad_source);
  if (icmp[0] == echo_request6) {
    return icmp[1] == 0 ? echo6(worker, frame, now) : dropped(HostDrop::icmp_malformed);
  }
  if (icmp[0] == echo_reply6) return dropped(HostDrop::icmp_echo_unrequested);
  if (icmp[0] <= last_error6) return error6(*worker.host, frame);
  return dropped(HostDrop::icmp_type_unknown);
}

}  // namespace ssn::dataplane
