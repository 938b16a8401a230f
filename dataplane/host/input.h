// SPDX-License-Identifier: BSD-3-Clause
// What the layers of the input path share.
#pragma once

#include "headers.h"
#include "ssn/dataplane/host_input.h"

namespace ssn::dataplane {

inline Step dropped(HostDrop reason) noexcept {
  Step step;
  step.reason = reason;
  return step;
}

inline Step to_next(Next next) noexcept {
  Step step;
  step.next = next;
  return step;
}

inline Step answered(std::uint32_t offset, std::uint32_t length) noexcept {
  Step step;
  step.next = Next::send;
  step.offset = offset;
  step.length = length;
  return step;
}

/// Writes the Ethernet header of a frame of ours.
inline void write_ethernet(const HostPort& port, const EthernetAddress& to, std::uint16_t type,
                           std::uint8_t* out) noexcept {
  std::memcpy(out, to.bytes.data(), 6);
  std::memcpy(out + 6, port.mac.bytes.data(), 6);
  if (port.vlan != 0) {
    headers::store16(out + 12, headers::ethertype_vlan);
    headers::store16(out + 14, port.vlan);
    out += vlan_bytes;
  }
  headers::store16(out + 12, type);
}

/// What an IPv6 header without extensions needs to say.
struct Ip6Fields {
  IpAddress source;
  IpAddress destination;
  std::uint32_t payload = 0;
  std::uint8_t protocol = 0;
  std::uint8_t hop_limit = 0;
};

inline void write_ip6(const Ip6Fields& fields, std::uint8_t* out) noexcept {
  out[0] = 0x60;
  out[1] = out[2] = out[3] = 0;
  headers::store16(out + 4, fields.payload);
  out[6] = fields.protocol;
  out[7] = fields.hop_limit;
  std::memcpy(out + 8, fields.source.bytes.data(), 16);
  std::memcpy(out + 24, fields.destination.bytes.data(), 16);
}

}  // namespace ssn::dataplane
