// SPDX-License-Identifier: BSD-3-Clause
// GF(2^8) with polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11D), ISA-L's field, on public values only: points,
// multipliers and coefficients. These functions index tables by their arguments and must never see a byte of
// data, random blocks, pads or shares.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>

namespace ssn::kernels {

inline constexpr unsigned gf_polynomial = 0x11D;

struct GfTables {
  std::array<std::uint8_t, 512> exponential{};  // twice, so that a sum of two logarithms needs no reduction
  std::array<std::uint8_t, 256> logarithm{};

  constexpr GfTables() {
    unsigned value = 1;
    for (unsigned i = 0; i < 255; ++i) {
      exponential[i] = exponential[i + 255] = static_cast<std::uint8_t>(value);
      logarithm[value] = static_cast<std::uint8_t>(i);
      value <<= 1;
      if ((value & 0x100) != 0) {
        value ^= gf_polynomial;
      }
    }
  }
};

inline constexpr GfTables gf_tables{};

constexpr std::uint8_t gf_mul(std::uint8_t a, std::uint8_t b) {
  if (a == 0 || b == 0) {
    return 0;
  }
  return gf_tables.exponential[unsigned{gf_tables.logarithm[a]} + gf_tables.logarithm[b]];
}

/// Precondition: a != 0.
constexpr std::uint8_t gf_inv(std::uint8_t a) {
  assert(a != 0);
  return gf_tables.exponential[255U - gf_tables.logarithm[a]];
}

/// Precondition: b != 0.
constexpr std::uint8_t gf_div(std::uint8_t a, std::uint8_t b) { return gf_mul(a, gf_inv(b)); }

/// a to the power e; 0 to the power 0 is 1.
constexpr std::uint8_t gf_pow(std::uint8_t a, unsigned e) {
  if (e == 0) {
    return 1;
  }
  if (a == 0) {
    return 0;
  }
  return gf_tables.exponential[gf_tables.logarithm[a] * (e % 255U) % 255U];
}

// Tables for implementations, indexed by a public coefficient. Plain arrays: see "Instruction sets" in
// README.md. ------------------------------------------

/// Multiplication by c as the 8x8 bit matrix of GF2P8AFFINEQB (Intel SDM vol. 2): byte 7-i is row i.
extern const std::uint64_t gf_affine_matrices[256];

/// Products of c with 0..15 (16 bytes), then with 0x00, 0x10, .. 0xF0 (16 bytes).
struct GfNibbleProducts {
  alignas(32) std::uint8_t products[32];
};
extern const GfNibbleProducts gf_nibble_products[256];

}  // namespace ssn::kernels
