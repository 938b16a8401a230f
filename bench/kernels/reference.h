// SPDX-License-Identifier: BSD-3-Clause
// What results must be, computed by definition, slowly, and with nothing from the libraries that are measured
// (AES blocks excepted, which come from OpenSSL's single-block mode).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ssn/kernels/code.h"

namespace ssn::bench {

std::uint8_t gf_multiply(std::uint8_t a, std::uint8_t b) noexcept;

/// Over GF(2^8), row-major.
struct Matrix {
  unsigned rows = 0;
  unsigned columns = 0;
  std::vector<std::uint8_t> entries;

  Matrix() = default;
  Matrix(unsigned row_count, unsigned column_count)
      : rows(row_count), columns(column_count), entries(std::size_t{row_count} * column_count) {}
  std::uint8_t& at(unsigned row, unsigned column) noexcept {
    return entries[std::size_t{row} * columns + column];
  }
  std::uint8_t at(unsigned row, unsigned column) const noexcept {
    return entries[std::size_t{row} * columns + column];
  }
};

/// Rows of `code` for shares 1..n: columns are the random blocks, then the data.
Matrix generator_of(const kernels::Code& code);
/// What textbooks do: share s is the polynomial at s; columns are the random blocks (its higher
/// coefficients), then the data (its lower ones).
Matrix textbook_generator(unsigned n, unsigned random_blocks, unsigned data_blocks);
/// out = sum of row[c] * columns[c].
void combine(const std::uint8_t* row, const std::vector<std::uint8_t*>& columns, std::size_t length,
             std::uint8_t* out);

/// Whether the ciphertext enters a tag as ciphertext (AES-GCM) or, with the header, as additional data
/// (GMAC).
enum class TagForm { gcm, gmac };

std::array<std::uint8_t, 16> tag(TagForm form, const std::uint8_t* hash_key, const std::uint8_t* mask,
                                 const std::uint8_t* header, std::size_t header_length,
                                 const std::uint8_t* data, std::size_t length);

/// One block of AES-256.
void aes_block(const std::uint8_t* key, const std::uint8_t* in, std::uint8_t* out);
/// AES-256 in counter mode, 128-bit big-endian counter from `counter` on; length is a multiple of 16.
std::vector<std::uint8_t> keystream(const std::uint8_t* key, std::uint64_t counter, std::size_t length);

}  // namespace ssn::bench
