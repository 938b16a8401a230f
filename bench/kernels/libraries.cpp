// SPDX-License-Identifier: BSD-3-Clause
#include "libraries.h"

#include <isa-l.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
extern "C" void ec_encode_data_avx2(int length, int k, int rows, unsigned char* tables, unsigned char** data,
                                    unsigned char** coding);
#endif

namespace ssn::bench {
namespace {

using Vector16 __attribute__((vector_size(16), aligned(1), may_alias)) = std::uint64_t;
#if defined(__x86_64__)
using Vector32 __attribute__((vector_size(32), aligned(1), may_alias)) = std::uint64_t;
using Vector64 __attribute__((vector_size(64), aligned(1), may_alias)) = std::uint64_t;
#endif

[[noreturn]] void openssl_failed(const char* what) {
  throw std::runtime_error(std::string("OpenSSL cannot set up ") + what +
                           "; check its configuration and providers");
}

CipherContext make_cipher_context() {
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  if (context == nullptr) openssl_failed("a cipher context");
  return context;
}

}  // namespace

Encoder::Encoder(const Matrix& matrix, Level level)
    : rows_(static_cast<int>(matrix.rows)),
      columns_(static_cast<int>(matrix.columns)),
      encode_(ec_encode_data),
      tables_(std::size_t{32} * matrix.rows * matrix.columns) {
#if defined(__x86_64__)
  if (level == Level::avx2) encode_ = ec_encode_data_avx2;
#else
  if (level == Level::avx2) throw std::logic_error("AVX2 does not exist on this processor");
#endif
  std::vector<unsigned char> entries = matrix.entries;
  ec_init_tables(columns_, rows_, entries.data(), tables_.data());
}

Matrix inverse(const Matrix& square) {
  Matrix copy = square;  // gf_invert_matrix destroys its input
  Matrix result(square.rows, square.columns);
  if (gf_invert_matrix(copy.entries.data(), result.entries.data(), static_cast<int>(square.rows)) != 0) {
    throw std::runtime_error("a baseline's matrix has no inverse; its shares cannot recover the data");
  }
  return result;
}

Matrix cauchy_generator(unsigned k, unsigned n) {
  Matrix generator(n, k);
  gf_gen_cauchy1_matrix(generator.entries.data(), static_cast<int>(n), static_cast<int>(k));
  return generator;
}

Matrix rows_of(const Matrix& matrix, const std::vector<unsigned>& rows) {
  Matrix result(static_cast<unsigned>(rows.size()), matrix.columns);
  for (unsigned i = 0; i < result.rows; ++i) {
    for (unsigned column = 0; column < matrix.columns; ++column)
      result.at(i, column) = matrix.at(rows[i], column);
  }
  return result;
}

Matrix product(const Matrix& left, const Matrix& right) {
  Matrix result(left.rows, right.columns);
  for (unsigned i = 0; i < left.rows; ++i) {
    for (unsigned j = 0; j < right.columns; ++j) {
      for (unsigned m = 0; m < left.columns; ++m) {
        result.at(i, j) = static_cast<std::uint8_t>(result.at(i, j) ^ gf_mul(left.at(i, m), right.at(m, j)));
      }
    }
  }
  return result;
}

namespace {

// Unrolled by hand: the plain loop, which compilers turn into one vector per turn, is up to 40 % slower where
// the linker happens to place it badly. An out that is an operand is fine: all is loaded before it is stored.
#define SSN_BENCH_XOR(NAME, ATTRIBUTES, VECTOR)                                              \
  ATTRIBUTES void NAME(std::uint8_t* out, const std::uint8_t* a, const std::uint8_t* b,      \
                       std::size_t length) noexcept {                                        \
    std::size_t i = 0;                                                                       \
    for (; i + 4 * sizeof(VECTOR) <= length; i += 4 * sizeof(VECTOR)) {                      \
      const VECTOR* const left = reinterpret_cast<const VECTOR*>(a + i);                     \
      const VECTOR* const right = reinterpret_cast<const VECTOR*>(b + i);                    \
      VECTOR* const to = reinterpret_cast<VECTOR*>(out + i);                                 \
      const VECTOR first = left[0] ^ right[0];                                               \
      const VECTOR second = left[1] ^ right[1];                                              \
      const VECTOR third = left[2] ^ right[2];                                               \
      const VECTOR fourth = left[3] ^ right[3];                                              \
      to[0] = first;                                                                         \
      to[1] = second;                                                                        \
      to[2] = third;                                                                         \
      to[3] = fourth;                                                                        \
    }                                                                                        \
    for (; i + sizeof(VECTOR) <= length; i += sizeof(VECTOR)) {                              \
      *reinterpret_cast<VECTOR*>(out + i) =                                                  \
          *reinterpret_cast<const VECTOR*>(a + i) ^ *reinterpret_cast<const VECTOR*>(b + i); \
    }                                                                                        \
    for (; i < length; ++i) out[i] = static_cast<std::uint8_t>(a[i] ^ b[i]);                 \
  }

SSN_BENCH_XOR(xor_of_base, , Vector16)
#if defined(__x86_64__)
SSN_BENCH_XOR(xor_of_avx2, __attribute__((target("avx2"))), Vector32)
SSN_BENCH_XOR(xor_of_avx512, __attribute__((target("avx512f"))), Vector64)
#endif

}  // namespace

XorFunction xor_function(Level level) noexcept {
#if defined(__x86_64__)
  if (level == Level::best && __builtin_cpu_supports("avx512f") > 0) return xor_of_avx512;
  if (__builtin_cpu_supports("avx2") > 0) return xor_of_avx2;
#endif
  return xor_of_base;
}

CtrStream::CtrStream(const std::uint8_t* key) : context_(make_cipher_context()) { restart(key); }

void CtrStream::restart(const std::uint8_t* key) {
  constexpr std::array<std::uint8_t, 16> zero_iv{};
  if (EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ctr(), nullptr, key, zero_iv.data()) != 1) {
    openssl_failed("AES-256-CTR");
  }
}

bool CtrStream::fill(std::uint8_t* out, std::size_t length) {
  static constexpr std::size_t piece = 8192;  // stays in the first-level cache
  alignas(64) static constexpr std::array<std::uint8_t, piece> zeros{};
  bool good = true;
  while (length > 0) {
    const std::size_t now = std::min(length, piece);
    int written = 0;
    good &= EVP_EncryptUpdate(context_.get(), out, &written, zeros.data(), static_cast<int>(now)) == 1;
    out += now;
    length -= now;
  }
  return good;
}

Gmac::Gmac(const std::uint8_t* key) : context_(make_cipher_context()) {
  if (EVP_EncryptInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, key, nullptr) != 1) {
    openssl_failed("AES-256-GCM");
  }
}

bool Gmac::tag(const Tagged& tagged, const std::uint8_t* message, std::size_t length, std::uint8_t* out) {
  int written = 0;
  EVP_CIPHER_CTX* const context = context_.get();
  bool good = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, tagged.iv.data()) == 1;
  good &= EVP_EncryptUpdate(context, nullptr, &written, tagged.header.data(), header_bytes) == 1;
  good &= EVP_EncryptUpdate(context, nullptr, &written, message, static_cast<int>(length)) == 1;
  good &= EVP_EncryptFinal_ex(context, nullptr, &written) == 1;
  good &= EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, tag_bytes, out) == 1;
  return good;
}

bool Gmac::check(const Tagged& tagged, const std::uint8_t* message, std::size_t length,
                 const std::uint8_t* expected) {
  alignas(16) std::array<std::uint8_t, tag_bytes> computed;
  return tag(tagged, message, length, computed.data()) &&
         CRYPTO_memcmp(computed.data(), expected, tag_bytes) == 0;
}

}  // namespace ssn::bench
