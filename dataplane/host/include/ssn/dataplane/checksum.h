// SPDX-License-Identifier: BSD-3-Clause
// The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in memory: the ones' complement sum
// does not depend on the byte order, so nothing is swapped, and results are stored as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ssn/dataplane/address.h"

namespace ssn::dataplane {

/// Adds `bytes` bytes to a sum; an odd last byte counts as the first one of a word. Any alignment.
std::uint64_t checksum_add(std::uint64_t sum, const std::uint8_t* data, std::size_t bytes) noexcept;

/// A sum of any number of words, made into 16 bits, not inverted.
inline std::uint16_t checksum_fold(std::uint64_t sum) noexcept {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// What belongs into a checksum field, given the sum of all else.
inline std::uint16_t checksum_finish(std::uint64_t sum) noexcept {
  return static_cast<std::uint16_t>(~checksum_fold(sum));
}

/// Whether a sum over a whole message, its checksum included, is right.
inline bool checksum_right(std::uint64_t sum) noexcept { return checksum_fold(sum) == 0xFFFF; }

/// The sum of the pseudo-header of UDP, TCP and ICMPv6 (RFC 768; RFC 8200, 8.1). Both addresses are of one
/// family.
std::uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                                std::uint32_t bytes) noexcept;

}  // namespace ssn::dataplane
