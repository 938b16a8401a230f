// SPDX-License-Identifier: BSD-3-Clause
#include "input.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

namespace {

bool checksum_holds(const Frame& frame, bool v6, std::uint32_t bytes) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  const IpAddress source = v6 ? ip6_address(ip + 8) : ip4_address(ip + 12);
  const IpAddress destination = v6 ? ip6_address(ip + 24) : ip4_address(ip + 16);
  const std::uint64_t sum = pseudo_header_sum(source, destination, headers::protocol_udp, bytes);
  return checksum_right(checksum_add(sum, frame.data + frame.l4, bytes));
}

}  // namespace

Step udp_input(const Host& host, Frame& frame) noexcept {
  const std::uint32_t available = frame.end - frame.l4;
  const std::uint8_t* const udp = frame.data + frame.l4;
  if (available < udp_bytes) return dropped(HostDrop::udp_malformed);
  const std::uint32_t bytes = headers::load16(udp + 4);
  if (bytes < udp_bytes || bytes > available) return dropped(HostDrop::udp_malformed);
  const bool v6 = frame.data[frame.l3] >> 4 == 6;
  if (v6 && frame.data[frame.l3 + 24] == 0xFF) return dropped(HostDrop::udp_to_group);
  const int listener = host.listener(headers::load16(udp + 2));
  if (listener < 0) return dropped(HostDrop::udp_port_unknown);
  if ((udp[6] | udp[7]) == 0) {
    // None was computed: over IPv4 that is permitted (RFC 768), over IPv6 not (RFC 8200, 8.1).
    if (v6) return dropped(HostDrop::udp6_without_checksum);
  } else if (frame.l4_checksum == RxChecksum::bad ||
             (frame.l4_checksum == RxChecksum::unknown && !checksum_holds(frame, v6, bytes))) {
    return dropped(HostDrop::udp_bad_checksum);
  }
  Step step = to_next(Next::deliver);
  step.listener = static_cast<std::uint8_t>(listener);
  step.offset = frame.l4 + udp_bytes;
  step.length = bytes - udp_bytes;
  return step;
}

}  // namespace ssn::dataplane
