// SPDX-License-Identifier: BSD-3-Clause
// Runs of UDP datagrams that the kernel takes as one: equal headers, equal payloads but for a shorter last
// one. It cuts them apart again where somebody wants them single (UDP segmentation, Linux 6.2).
// Over bytes; no system call.
#pragma once

#include <array>
#include <cstdint>

namespace ssn::dataplane {

/// Ethernet, perhaps with a VLAN tag, IPv4 without options or IPv6 without extensions, UDP.
inline constexpr std::uint32_t udp_headers_max = 18 + 40 + 8;

/// Where what lies in a frame of UDP, as far as a run needs it.
struct UdpFrame {
  std::uint16_t l3 = 0;       ///< where the IP header begins; 0: this frame goes alone
  std::uint16_t l4 = 0;       ///< where the UDP header begins
  std::uint16_t payload = 0;  ///< bytes behind the UDP header, to the end of the frame

  std::uint32_t header_bytes() const noexcept { return l4 + 8U; }
};

/// Finds it. `checksum_is_open`: the UDP checksum is still to be filled in, by whoever sends it. Frames that
/// carry one already go alone: a run gets new ones, and a wrong one would become right.
UdpFrame find_udp(const std::uint8_t* frame, std::uint32_t length, bool checksum_is_open) noexcept;

/// A run as it grows.
class UdpRun {
 public:
  /// The kernel's limit is 128 datagrams where programs send them; the frame as a whole has its own: devices
  /// cut those of 64 KiB and more, and an IP length has 16 bits.
  static constexpr std::uint32_t datagrams_max = 64;
  static constexpr std::uint32_t frame_max = 65535;

  /// Begins with a frame of UDP, which stays where it is while the run grows.
  void begin(const std::uint8_t* frame, const UdpFrame& found) noexcept;
  /// Whether `frame` continues it; then it is a part of it.
  bool add(const std::uint8_t* frame, const UdpFrame& found) noexcept;
  std::uint32_t count() const noexcept { return count_; }
  std::uint16_t segment() const noexcept { return first_.payload; }
  const UdpFrame& first() const noexcept { return first_; }
  /// The header of the whole: lengths of all, the checksum of the IPv4 header, and in the UDP header the sum
  /// of the pseudo-header. `to`: udp_headers_max bytes.
  void write_header(std::uint8_t* to) const noexcept;

 private:
  bool continues(const std::uint8_t* frame) const noexcept;

  const std::uint8_t* frame_ = nullptr;
  UdpFrame first_;
  std::uint32_t count_ = 0;
  std::uint32_t payload_ = 0;  // of all
  bool full_ = false;          // the last one was shorter
};

}  // namespace ssn::dataplane
