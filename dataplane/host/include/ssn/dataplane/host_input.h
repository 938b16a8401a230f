// SPDX-License-Identifier: BSD-3-Clause
// Received frames, from Ethernet to UDP. Each function looks at one layer, trusts nothing but what the one
// before it checked, and says where the frame goes next. Frames may hold any bytes: nothing outside
// [data, data + length) is read, nothing outside [data, data + room) written.
//
// One worker calls these for its frames; the frame and the HostWorker are its own.
#pragma once

#include <cstdint>

#include "ssn/dataplane/host.h"

namespace ssn::dataplane {

/// What the port found out about a checksum.
enum class RxChecksum : std::uint8_t { unknown, good, bad };

/// A frame in one piece of memory. ether_input() begins with what is above the line.
struct Frame {
  std::uint8_t* data = nullptr;  ///< the Ethernet header
  std::uint32_t length = 0;
  std::uint32_t room = 0;  ///< bytes from `data` on that may be written: answers are made in place
  std::uint16_t port = 0;
  RxChecksum ip_checksum = RxChecksum::unknown;  ///< of the IPv4 header
  RxChecksum l4_checksum = RxChecksum::unknown;  ///< UDP's
  // ---- filled in on the way
  std::uint16_t l3 = 0;   ///< where the IP or ARP packet begins
  std::uint16_t l4 = 0;   ///< what the IP packet carries
  std::uint32_t end = 0;  ///< of the IP packet: without Ethernet's padding
};

enum class Next : std::uint8_t {
  drop,
  arp,
  ip4,
  ip6,
  icmp4,
  icmp6,
  nd,
  udp,
  deliver,  ///< to listener `listener`: the payload is [offset, offset + length)
  send,     ///< back out of the port that it came from: the frame is [offset, offset + length) now
};
inline constexpr std::size_t next_count = 10;

struct Step {
  Next next = Next::drop;
  HostDrop reason = HostDrop::none;  ///< where next is drop
  std::uint8_t listener = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

Step ether_input(const Host& host, Frame& frame) noexcept;
Step arp_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step ip4_input(const Host& host, Frame& frame) noexcept;
Step ip6_input(const Host& host, Frame& frame) noexcept;
Step icmp4_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step icmp6_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step nd_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;
Step udp_input(const Host& host, Frame& frame) noexcept;

/// All of the above: drop, deliver or send.
Step host_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept;

}  // namespace ssn::dataplane
