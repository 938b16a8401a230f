// SPDX-License-Identifier: BSD-3-Clause
// Secrets as undefined memory: valgrind's memcheck and clang's MemorySanitizer both follow undefined bits
// through every computation and report when a branch or an address depends on them. Idea: A. Langley,
// "ctgrind", 2010.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(SSN_CONSTANT_TIME_VALGRIND)
#include <valgrind/memcheck.h>
#elif defined(SSN_CONSTANT_TIME_MSAN)
#include <sanitizer/msan_interface.h>
#else
#error "compile with SSN_CONSTANT_TIME_VALGRIND or SSN_CONSTANT_TIME_MSAN: without either nothing is checked"
#endif

namespace ssn::test {

#if defined(SSN_CONSTANT_TIME_VALGRIND)

inline bool checking() { return RUNNING_ON_VALGRIND != 0; }
inline void mark_secret(void* bytes, std::size_t count) { VALGRIND_MAKE_MEM_UNDEFINED(bytes, count); }
inline void mark_public(void* bytes, std::size_t count) { VALGRIND_MAKE_MEM_DEFINED(bytes, count); }
inline bool is_secret(const std::uint8_t* byte) {
  std::uint8_t undefined_bits = 0;
  return VALGRIND_GET_VBITS(byte, &undefined_bits, 1) == 1 && undefined_bits != 0;
}

#else

inline bool checking() { return true; }
inline void mark_secret(void* bytes, std::size_t count) { __msan_poison(bytes, count); }
inline void mark_public(void* bytes, std::size_t count) { __msan_unpoison(bytes, count); }
inline bool is_secret(const std::uint8_t* byte) { return __msan_test_shadow(byte, 1) == 0; }

#endif

}  // namespace ssn::test
