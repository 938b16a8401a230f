// SPDX-License-Identifier: BSD-3-Clause
#include "udp_run.h"

#include "udp_headers.h"

namespace ssn::dataplane {

using namespace udp_headers;

namespace {

bool is_open(const std::uint8_t* udp, bool v6, bool checksum_is_open) noexcept {
  return checksum_is_open || (!v6 && (udp[6] | udp[7]) == 0);
}

}  // namespace

UdpFrame find_udp(const std::uint8_t* frame, std::uint32_t length, bool checksum_is_open) noexcept {
  std::uint32_t l3 = ethernet_bytes;
  if (length <= ethernet_bytes + ip4_bytes + udp_bytes || length > UdpRun::frame_max) return {};
  std::uint16_t type = load16(frame + 12);
  if (type == ethertype_vlan) {
    type = load16(frame + 16);
    l3 += vlan_bytes;
  }
  const std::uint8_t* const ip = frame + l3;
  const bool v6 = type == ethertype_ip6;
  const std::uint32_t l4 = l3 + (v6 ? ip6_bytes : ip4_bytes);
  if (length <= l4 + udp_bytes) return {};
  const std::uint32_t bytes = length - l4;
  if (v6) {
    if (ip[0] >> 4 != 6 || ip[6] != protocol_udp || load16(ip + 4) != bytes) return {};
  } else {
    // No options, no fragment; no padding behind it.
    if (type != ethertype_ip4 || ip[0] != 0x45 || ip[9] != protocol_udp || load16(ip + 2) != length - l3 ||
        (load16(ip + 6) & 0x3FFFU) != 0) {
      return {};
    }
  }
  const std::uint8_t* const udp = frame + l4;
  if (load16(udp + 4) != bytes || !is_open(udp, v6, checksum_is_open)) return {};
  return {static_cast<std::uint16_t>(l3), static_cast<std::uint16_t>(l4),
          static_cast<std::uint16_t>(bytes - udp_bytes)};
}

void UdpRun::begin(const std::uint8_t* frame, const UdpFrame& found) noexcept {
  frame_ = frame;
  first_ = found;
  count_ = 1;
  payload_ = found.payload;
  full_ = false;
}

bool UdpRun::add(const std::uint8_t* frame, const UdpFrame& found) noexcept {
  if (full_ || count_ == datagrams_max || found.l3 != first_.l3 || found.l4 != first_.l4 ||
      found.payload > first_.payload || first_.header_bytes() + payload_ + found.payload > frame_max ||
      !continues(frame)) {
    return false;
  }
  ++count_;
  payload_ += found.payload;
  full_ = found.payload < first_.payload;
  return true;
}

// Everything equal but lengths, checksums and IPv4's identification. That one, where datagrams may be cut up
// on the way, must count as the kernel will count it; where not, it says nothing (RFC 6864).
bool UdpRun::continues(const std::uint8_t* frame) const noexcept {
  const std::uint32_t l3 = first_.l3;
  if (std::memcmp(frame, frame_, l3) != 0 ||
      std::memcmp(frame + first_.l4, frame_ + first_.l4, 4) != 0) {  // ports
    return false;
  }
  const std::uint8_t* const ip = frame + l3;
  const std::uint8_t* const before = frame_ + l3;
  if (first_.l4 - l3 == ip6_bytes) {
    return std::memcmp(ip, before, 4) == 0 && std::memcmp(ip + 6, before + 6, 34) == 0;
  }
  constexpr std::uint8_t dont_fragment = 0x40;
  return ip[1] == before[1] && ip[8] == before[8] && std::memcmp(ip + 6, before + 6, 2) == 0 &&
         std::memcmp(ip + 12, before + 12, 8) == 0 &&
         ((ip[6] & dont_fragment) != 0 ||
          load16(ip + 4) == static_cast<std::uint16_t>(load16(before + 4) + count_));
}

void UdpRun::write_header(std::uint8_t* to) const noexcept {
  std::memcpy(to, frame_, first_.header_bytes());
  std::uint8_t* const ip = to + first_.l3;
  std::uint8_t* const udp = to + first_.l4;
  const bool v6 = first_.l4 - first_.l3 == static_cast<int>(ip6_bytes);
  const std::uint32_t bytes = payload_ + udp_bytes;
  write_ip_length(ip, ip4_bytes, bytes, v6);
  store16(udp + 4, bytes);
  store_sum(udp + 6, checksum_fold(address_sum(ip, v6) + as_word(bytes)));
}

}  // namespace ssn::dataplane
