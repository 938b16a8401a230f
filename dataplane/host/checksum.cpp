// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

std::uint64_t checksum_add(std::uint64_t sum, const std::uint8_t* data, std::size_t bytes) noexcept {
  // 32-bit words into 64-bit sums cannot overflow for any length that a packet has; four independent sums let
  // the compiler use vectors.
  std::uint64_t lanes[4] = {};
  for (; bytes >= 16; bytes -= 16, data += 16) {
    std::uint32_t words[4];
    std::memcpy(words, data, sizeof words);
    for (unsigned i = 0; i < 4; ++i) lanes[i] += words[i];
  }
  for (; bytes >= 2; bytes -= 2, data += 2) {
    std::uint16_t word;
    std::memcpy(&word, data, sizeof word);
    lanes[0] += word;
  }
  if (bytes != 0) {
    const std::uint8_t last[2] = {*data, 0};
    std::uint16_t word;
    std::memcpy(&word, last, sizeof word);
    lanes[1] += word;
  }
  for (const std::uint64_t lane : lanes) sum += checksum_fold(lane);
  return sum;
}

std::uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                                std::uint32_t bytes) noexcept {
  std::uint64_t sum = 0;
  if (is4(source)) {
    sum = checksum_add(checksum_add(0, source.bytes.data(), 4), destination.bytes.data(), 4);
  } else {
    sum = checksum_add(checksum_add(0, source.bytes.data(), 16), destination.bytes.data(), 16);
  }
  // IPv4 has a length of 16 bits and IPv6 one of 32, of which the upper ones are 0 here: the sums are the
  // same.
  const std::uint8_t rest[8] = {static_cast<std::uint8_t>(bytes >> 24),
                                static_cast<std::uint8_t>(bytes >> 16),
                                static_cast<std::uint8_t>(bytes >> 8),
                                static_cast<std::uint8_t>(bytes),
                                0,
                                0,
                                0,
                                protocol};
  return checksum_add(sum, rest, sizeof rest);
}

}  // namespace ssn::dataplane
