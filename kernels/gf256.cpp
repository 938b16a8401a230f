// SPDX-License-Identifier: BSD-3-Clause
#include "gf256.h"

namespace ssn::kernels {
namespace {

// Bit j of row i says whether input bit j adds to output bit i. The instruction takes row i from byte 7-i.
consteval std::uint64_t affine_matrix(std::uint8_t c) {
  std::uint64_t matrix = 0;
  for (unsigned input = 0; input < 8; ++input) {
    const unsigned product = gf_mul(c, static_cast<std::uint8_t>(1U << input));
    for (unsigned output = 0; output < 8; ++output) {
      if (((product >> output) & 1U) != 0) {
        matrix |= std::uint64_t{1} << ((7 - output) * 8 + input);
      }
    }
  }
  return matrix;
}

consteval GfNibbleProducts nibble_products(std::uint8_t c) {
  GfNibbleProducts both{};
  for (unsigned nibble = 0; nibble < 16; ++nibble) {
    both.products[nibble] = gf_mul(c, static_cast<std::uint8_t>(nibble));
    both.products[16 + nibble] = gf_mul(c, static_cast<std::uint8_t>(nibble << 4));
  }
  return both;
}

}  // namespace

#define SSN_4(entry, c) entry(c), entry(c + 1), entry(c + 2), entry(c + 3)
#define SSN_16(entry, c) SSN_4(entry, c), SSN_4(entry, c + 4), SSN_4(entry, c + 8), SSN_4(entry, c + 12)
#define SSN_64(entry, c) SSN_16(entry, c), SSN_16(entry, c + 16), SSN_16(entry, c + 32), SSN_16(entry, c + 48)
#define SSN_256(entry) SSN_64(entry, 0), SSN_64(entry, 64), SSN_64(entry, 128), SSN_64(entry, 192)

constinit const std::uint64_t gf_affine_matrices[256] = {SSN_256(affine_matrix)};
constinit const GfNibbleProducts gf_nibble_products[256] = {SSN_256(nibble_products)};

}  // namespace ssn::kernels
