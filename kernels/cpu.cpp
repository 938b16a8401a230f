// SPDX-License-Identifier: BSD-3-Clause
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ssn::kernels {
namespace {

#if defined(__x86_64__)
constexpr unsigned xcr0_avx = 0x06;     // SSE and AVX state
constexpr unsigned xcr0_avx512 = 0xE6;  // these, opmask and both parts of ZMM state

unsigned read_xcr0() noexcept {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr bool has_all(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

// gcc's cpuid.h and clang's name the bits of leaf 7 differently: VAES is 9 and VPCLMULQDQ 10 of ECX.
constexpr unsigned leaf7_ecx_gfni_vaes_vpclmulqdq = (1U << 8) | (1U << 9) | (1U << 10);

CpuFeatures detect() noexcept {
  CpuFeatures features;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) {
    return features;
  }
  features.sse4_1 = has_all(c, bit_SSSE3 | bit_SSE4_1);
  if (!has_all(c, bit_OSXSAVE | bit_AVX | bit_PCLMUL | bit_AES) || !has_all(read_xcr0(), xcr0_avx)) {
    return features;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) {
    return features;
  }
  features.avx2 = has_all(b, bit_AVX2);
  features.avx512_gfni = features.avx2 && has_all(read_xcr0(), xcr0_avx512) &&
                         has_all(b, bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ) &&
                         has_all(c, leaf7_ecx_gfni_vaes_vpclmulqdq);
  return features;
}
#else
CpuFeatures detect() noexcept { return {}; }
#endif

}  // namespace

const CpuFeatures& cpu_features() noexcept {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace ssn::kernels
