// SPDX-License-Identifier: BSD-3-Clause
// A slow second opinion on everything that kernels/ computes, written from the definitions alone: products
// bit by bit, matrices from their formulas, solving by elimination, GHASH bit by bit. Shares no code with
// kernels/ and uses no tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ssn/kernels/code.h"
#include "test_random.h"

namespace ssn::test {

struct CodeSpec {
  kernels::Scheme scheme;
  unsigned k;
  unsigned n;
  unsigned data_blocks;
};

/// "ramp(4,8,L=2)"
std::string to_string(const CodeSpec& spec);

namespace reference {

/// In GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11D).
std::uint8_t multiply(std::uint8_t a, std::uint8_t b);
/// a != 0.
std::uint8_t inverse(std::uint8_t a);

struct Matrix {
  Matrix() = default;
  Matrix(unsigned row_count, unsigned column_count)
      : rows(row_count), columns(column_count), entries(std::size_t{row_count} * column_count) {}
  std::uint8_t& at(unsigned row, unsigned column) { return entries[std::size_t{row} * columns + column]; }
  std::uint8_t at(unsigned row, unsigned column) const {
    return entries[std::size_t{row} * columns + column];
  }

  unsigned rows = 0;
  unsigned columns = 0;
  Bytes entries;
};

unsigned random_blocks(const CodeSpec& spec);
/// Rows are shares 1..n, columns the random blocks and then the data blocks.
Matrix generator(const CodeSpec& spec);
unsigned rank(Matrix matrix);
/// Of a regular square matrix; aborts when it is singular.
Matrix inverse(Matrix matrix);
Matrix product(const Matrix& a, const Matrix& b);
/// The given rows (counted from 0), in that order.
Matrix select_rows(const Matrix& matrix, const std::vector<unsigned>& rows);

/// out[r] = sum over c of matrix[r][c] * in[c].
std::vector<Bytes> combine(const Matrix& matrix, const std::vector<Bytes>& in);
Bytes exclusive_or(const Bytes& a, const Bytes& b);

using Block = std::array<std::uint8_t, 16>;
/// GHASH of NIST SP 800-38D over header and data with both lengths.
Block ghash(const Block& r, const Bytes& header, const Bytes& data);

}  // namespace reference
}  // namespace ssn::test
