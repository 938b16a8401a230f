// SPDX-License-Identifier: BSD-3-Clause
#include "descriptor.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace ssn::kmnic {
namespace {

constexpr std::size_t crc_piece = std::size_t{1} << 30;  // ISA-L takes an int

}  // namespace

std::uint32_t crc32c(const void* data, std::size_t length, std::uint32_t before) noexcept {
  // ISA-L reads through a pointer that is not const.
  auto* at = const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(data));
  std::uint32_t crc = ~before;
  while (length != 0) {
    const std::size_t piece = std::min(length, crc_piece);
    crc = ::crc32_iscsi(at, static_cast<int>(piece), crc);
    at += piece;
    length -= piece;
  }
  return ~crc;
}

std::uint32_t descriptor_check(const Descriptor& descriptor) noexcept {
  return crc32c(&descriptor, offsetof(Descriptor, check));
}

std::uint32_t key_check(const Descriptor& descriptor, const std::uint8_t* keys) noexcept {
  return crc32c(keys, descriptor.length, crc32c(&descriptor, covered_bytes));
}

Verdict inspect(const Descriptor& descriptor, const Expected& expected) noexcept {
  const std::uint32_t turn = turn_of(expected.sequence, expected.entries);
  if (descriptor.turn == turn - 1) {
    return Verdict::absent;
  }
  if (descriptor.turn != turn || descriptor.check != descriptor_check(descriptor)) {
    return Verdict::bad;
  }
  if (descriptor.attempt < expected.attempt) {
    return Verdict::stale;
  }
  const std::uint64_t place = descriptor.offset & (expected.ring_bytes - 1);
  const bool right = descriptor.sequence == expected.sequence && descriptor.attempt == expected.attempt &&
                     descriptor.offset == expected.offset && descriptor.ksid == expected.ksid &&
                     descriptor.generation == expected.generation;
  const bool fits = descriptor.length != 0 && descriptor.length % block_multiple == 0 &&
                    descriptor.length <= expected.block_bytes && descriptor.length <= expected.room &&
                    descriptor.length <= expected.ring_bytes - place;
  return right && fits ? Verdict::good : Verdict::bad;
}

}  // namespace ssn::kmnic
