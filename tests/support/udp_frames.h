// SPDX-License-Identifier: BSD-3-Clause
// UDP datagrams in Ethernet frames, made field by field with checksums by RFC 1071: what tests compare with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssn::dataplane::test {

using Bytes = std::vector<std::uint8_t>;

struct DatagramForm {
  bool v6 = false;
  bool vlan = false;
  bool dont_fragment = true;
  std::uint8_t mac = 2;                      ///< last byte of the destination
  std::uint8_t source = 1, destination = 2;  ///< last bytes of addresses: 10.77.0.x, fd00:77::x
  std::uint16_t source_port = 49152, destination_port = 4404;
  std::uint8_t traffic_class = 0, hops = 64;
  std::uint16_t identification = 0;
  std::uint32_t number = 0;  ///< what the payload follows from
  std::size_t payload = 1408;
};

namespace detail {

inline void put16(Bytes& out, std::uint32_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
inline std::uint32_t sum16(const Bytes& bytes, std::size_t from, std::size_t to) {
  std::uint32_t sum = 0;
  for (std::size_t i = from; i < to; ++i)
    sum += static_cast<std::uint32_t>(bytes[i]) << ((i - from) % 2 == 0 ? 8 : 0);
  return sum;
}
inline std::uint16_t inverted(std::uint32_t sum) {
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}
inline Bytes address(bool v6, std::uint8_t last) {
  if (!v6) return {10, 77, 0, last};
  Bytes bytes = {0xFD, 0, 0, 0x77};
  bytes.resize(16);
  bytes[15] = last;
  return bytes;
}

}  // namespace detail

/// Where the UDP header begins.
inline std::size_t udp_at(const DatagramForm& form) {
  return (form.vlan ? 18U : 14U) + (form.v6 ? 40U : 20U);
}

inline Bytes payload_of(std::uint32_t number, std::size_t bytes) {
  Bytes payload(bytes);
  std::uint32_t state = number * 2654435761U + 12345;
  for (std::uint8_t& each : payload) {
    state = state * 1664525 + 1013904223;
    each = static_cast<std::uint8_t>(state >> 24);
  }
  return payload;
}

/// The whole frame, with a right UDP checksum.
inline Bytes datagram(const DatagramForm& form) {
  using namespace detail;
  Bytes frame = {2, 0, 0, 0, 0, form.mac, 2, 0, 0, 0, 0, 1};
  if (form.vlan) {
    put16(frame, 0x8100);
    put16(frame, 0x0123);
  }
  put16(frame, form.v6 ? 0x86DD : 0x0800);
  const Bytes from = address(form.v6, form.source);
  const Bytes to = address(form.v6, form.destination);
  const auto bytes = static_cast<std::uint32_t>(8 + form.payload);
  const std::size_t ip = frame.size();
  if (form.v6) {
    frame.insert(frame.end(), {static_cast<std::uint8_t>(0x60 | form.traffic_class >> 4),
                               static_cast<std::uint8_t>(form.traffic_class << 4), 0, 0});
    put16(frame, bytes);
    frame.insert(frame.end(), {17, form.hops});
  } else {
    frame.insert(frame.end(), {0x45, form.traffic_class});
    put16(frame, 20 + bytes);
    put16(frame, form.identification);
    put16(frame, form.dont_fragment ? 0x4000 : 0);
    frame.insert(frame.end(), {form.hops, 17, 0, 0});
  }
  frame.insert(frame.end(), from.begin(), from.end());
  frame.insert(frame.end(), to.begin(), to.end());
  if (!form.v6) {
    const std::uint16_t sum = inverted(sum16(frame, ip, ip + 20));
    frame[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
    frame[ip + 11] = static_cast<std::uint8_t>(sum);
  }
  const std::size_t udp = frame.size();
  put16(frame, form.source_port);
  put16(frame, form.destination_port);
  put16(frame, bytes);
  put16(frame, 0);
  const Bytes payload = payload_of(form.number, form.payload);
  frame.insert(frame.end(), payload.begin(), payload.end());
  const std::uint32_t pseudo = sum16(from, 0, from.size()) + sum16(to, 0, to.size()) + 17 + bytes;
  std::uint16_t sum = inverted(pseudo + sum16(frame, udp, frame.size()));
  if (sum == 0) sum = 0xFFFF;
  frame[udp + 6] = static_cast<std::uint8_t>(sum >> 8);
  frame[udp + 7] = static_cast<std::uint8_t>(sum);
  return frame;
}

/// The same with its UDP checksum still open: the sum of the pseudo-header.
inline Bytes open_datagram(const DatagramForm& form) {
  using namespace detail;
  Bytes frame = datagram(form);
  const std::size_t udp = udp_at(form);
  const Bytes from = address(form.v6, form.source);
  const Bytes to = address(form.v6, form.destination);
  const auto sum =
      static_cast<std::uint16_t>(~inverted(sum16(from, 0, from.size()) + sum16(to, 0, to.size()) + 17 +
                                           static_cast<std::uint32_t>(8 + form.payload)));
  frame[udp + 6] = static_cast<std::uint8_t>(sum >> 8);
  frame[udp + 7] = static_cast<std::uint8_t>(sum);
  return frame;
}

}  // namespace ssn::dataplane::test
