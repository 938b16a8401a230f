// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace ssn::protocol {

/// Bit 0 becomes bit 63.
constexpr std::uint64_t reversed(std::uint64_t bits) noexcept {
  bits = (bits >> 1 & 0x5555555555555555U) | (bits & 0x5555555555555555U) << 1;
  bits = (bits >> 2 & 0x3333333333333333U) | (bits & 0x3333333333333333U) << 2;
  bits = (bits >> 4 & 0x0F0F0F0F0F0F0F0FU) | (bits & 0x0F0F0F0F0F0F0F0FU) << 4;
  return __builtin_bswap64(bits);
}

}  // namespace ssn::protocol
