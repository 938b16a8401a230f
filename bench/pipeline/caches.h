// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ssn::bench {

#if defined(__x86_64__)

/// Out of all caches, once fence() returned.
inline void flush(const std::uint8_t* data, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += 64) {
    _mm_clflush(data + at);
  }
}
inline void fence() noexcept { _mm_mfence(); }

#else

inline void flush(const std::uint8_t* data, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += 64) {
    __asm__ volatile("dc civac, %0" ::"r"(data + at) : "memory");
  }
}
inline void fence() noexcept { __asm__ volatile("dsb ish" ::: "memory"); }

#endif

}  // namespace ssn::bench
