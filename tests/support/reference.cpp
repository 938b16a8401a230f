// SPDX-License-Identifier: BSD-3-Clause
#include "reference.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>

namespace ssn::test {

std::string to_string(const CodeSpec& spec) {
  std::string text(kernels::name(spec.scheme));
  text += '(' + std::to_string(spec.k) + ',' + std::to_string(spec.n);
  if (spec.scheme == kernels::Scheme::ramp) text += ",L=" + std::to_string(spec.data_blocks);
  return text + ')';
}

namespace reference {
namespace {

using kernels::Scheme;

std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

std::uint8_t divide(unsigned a, unsigned b) { return multiply(byte(a), inverse(byte(b))); }

using Words = std::vector<std::uint64_t>;

Words to_words(const Bytes& bytes) {
  Words words((bytes.size() + 7) / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

/// Multiplies each of eight bytes by x: what leaves on top comes back as the polynomial's lower terms.
std::uint64_t times_x(std::uint64_t bytes) {
  constexpr std::uint64_t each = 0x0101010101010101ULL;
  return ((bytes & (0x7F * each)) << 1) ^ (((bytes >> 7) & each) * 0x1D);
}

/// The Lagrange coefficients that give a polynomial's value at `target` from its values at `points`.
Bytes lagrange(const Bytes& points, std::uint8_t target) {
  Bytes row(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::uint8_t numerator = 1;
    std::uint8_t denominator = 1;
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (j == i) continue;
      numerator = multiply(numerator, byte(unsigned{target} ^ points[j]));
      denominator = multiply(denominator, byte(unsigned{points[i]} ^ points[j]));
    }
    row[i] = divide(numerator, denominator);
  }
  return row;
}

/// Random bytes at the first points, data at `data_points`, all other shares on the polynomial.
Matrix interpolated(const CodeSpec& spec, unsigned first_point, const Bytes& data_points) {
  const unsigned t = random_blocks(spec);
  Bytes points;
  for (unsigned i = 0; i < t; ++i) points.push_back(byte(first_point + i));
  points.insert(points.end(), data_points.begin(), data_points.end());
  Matrix matrix(spec.n, spec.k);
  for (unsigned share = 0; share < spec.n; ++share) {
    const Bytes row = lagrange(points, byte(first_point + share));
    for (unsigned c = 0; c < spec.k; ++c) matrix.at(share, c) = row[c];
  }
  return matrix;
}

Matrix systematic(const CodeSpec& spec) {
  Matrix matrix(spec.n, spec.k);
  for (unsigned share = 1; share <= spec.n; ++share) {
    for (unsigned j = 0; j < spec.k; ++j) {
      matrix.at(share - 1, j) = share < spec.k ? byte(j + 1 == share) : divide(spec.k ^ j, share ^ j);
    }
  }
  return matrix;
}

Matrix cauchy(const CodeSpec& spec) {
  Matrix matrix(spec.n, spec.k);
  for (unsigned i = 0; i < spec.n; ++i) {
    for (unsigned j = 0; j < spec.k; ++j) matrix.at(i, j) = i < spec.k ? byte(i == j) : inverse(byte(i ^ j));
  }
  return matrix;
}

/// A field element of GHASH as two big-endian words: bit 0, of x^0, is the most significant of `first`.
struct Element {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

Element to_element(const Block& block) {
  Element element;
  for (unsigned i = 0; i < 8; ++i) {
    element.first = element.first << 8 | block[i];
    element.second = element.second << 8 | block[8 + i];
  }
  return element;
}

/// NIST SP 800-38D, algorithm 1.
void ghash_multiply(Block& y, const Block& r) {
  const Element x = to_element(y);
  Element power = to_element(r);
  Element product;
  for (unsigned bit = 0; bit < 128; ++bit) {
    const std::uint64_t set = ((bit < 64 ? x.first >> (63 - bit) : x.second >> (127 - bit)) & 1U);
    product.first ^= power.first & (0 - set);
    product.second ^= power.second & (0 - set);
    const std::uint64_t carry = power.second & 1U;
    power.second = power.second >> 1 | power.first << 63;
    power.first = power.first >> 1 ^ (carry * 0xE100000000000000ULL);
  }
  for (unsigned i = 0; i < 8; ++i) {
    y[i] = static_cast<std::uint8_t>(product.first >> (56 - 8 * i));
    y[8 + i] = static_cast<std::uint8_t>(product.second >> (56 - 8 * i));
  }
}

void ghash_absorb(Block& y, const Block& r, const Bytes& message) {
  for (std::size_t i = 0; i < message.size(); i += 16) {
    for (std::size_t j = i; j < std::min(i + 16, message.size()); ++j) y[j - i] = byte(y[j - i] ^ message[j]);
    ghash_multiply(y, r);
  }
}

void add_scaled_row(Matrix& matrix, unsigned target, unsigned source, std::uint8_t factor) {
  for (unsigned c = 0; c < matrix.columns; ++c) {
    matrix.at(target, c) = byte(matrix.at(target, c) ^ multiply(factor, matrix.at(source, c)));
  }
}

void swap_rows(Matrix& matrix, unsigned a, unsigned b) {
  for (unsigned c = 0; c < matrix.columns; ++c) std::swap(matrix.at(a, c), matrix.at(b, c));
}

/// Gauss-Jordan over the first `pivot_columns` columns. Returns how many pivots there were.
unsigned eliminate(Matrix& matrix, unsigned pivot_columns) {
  unsigned row = 0;
  for (unsigned column = 0; column < pivot_columns && row < matrix.rows; ++column) {
    unsigned pivot = row;
    while (pivot < matrix.rows && matrix.at(pivot, column) == 0) ++pivot;
    if (pivot == matrix.rows) continue;
    swap_rows(matrix, row, pivot);
    const std::uint8_t scale = inverse(matrix.at(row, column));
    for (unsigned c = 0; c < matrix.columns; ++c) matrix.at(row, c) = multiply(scale, matrix.at(row, c));
    for (unsigned r = 0; r < matrix.rows; ++r) {
      if (r != row && matrix.at(r, column) != 0) add_scaled_row(matrix, r, row, matrix.at(r, column));
    }
    ++row;
  }
  return row;
}

}  // namespace

std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
  unsigned product = 0;
  unsigned power = a;
  for (unsigned bit = 0; bit < 8; ++bit) {
    product ^= power * ((unsigned{b} >> bit) & 1U);
    power = (power << 1) ^ ((power >> 7) * 0x11D);
  }
  return byte(product);
}

std::uint8_t inverse(std::uint8_t a) {
  std::uint8_t power = a;  // a^254: the group of non-zero elements has order 255
  std::uint8_t result = 1;
  for (unsigned exponent = 254; exponent != 0; exponent >>= 1) {
    if ((exponent & 1U) != 0) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

unsigned random_blocks(const CodeSpec& spec) {
  return spec.scheme == Scheme::rs ? 0 : spec.k - spec.data_blocks;
}

Matrix generator(const CodeSpec& spec) {
  switch (spec.scheme) {
    case Scheme::systematic:
      return systematic(spec);
    case Scheme::classic:
      return interpolated(spec, 1, Bytes{0});
    case Scheme::ramp: {
      Bytes data_points;
      for (unsigned l = 0; l < spec.data_blocks; ++l) data_points.push_back(byte(255 - l));
      return interpolated(spec, 0, data_points);
    }
    case Scheme::rs:
      return cauchy(spec);
  }
  std::abort();
}

unsigned rank(Matrix matrix) { return eliminate(matrix, matrix.columns); }

Matrix inverse(Matrix matrix) {
  const unsigned size = matrix.rows;
  Matrix wide(size, 2 * size);
  for (unsigned r = 0; r < size; ++r) {
    for (unsigned c = 0; c < size; ++c) wide.at(r, c) = matrix.at(r, c);
    wide.at(r, size + r) = 1;
  }
  if (matrix.columns != size || eliminate(wide, size) != size) {
    std::fprintf(stderr, "tests/support/reference.cpp: asked for the inverse of a singular matrix\n");
    std::abort();
  }
  for (unsigned r = 0; r < size; ++r) {
    for (unsigned c = 0; c < size; ++c) matrix.at(r, c) = wide.at(r, size + c);
  }
  return matrix;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows, b.columns);
  for (unsigned r = 0; r < a.rows; ++r) {
    for (unsigned i = 0; i < a.columns; ++i) {
      for (unsigned c = 0; c < b.columns; ++c) {
        result.at(r, c) = byte(result.at(r, c) ^ multiply(a.at(r, i), b.at(i, c)));
      }
    }
  }
  return result;
}

Matrix select_rows(const Matrix& matrix, const std::vector<unsigned>& rows) {
  Matrix result(static_cast<unsigned>(rows.size()), matrix.columns);
  for (unsigned r = 0; r < result.rows; ++r) {
    for (unsigned c = 0; c < matrix.columns; ++c) result.at(r, c) = matrix.at(rows[r], c);
  }
  return result;
}

// A coefficient's bit b adds x^b times the column.
std::vector<Bytes> combine(const Matrix& matrix, const std::vector<Bytes>& in) {
  const std::size_t length = in.at(0).size();
  std::vector<Words> sums(matrix.rows, Words((length + 7) / 8));
  for (unsigned c = 0; c < matrix.columns; ++c) {
    Words power = to_words(in[c]);
    for (unsigned bit = 0; bit < 8; ++bit) {
      for (unsigned r = 0; r < matrix.rows; ++r) {
        if (((unsigned{matrix.at(r, c)} >> bit) & 1U) == 0) continue;
        std::transform(sums[r].begin(), sums[r].end(), power.begin(), sums[r].begin(), std::bit_xor<>());
      }
      std::transform(power.begin(), power.end(), power.begin(), times_x);
    }
  }
  std::vector<Bytes> out(matrix.rows, Bytes(length));
  for (unsigned r = 0; r < matrix.rows; ++r) std::memcpy(out[r].data(), sums[r].data(), length);
  return out;
}

Bytes exclusive_or(const Bytes& a, const Bytes& b) {
  Bytes out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) out[i] = byte(unsigned{a[i]} ^ b.at(i));
  return out;
}

Block ghash(const Block& r, const Bytes& header, const Bytes& data) {
  Block y{};
  ghash_absorb(y, r, header);
  ghash_absorb(y, r, data);
  Bytes lengths(16);
  for (unsigned i = 0; i < 8; ++i) {
    lengths[i] = static_cast<std::uint8_t>((std::uint64_t{header.size()} * 8) >> (56 - 8 * i));
    lengths[8 + i] = static_cast<std::uint8_t>((std::uint64_t{data.size()} * 8) >> (56 - 8 * i));
  }
  ghash_absorb(y, r, lengths);
  return y;
}

}  // namespace reference
}  // namespace ssn::test
