// SPDX-License-Identifier: BSD-3-Clause
// AVX2 with PCLMULQDQ and AES: 32 bytes at a time. A coefficient is two 16-entry tables, looked up by byte
// shuffles (no memory index depends on data).
#include <immintrin.h>

#include "cpu.h"
#include "vector/isa.h"

namespace ssn::kernels {
namespace {

struct Vector {
  using Register = __m256i;
  static constexpr std::size_t width = 32;
  static constexpr unsigned full_steps = 2;
  static constexpr unsigned random_steps = 4;
  static constexpr unsigned rows_with_full_steps = 6;
  static constexpr unsigned steps_generated(unsigned columns) {
    return columns <= 2 ? 4 : columns <= 3 ? 2 : 1;
  }

  SSN_INLINE static Register load(const std::uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  SSN_INLINE static Register load_part(const std::uint8_t* from, std::size_t bytes) {
    alignas(32) std::uint8_t whole[width] = {};
    std::memcpy(whole, from, bytes);
    return load(whole);
  }
  SSN_INLINE static void store(std::uint8_t* to, Register value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
  SSN_INLINE static void store_part(std::uint8_t* to, Register value, std::size_t bytes) {
    alignas(32) std::uint8_t whole[width];
    store(whole, value);
    std::memcpy(to, whole, bytes);
  }
  SSN_INLINE static Register first_bytes(Register x, std::size_t bytes) {
    alignas(32) std::uint8_t whole[width];
    store(whole, x);
    return load_part(whole, bytes);
  }
  SSN_INLINE static Register zero() { return _mm256_setzero_si256(); }
  SSN_INLINE static Register add(Register a, Register b) { return _mm256_xor_si256(a, b); }

  SSN_INLINE static Register add(Register a, Register b, Register c) { return add(add(a, b), c); }

  struct Prepared {
    Register low;
    Register high;
  };
  using Factor = const std::uint8_t*;
  SSN_INLINE static Prepared prepare(Register x) {
    const Register nibble = _mm256_set1_epi8(0x0F);
    return {_mm256_and_si256(x, nibble), _mm256_and_si256(_mm256_srli_epi64(x, 4), nibble)};
  }
  SSN_INLINE static Factor factor(std::uint8_t coefficient) {
    return gf_nibble_products[coefficient].products;
  }
  SSN_INLINE static Register multiply(const Prepared& x, Factor factor) {
    const auto* products = reinterpret_cast<const __m128i*>(factor);
    const Register of_low = _mm256_broadcastsi128_si256(_mm_load_si128(products));
    const Register of_high = _mm256_broadcastsi128_si256(_mm_load_si128(products + 1));
    return add(_mm256_shuffle_epi8(of_low, x.low), _mm256_shuffle_epi8(of_high, x.high));
  }

  SSN_INLINE static __m128i counter_block(std::uint64_t number) {
    return _mm_set_epi64x(static_cast<long long>(__builtin_bswap64(number)), 0);
  }

  // FIPS 197 and NIST SP 800-38A, 6.5, with the block number big-endian in the last eight bytes.
  // Register i begins with block counters[i].
  template <unsigned Count>
  SSN_INLINE static void keystream(const std::uint8_t* round_keys, const std::uint64_t (&counters)[Count],
                                   Register (&out)[Count]) {
    __m128i blocks[2 * Count];
    SSN_UNROLL
    for (unsigned b = 0; b < 2 * Count; ++b) {
      blocks[b] = counter_block(counters[b / 2] + b % 2);
    }
    encrypt<Count>(round_keys, blocks, out);
  }

  // NIST SP 800-38D, 6.5: the nonce, and blocks numbered by 32 bits, big-endian, behind it.
  using Nonce = __m128i;
  SSN_INLINE static Nonce load_nonce(const std::uint8_t* nonce) {
    std::uint64_t first;
    std::uint32_t last;
    std::memcpy(&first, nonce, 8);
    std::memcpy(&last, nonce + 8, 4);
    return _mm_set_epi64x(static_cast<long long>(last), static_cast<long long>(first));
  }
  template <unsigned Count>
  SSN_INLINE static void keystream(const std::uint8_t* round_keys, Nonce nonce, std::uint32_t counter,
                                   Register (&out)[Count]) {
    __m128i blocks[2 * Count];
    SSN_UNROLL
    for (unsigned b = 0; b < 2 * Count; ++b) {
      blocks[b] = _mm_insert_epi32(nonce, static_cast<int>(__builtin_bswap32(counter + b)), 3);
    }
    encrypt<Count>(round_keys, blocks, out);
  }

  template <unsigned Count>
  SSN_INLINE static void encrypt(const std::uint8_t* round_keys, __m128i (&blocks)[2 * Count],
                                 Register (&out)[Count]) {
    const auto* keys = reinterpret_cast<const __m128i*>(round_keys);
    const __m128i first = _mm_loadu_si128(keys);
    SSN_UNROLL
    for (unsigned b = 0; b < 2 * Count; ++b) {
      blocks[b] = _mm_xor_si128(blocks[b], first);
    }
    SSN_UNROLL
    for (unsigned round = 1; round < 14; ++round) {
      const __m128i key = _mm_loadu_si128(keys + round);
      SSN_UNROLL
      for (unsigned b = 0; b < 2 * Count; ++b) {
        blocks[b] = _mm_aesenc_si128(blocks[b], key);
      }
    }
    const __m128i last = _mm_loadu_si128(keys + 14);
    SSN_UNROLL
    for (unsigned i = 0; i < Count; ++i) {
      out[i] = _mm256_set_m128i(_mm_aesenclast_si128(blocks[2 * i + 1], last),
                                _mm_aesenclast_si128(blocks[2 * i], last));
    }
  }

  // ---- Hash --------------------------------------------------------------------------------------------
  // A block with its bytes reversed is a polynomial with x^i at bit 127 - i. A carry-less product of two such
  // words has x^i at bit 254 - i; with one factor divided by x beforehand it has x^i at bit 255 - i, as
  // needed. The table has r^N / x .. r^1 / x, 16 bytes each, then for each the sum of its halves in the low
  // eight of 16 bytes.
  using Hash = __m128i;
  static constexpr unsigned tags_in_registers = 0;
  static constexpr std::size_t group_bytes = 1536;
  static constexpr std::size_t header_blocks = 4;
  static constexpr std::size_t short_header = 48;
  static constexpr std::size_t powers = group_bytes / 16 + header_blocks + 1;
  static constexpr std::size_t middle_table =
      (powers + 3) / 4 * 64;  // where the second half of the table begins
  static_assert(middle_table + powers * 16 <= TagKey::table_bytes);

  SSN_INLINE static Hash hash_zero() { return _mm_setzero_si128(); }

  SSN_INLINE static __m128i reverse_bytes(__m128i x) {
    return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  SSN_INLINE static __m128i swap_halves(__m128i x) { return _mm_shuffle_epi32(x, _MM_SHUFFLE(1, 0, 3, 2)); }

  // Sums of products of blocks and powers, not yet reduced: the low, middle and high part by Karatsuba's
  // method.
  struct Product {
    __m128i low = _mm_setzero_si128();
    __m128i middle = _mm_setzero_si128();
    __m128i high = _mm_setzero_si128();

    template <unsigned Steps>
    SSN_INLINE void add_products(const Register (&blocks)[Steps], const std::uint8_t* power) {
      SSN_UNROLL
      for (unsigned s = 0; s < Steps; ++s) {
        add_block(reverse_bytes(_mm256_castsi256_si128(blocks[s])), power + s * width);
        add_block(reverse_bytes(_mm256_extracti128_si256(blocks[s], 1)), power + s * width + 16);
      }
    }

    // A block that is in the hash's form already.
    SSN_INLINE void add_block(__m128i x, const std::uint8_t* power) {
      const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power));
      const __m128i h_middle = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power + middle_table));
      const __m128i x_middle = _mm_xor_si128(x, swap_halves(x));
      low = _mm_xor_si128(low, _mm_clmulepi64_si128(x, h, 0x00));
      high = _mm_xor_si128(high, _mm_clmulepi64_si128(x, h, 0x11));
      middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(x_middle, h_middle, 0x00));
    }

    SSN_INLINE void add_header_and_lengths(const TagTask& task, std::size_t first_power, std::size_t length) {
      const std::uint8_t* power = task.table + first_power - (task.header_length + 15) / 16 * 16;
      for (std::size_t offset = 0; offset < task.header_length; offset += width) {
        const std::size_t left = task.header_length - offset;
        const Register blocks[1] = {load_part(task.header + offset, left < width ? left : width)};
        add_products<1>(blocks, power + offset);
      }
      add_block(lengths_block(task.header_length, length), task.table + (powers - 1) * 16);
    }

    // The low 128 bits are x^255 .. x^128: each half is made zero by adding a multiple of the polynomial.
    SSN_INLINE Hash reduce() const {
      const __m128i polynomial = _mm_set_epi64x(0, static_cast<long long>(0xC200000000000000ULL));
      const __m128i cross = _mm_xor_si128(middle, _mm_xor_si128(low, high));
      __m128i excess = _mm_xor_si128(low, _mm_slli_si128(cross, 8));
      const __m128i rest = _mm_xor_si128(high, _mm_srli_si128(cross, 8));
      excess = _mm_xor_si128(swap_halves(excess), _mm_clmulepi64_si128(excess, polynomial, 0x00));
      excess = _mm_xor_si128(swap_halves(excess), _mm_clmulepi64_si128(excess, polynomial, 0x00));
      return _mm_xor_si128(excess, rest);
    }
  };

  SSN_INLINE static __m128i lengths_block(std::size_t header_length, std::size_t length) {
    return _mm_set_epi64x(static_cast<long long>(std::uint64_t{header_length} * 8),
                          static_cast<long long>(std::uint64_t{length} * 8));
  }

  SSN_INLINE static void store_tag(Hash hash, const std::uint8_t* mask, std::uint8_t* tag) {
    const __m128i mask_bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(tag), _mm_xor_si128(reverse_bytes(hash), mask_bytes));
  }

  // One bit up is one power of x down; x^-1 = x^127 + x^6 + x + 1.
  SSN_INLINE static __m128i divide_by_x(__m128i a) {
    const __m128i carries = _mm_srli_epi64(a, 63);
    const __m128i doubled = _mm_or_si128(_mm_slli_epi64(a, 1), _mm_slli_si128(carries, 8));
    const __m128i dropped = _mm_sub_epi64(_mm_setzero_si128(), _mm_unpackhi_epi64(carries, carries));
    const __m128i inverse_of_x = _mm_set_epi64x(static_cast<long long>(0xC200000000000000ULL), 1);
    return _mm_xor_si128(doubled, _mm_and_si128(dropped, inverse_of_x));
  }

  static void expand_tag_key(const std::uint8_t* r_bytes, std::uint8_t* table) noexcept {
    const __m128i r = reverse_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(r_bytes)));
    std::memset(table, 0, TagKey::table_bytes);
    __m128i power = r;
    for (std::size_t i = powers; i-- > 0;) {
      const __m128i divided = divide_by_x(power);
      const __m128i halves = _mm_xor_si128(divided, _mm_srli_si128(divided, 8));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(table + i * 16), divided);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(table + middle_table + i * 16), halves);
      Product next;
      next.add_block(r, table + i * 16);
      power = next.reduce();
    }
  }
};

#include "vector/combine.h"

bool supported() noexcept { return cpu_features().avx2; }

}  // namespace

constinit const Implementation avx2{
    .name = "avx2",
    .description = "AVX2 with PCLMULQDQ and AES, 32 bytes at a time",
    .supported = supported,
    .combine = combine,
    .pad = pad,
    .random = random,
    .expand_tag_key = Vector::expand_tag_key,
    .tag = tag,
    .seal = seal,
    .open = open,
    .open_in_place = open_in_place,
    .cipher = cipher,
    .gcm_seal = gcm_seal,
    .gcm_open = gcm_open,
};

}  // namespace ssn::kernels
