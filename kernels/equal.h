// SPDX-License-Identifier: BSD-3-Clause
// Comparing tags in constant time.
#pragma once

#include <cstdint>
#include <cstring>

#include "declassify.h"
#include "ssn/kernels/kernels.h"

namespace ssn::kernels {

// All bytes are compared, and only the answer is made public.
inline bool equal(const std::uint8_t* a, const std::uint8_t* b) noexcept {
  std::uint64_t x[2];
  std::uint64_t y[2];
  static_assert(sizeof x == tag_bytes);
  std::memcpy(x, a, sizeof x);
  std::memcpy(y, b, sizeof y);
  std::uint64_t difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
  SSN_DECLASSIFY(&difference, sizeof difference);
  return difference == 0;
}

}  // namespace ssn::kernels
