// SPDX-License-Identifier: BSD-3-Clause
// What stands before each frame of a packet socket with PACKET_VNET_HDR: struct virtio_net_hdr (virtio 1.2,
// 5.1.6), in the machine's byte order. The kernel's own header of it is no C++.
#pragma once

#include <cstdint>

namespace ssn::dataplane {

struct FrameHeader {
  static constexpr std::uint8_t needs_checksum = 1;    ///< of flags: at checksum_start + checksum_offset
  static constexpr std::uint8_t checksum_is_good = 2;  ///< of flags
  static constexpr std::uint8_t no_segmentation = 0;
  static constexpr std::uint8_t tcp4_segmentation = 1;
  static constexpr std::uint8_t udp_segmentation = 5;  ///< Linux 6.2

  std::uint8_t flags = 0;
  std::uint8_t segmentation = 0;
  std::uint16_t header_bytes = 0;
  std::uint16_t segment = 0;  ///< bytes of payload in each
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(FrameHeader) == 10);

}  // namespace ssn::dataplane
