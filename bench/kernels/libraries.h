// SPDX-License-Identifier: BSD-3-Clause
// ISA-L and OpenSSL as one would use them for speed: everything that can be set up once is.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "fixture.h"
#include "reference.h"

namespace ssn::bench {

/// All the instructions of this machine, or at most AVX2.
enum class Level { best, avx2 };

/// ec_encode_data with its tables.
class Encoder {
 public:
  explicit Encoder(const Matrix& matrix, Level level = Level::best);
  unsigned rows() const noexcept { return static_cast<unsigned>(rows_); }
  void encode(std::uint8_t* const* in, std::uint8_t* const* out, std::size_t length) const {
    // ISA-L's pointers are to unsigned char* that it does not write through for its inputs.
    encode_(static_cast<int>(length), columns_, rows_, tables_.data(), const_cast<std::uint8_t**>(in),
            const_cast<std::uint8_t**>(out));
  }

 private:
  int rows_;
  int columns_;
  // The signature in ISA-L's header: the tables are not const there, but are only read.
  void (*encode_)(int, int, int, unsigned char*, unsigned char**, unsigned char**);
  mutable std::vector<unsigned char> tables_;
};

/// ISA-L's inversion; throws std::runtime_error where there is no inverse.
Matrix inverse(const Matrix& square);
/// Systematic, with the parity rows of gf_gen_cauchy1_matrix.
Matrix cauchy_generator(unsigned k, unsigned n);
/// Rows of `matrix`, counted from 0.
Matrix rows_of(const Matrix& matrix, const std::vector<unsigned>& rows);
Matrix product(const Matrix& left, const Matrix& right);

/// out = a ^ b; `out` may be `a` or `b`.
using XorFunction = void (*)(std::uint8_t* out, const std::uint8_t* a, const std::uint8_t* b,
                             std::size_t length) noexcept;
XorFunction xor_function(Level level) noexcept;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

/// OpenSSL AES-256-CTR over zeros; one context for the whole stream.
class CtrStream {
 public:
  explicit CtrStream(const std::uint8_t* key);
  void restart(const std::uint8_t* key);
  bool fill(std::uint8_t* out, std::size_t length);

 private:
  CipherContext context_;
};

/// OpenSSL AES-256-GMAC over header and message; one context per key, with the key set once.
class Gmac {
 public:
  explicit Gmac(const std::uint8_t* key);
  bool tag(const Tagged& tagged, const std::uint8_t* message, std::size_t length, std::uint8_t* out);
  /// Whether `expected` is the tag; compares in constant time.
  bool check(const Tagged& tagged, const std::uint8_t* message, std::size_t length,
             const std::uint8_t* expected);

 private:
  CipherContext context_;
};

}  // namespace ssn::bench
