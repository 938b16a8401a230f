// SPDX-License-Identifier: BSD-3-Clause
// MemorySanitizer of clang 19 does not know two intrinsics of the AVX-512 kernels and reports any undefined
// operand of theirs as if it were an address. Included before these kernels in the MemorySanitizer build,
// this replaces them by functions of the same value that it can follow undefined bits through.
#pragma once

#include <immintrin.h>
#include <sanitizer/msan_interface.h>

namespace ssn::test {

template <typename Vector>
struct Affine;
template <>
struct Affine<__m512i> {
  using Bytes = signed char __attribute__((vector_size(64)));
  static __m512i apply(__m512i x, __m512i matrix) { return _mm512_gf2p8affine_epi64_epi8(x, matrix, 0); }
};
template <>
struct Affine<__m128i> {
  using Bytes = signed char __attribute__((vector_size(16)));
  static __m128i apply(__m128i x, __m128i matrix) { return _mm_gf2p8affine_epi64_epi8(x, matrix, 0); }
};

/// A byte of the result is undefined where that byte of x has an undefined bit. The matrix must be public and
/// stays under the tool's check.
template <int constant, typename Vector>
__attribute__((always_inline)) inline Vector affine(Vector x, Vector matrix) {
  static_assert(constant == 0, "extend this header: the kernels add no constant so far");
  using Bytes = typename Affine<Vector>::Bytes;
  Vector defined = x;
  __msan_unpoison(&defined, sizeof defined);
  // All zero; but the answer of a comparison is undefined where a bit of what it compares is.
  const Bytes mark = reinterpret_cast<Bytes>(x) != reinterpret_cast<Bytes>(defined);
  return reinterpret_cast<Vector>(reinterpret_cast<Bytes>(Affine<Vector>::apply(defined, matrix)) ^ mark);
}

template <int function, typename Vector>
__attribute__((always_inline)) inline Vector ternary_logic(Vector a, Vector b, Vector c) {
  static_assert(function == 0x96, "extend this header: the kernels have only the sum of three so far");
  return a ^ b ^ c;
}

}  // namespace ssn::test

// Macros in clang's headers too.
#undef _mm512_gf2p8affine_epi64_epi8
#undef _mm_gf2p8affine_epi64_epi8
#undef _mm512_ternarylogic_epi64
#undef _mm_ternarylogic_epi64
#define _mm512_gf2p8affine_epi64_epi8(x, matrix, constant) ::ssn::test::affine<constant, __m512i>(x, matrix)
#define _mm_gf2p8affine_epi64_epi8(x, matrix, constant) ::ssn::test::affine<constant, __m128i>(x, matrix)
#define _mm512_ternarylogic_epi64(a, b, c, function) ::ssn::test::ternary_logic<function, __m512i>(a, b, c)
#define _mm_ternarylogic_epi64(a, b, c, function) ::ssn::test::ternary_logic<function, __m128i>(a, b, c)
