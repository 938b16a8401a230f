// SPDX-License-Identifier: BSD-3-Clause
// Cuts a frame that the kernel gave as one into the datagrams that it stands for. The kernel passes on what
// any sender on the link made up: any bytes are taken, nothing outside the frame is read.
#pragma once

#include <cstdint>

namespace ssn::dataplane {

/// What the kernel says about a frame (FrameHeader).
struct FrameNote {
  bool needs_checksum = false;    ///< a checksum field holds the sum of the pseudo-header only
  bool checksum_is_good = false;  ///< somebody verified it
  std::uint8_t segmentation = 0;  ///< as in FrameHeader
  std::uint16_t segment = 0;      ///< bytes of payload in each
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};

/// Fills in the checksum that a frame needs, as the device would have that it was meant for. False: the note
/// speaks of bytes that are not there; nothing was written.
bool complete_checksum(std::uint8_t* frame, std::uint32_t length, const FrameNote& note) noexcept;

class UdpSplit {
 public:
  /// The kernel's limit for programs that send so.
  static constexpr std::uint32_t datagrams_max = 128;

  /// Looks at a frame with segmentation. False: it is no run of UDP datagrams that we know how to cut, or
  /// there are too many. The frame stays where it is for as long as it is used.
  bool begin(const std::uint8_t* frame, std::uint32_t length, const FrameNote& note) noexcept;
  std::uint32_t count() const noexcept { return count_; }
  /// Of datagram `index`, headers included. They are all as long as the first, but for the last.
  std::uint32_t length(std::uint32_t index) const noexcept { return header_ + payload(index); }
  /// Writes it: length(index) bytes. Its UDP checksum is the sum of its pseudo-header, or with `completes`
  /// right.
  void write(std::uint32_t index, bool completes, std::uint8_t* to) const noexcept;

 private:
  std::uint32_t payload(std::uint32_t index) const noexcept {
    return index + 1 < count_ ? segment_ : payload_ - segment_ * (count_ - 1);
  }

  const std::uint8_t* frame_ = nullptr;
  std::uint32_t l3_ = 0, l4_ = 0, header_ = 0;
  std::uint32_t payload_ = 0, segment_ = 0, count_ = 0;
  std::uint64_t address_sum_ = 0;
  bool v6_ = false;
};

}  // namespace ssn::dataplane
