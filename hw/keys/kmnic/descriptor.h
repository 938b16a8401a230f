// SPDX-License-Identifier: BSD-3-Clause
// The checks that a delivered key block must pass. Pure functions on copies: what a device wrote is never
// read twice. Shared with the device model, which makes what is checked here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace ssn::kmnic {

/// CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes behind what gave `before`.
std::uint32_t crc32c(const void* data, std::size_t length, std::uint32_t before = 0) noexcept;

/// What the next block of a stream must be.
struct Expected {
  std::array<std::uint8_t, SSN_KSID_BYTES> ksid{};
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
  std::uint64_t room = 0;        ///< bytes that the device may deliver now
  std::uint64_t ring_bytes = 0;  ///< a power of two
  std::uint32_t entries = 0;     ///< of the descriptor ring; a power of two
  std::uint32_t block_bytes = 0;
  std::uint32_t generation = 0;
  std::uint16_t attempt = 0;  ///< how often it was asked for again
};

/// The turn of the slot that block number `sequence` uses.
constexpr std::uint32_t turn_of(std::uint64_t sequence, std::uint32_t entries) noexcept {
  return static_cast<std::uint32_t>(sequence / entries + 1);
}

enum class Verdict : std::uint8_t {
  absent,  ///< nothing new in this slot
  stale,   ///< delivered before it was asked for again
  good,    ///< the block lies in the ring at offset, `length` bytes long, if its key_check matches
  bad,     ///< not what must come next
};
/// `descriptor` is a copy. Good means that offset and length lie within the ring and within the credit.
Verdict inspect(const Descriptor& descriptor, const Expected& expected) noexcept;

std::uint32_t descriptor_check(const Descriptor& descriptor) noexcept;
std::uint32_t key_check(const Descriptor& descriptor, const std::uint8_t* keys) noexcept;

}  // namespace ssn::kmnic
