// SPDX-License-Identifier: BSD-3-Clause
// AVX-512 with GFNI, VAES and VPCLMULQDQ: 64 bytes at a time. A coefficient is one affine map (port 0 on
// Intel), AES rounds run four blocks at once, tags multiply four blocks at once without carries (port 5).
// Tails use masks.
#include <immintrin.h>

#include "cpu.h"
#include "vector/isa.h"

namespace ssn::kernels {
namespace {

struct Vector {
  using Register = __m512i;
  static constexpr std::size_t width = 64;
  static constexpr unsigned full_steps = 4;
  static constexpr unsigned random_steps = 4;
  static constexpr unsigned rows_with_full_steps = 4;
  static constexpr unsigned steps_generated(unsigned columns) { return columns <= 2 ? 4 : 2; }

  SSN_INLINE static __mmask64 mask(std::size_t bytes) { return ~__mmask64{0} >> (64 - bytes); }
  SSN_INLINE static Register load(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
  SSN_INLINE static Register load_part(const std::uint8_t* from, std::size_t bytes) {
    return _mm512_maskz_loadu_epi8(mask(bytes), from);
  }
  SSN_INLINE static void store(std::uint8_t* to, Register value) { _mm512_storeu_si512(to, value); }
  SSN_INLINE static void store_part(std::uint8_t* to, Register value, std::size_t bytes) {
    _mm512_mask_storeu_epi8(to, mask(bytes), value);
  }
  SSN_INLINE static Register first_bytes(Register x, std::size_t bytes) {
    return _mm512_maskz_mov_epi8(mask(bytes), x);
  }
  SSN_INLINE static Register zero() { return _mm512_setzero_si512(); }
  SSN_INLINE static Register add(Register a, Register b) { return _mm512_xor_si512(a, b); }
  SSN_INLINE static Register add(Register a, Register b, Register c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
  }
  using Prepared = Register;
  using Factor = Register;
  SSN_INLINE static Prepared prepare(Register x) { return x; }
  SSN_INLINE static Factor factor(std::uint8_t coefficient) {
    return _mm512_set1_epi64(static_cast<long long>(gf_affine_matrices[coefficient]));
  }
  SSN_INLINE static Register multiply(Prepared x, Factor factor) {
    return _mm512_gf2p8affine_epi64_epi8(x, factor, 0);
  }

  // FIPS 197 and NIST SP 800-38A, 6.5. Blocks are numbered by 64 bits, big-endian in the last eight bytes.
  // Register i begins with block counters[i].
  template <unsigned Count>
  SSN_INLINE static void keystream(const std::uint8_t* round_keys, const std::uint64_t (&counters)[Count],
                                   Register (&out)[Count]) {
    const Register lanes = _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0);
    const Register big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1));
    SSN_UNROLL
    for (unsigned i = 0; i < Count; ++i) {
      const Register numbers =
          _mm512_add_epi64(lanes, _mm512_set1_epi64(static_cast<long long>(counters[i])));
      out[i] = _mm512_shuffle_epi8(numbers, big_endian);
    }
    encrypt<Count>(round_keys, out);
  }

  // NIST SP 800-38D, 6.5: the nonce, and blocks numbered by 32 bits, big-endian, behind it.
  using Nonce = Register;
  SSN_INLINE static Nonce load_nonce(const std::uint8_t* nonce) {
    return _mm512_broadcast_i32x4(_mm_maskz_loadu_epi8(0x0FFF, nonce));
  }
  template <unsigned Count>
  SSN_INLINE static void keystream(const std::uint8_t* round_keys, Nonce nonce, std::uint32_t counter,
                                   Register (&out)[Count]) {
    const Register lanes = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    const Register big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    SSN_UNROLL
    for (unsigned i = 0; i < Count; ++i) {
      const Register numbers = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(counter + 4 * i)));
      out[i] = _mm512_or_si512(_mm512_shuffle_epi8(numbers, big_endian), nonce);
    }
    encrypt<Count>(round_keys, out);
  }

  template <unsigned Count>
  SSN_INLINE static void encrypt(const std::uint8_t* round_keys, Register (&blocks)[Count]) {
    const auto key = [round_keys](unsigned round) {
      return _mm512_broadcast_i32x4(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(round_keys + 16 * round)));
    };
    const Register first_key = key(0);
    SSN_UNROLL
    for (unsigned i = 0; i < Count; ++i) {
      blocks[i] = _mm512_xor_si512(blocks[i], first_key);
    }
    SSN_UNROLL
    for (unsigned round = 1; round < 14; ++round) {
      const Register round_key = key(round);
      SSN_UNROLL
      for (unsigned i = 0; i < Count; ++i) {
        blocks[i] = _mm512_aesenc_epi128(blocks[i], round_key);
      }
    }
    const Register last_key = key(14);
    SSN_UNROLL
    for (unsigned i = 0; i < Count; ++i) {
      blocks[i] = _mm512_aesenclast_epi128(blocks[i], last_key);
    }
  }

  // ---- Hash --------------------------------------------------------------------------------------------
  // GCM numbers bits from the top of the first byte. Reversing the bits of every byte turns a block into a
  // little-endian polynomial, with x^i at bit i. The table has the powers r^N .. r^1 in that form, 16 bytes
  // each, then for each power the sum of its halves in the low eight of 16 bytes (Karatsuba's middle factor).
  using Hash = __m128i;
  static constexpr unsigned tags_in_registers = 5;
  static constexpr std::size_t group_bytes = 24 * width;  // a packet of 1500 bytes is one group
  static constexpr std::size_t header_blocks = 4;
  static constexpr std::size_t short_header = 48;
  static constexpr std::size_t powers = group_bytes / 16 + header_blocks + 1;
  static constexpr std::size_t middle_table =
      (powers + 3) / 4 * 64;  // where the second half of the table begins
  static_assert(middle_table + powers * 16 <= TagKey::table_bytes);

  SSN_INLINE static Hash hash_zero() { return _mm_setzero_si128(); }

  SSN_INLINE static Register reverse_bits(Register x) {
    return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(static_cast<long long>(0x8040201008040201ULL)),
                                         0);
  }
  SSN_INLINE static __m128i reverse_bits(__m128i x) {
    return _mm_gf2p8affine_epi64_epi8(x, _mm_set1_epi64x(static_cast<long long>(0x8040201008040201ULL)), 0);
  }
  SSN_INLINE static __m128i fold(Register x) {
    const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }

  // Sums of products of blocks and powers, not yet reduced: the low, middle and high part by Karatsuba's
  // method.
  struct Product {
    Register low = zero();
    Register middle = zero();
    Register high = zero();

    template <unsigned Steps>
    SSN_INLINE void add_products(const Register (&blocks)[Steps], const std::uint8_t* power) {
      SSN_UNROLL
      for (unsigned s = 0; s + 1 < Steps; s += 2) {
        const Parts a = multiply(blocks[s], power + s * width);
        const Parts b = multiply(blocks[s + 1], power + (s + 1) * width);
        low = Vector::add(low, a.low, b.low);
        middle = Vector::add(middle, a.middle, b.middle);
        high = Vector::add(high, a.high, b.high);
      }
      if constexpr (Steps % 2 == 1) {
        const Parts a = multiply(blocks[Steps - 1], power + (Steps - 1) * width);
        low = Vector::add(low, a.low);
        middle = Vector::add(middle, a.middle);
        high = Vector::add(high, a.high);
      }
    }

    // A block that is in the hash's form already.
    SSN_INLINE void add_block(__m128i x, const std::uint8_t* power) {
      const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power));
      const __m128i h_middle = _mm_loadu_si128(reinterpret_cast<const __m128i*>(power + middle_table));
      const __m128i x_middle = _mm_xor_si128(x, _mm_srli_si128(x, 8));
      low = Vector::add(low, _mm512_zextsi128_si512(_mm_clmulepi64_si128(x, h, 0x00)));
      middle = Vector::add(middle, _mm512_zextsi128_si512(_mm_clmulepi64_si128(x_middle, h_middle, 0x00)));
      high = Vector::add(high, _mm512_zextsi128_si512(_mm_clmulepi64_si128(x, h, 0x11)));
    }

    // Three lanes of header and one of lengths.
    SSN_INLINE void add_header_and_lengths(const TagTask& task, std::size_t first_power, std::size_t length) {
      const std::uint64_t header_bits = __builtin_bswap64(std::uint64_t{task.header_length} * 8);
      const std::uint64_t data_bits = __builtin_bswap64(std::uint64_t{length} * 8);
      const __m128i lengths =
          _mm_set_epi64x(static_cast<long long>(data_bits), static_cast<long long>(header_bits));
      const Register header = _mm512_maskz_loadu_epi8((__mmask64{1} << task.header_length) - 1, task.header);
      const std::uint8_t* power = task.table + first_power - (task.header_length + 15) / 16 * 16;
      const std::uint8_t* last_power = task.table + (powers - 1) * 16;
      const Parts parts = multiply(_mm512_inserti64x2(header, lengths, 3), with_last(power, last_power),
                                   with_last(power + middle_table, last_power + middle_table));
      low = Vector::add(low, parts.low);
      middle = Vector::add(middle, parts.middle);
      high = Vector::add(high, parts.high);
    }

    SSN_INLINE Hash reduce() const { return Vector::reduce(fold(low), fold(middle), fold(high)); }

   private:
    struct Parts {
      Register low;
      Register middle;
      Register high;
    };

    SSN_INLINE static Register with_last(const std::uint8_t* four, const std::uint8_t* last) {
      return _mm512_inserti64x2(load(four), _mm_loadu_si128(reinterpret_cast<const __m128i*>(last)), 3);
    }
    SSN_INLINE static Parts multiply(Register block, const std::uint8_t* power) {
      return multiply(block, load(power), load(power + middle_table));
    }
    SSN_INLINE static Parts multiply(Register block, Register h, Register h_middle) {
      const Register x = reverse_bits(block);
      const Register x_middle = _mm512_xor_si512(x, _mm512_shuffle_epi32(x, _MM_PERM_BADC));
      return {_mm512_clmulepi64_epi128(x, h, 0x00), _mm512_clmulepi64_epi128(x_middle, h_middle, 0x00),
              _mm512_clmulepi64_epi128(x, h, 0x11)};
    }
  };

  // Modulo x^128 + x^7 + x^2 + x + 1, top 64 bits first.
  SSN_INLINE static Hash reduce(__m128i low, __m128i middle, __m128i high) {
    const __m128i polynomial = _mm_set_epi64x(0, 0x87);
    middle = _mm_ternarylogic_epi64(middle, low, high, 0x96);
    low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
    const __m128i top = _mm_clmulepi64_si128(high, polynomial, 0x01);
    high = _mm_xor_si128(high, _mm_srli_si128(top, 8));
    const __m128i rest = _mm_clmulepi64_si128(high, polynomial, 0x00);
    return _mm_ternarylogic_epi64(low, _mm_slli_si128(top, 8), rest, 0x96);
  }

  SSN_INLINE static __m128i lengths_block(std::size_t header_length, std::size_t length) {
    const std::uint64_t header_bits = __builtin_bswap64(std::uint64_t{header_length} * 8);
    const std::uint64_t data_bits = __builtin_bswap64(std::uint64_t{length} * 8);
    return reverse_bits(
        _mm_set_epi64x(static_cast<long long>(data_bits), static_cast<long long>(header_bits)));
  }

  SSN_INLINE static void store_tag(Hash hash, const std::uint8_t* mask, std::uint8_t* tag) {
    const __m128i mask_bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(tag), _mm_xor_si128(reverse_bits(hash), mask_bytes));
  }

  static void expand_tag_key(const std::uint8_t* r_bytes, std::uint8_t* table) noexcept {
    const __m128i r = reverse_bits(_mm_loadu_si128(reinterpret_cast<const __m128i*>(r_bytes)));
    __m128i power = r;
    std::memset(table, 0, TagKey::table_bytes);
    for (std::size_t i = powers; i-- > 0;) {
      const __m128i halves = _mm_xor_si128(power, _mm_srli_si128(power, 8));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(table + i * 16), power);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(table + middle_table + i * 16), halves);
      Product next;
      next.add_block(r, table + i * 16);
      power = next.reduce();
    }
  }
};

#include "vector/combine.h"

bool supported() noexcept { return cpu_features().avx512_gfni; }

}  // namespace

constinit const Implementation avx512_gfni{
    .name = "avx512_gfni",
    .description = "AVX-512 with GFNI, VAES and VPCLMULQDQ, 64 bytes at a time",
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
