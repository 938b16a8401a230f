// SPDX-License-Identifier: BSD-3-Clause
#include "throughput_x86.h"

namespace ssn::bench {
namespace {

bool has_avx512() noexcept {
  return __builtin_cpu_supports("avx512f") > 0 && __builtin_cpu_supports("avx512bw") > 0 &&
         __builtin_cpu_supports("gfni") > 0 && __builtin_cpu_supports("vpclmulqdq") > 0;
}
// g++ 12 does not know the name "vaes"; every processor with the two above and AVX-512 has it.
bool has_avx2() noexcept {
  return __builtin_cpu_supports("avx2") > 0 && __builtin_cpu_supports("aes") > 0 &&
         __builtin_cpu_supports("pclmul") > 0;
}

// Twelve independent chains: enough for a latency of six cycles at two per cycle.
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define SIX_PAIRS(X) X(0, 1) X(2, 3) X(4, 5) X(6, 7) X(8, 9) X(10, 11)

#define CLOBBERED                                                                                    \
  "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define LOOP(NAME, BODY)                                                         \
  void NAME(std::size_t turns, std::uint8_t* buffer) noexcept {                  \
    asm volatile(".p2align 6\n1:\n\t" BODY BODY "dec %0\n\tjnz 1b\n\tvzeroupper" \
                 : "+r"(turns)                                                   \
                 : "r"(buffer)                                                   \
                 : CLOBBERED, "cc");                                             \
  }

#define AFFINE(I) "vgf2p8affineqb $0, %%zmm15, %%zmm" #I ", %%zmm" #I "\n\t"
#define AES(I) "vaesenc %%zmm15, %%zmm" #I ", %%zmm" #I "\n\t"
#define CLMUL(I) "vpclmulqdq $0x10, %%zmm15, %%zmm" #I ", %%zmm" #I "\n\t"
#define SHUFFLE(I) "vpshufb %%zmm15, %%zmm" #I ", %%zmm" #I "\n\t"
#define XOR(I) "vpxorq %%zmm15, %%zmm" #I ", %%zmm" #I "\n\t"
#define XOR3(I) "vpternlogq $0x96, %%zmm14, %%zmm15, %%zmm" #I "\n\t"
#define LOAD(I) "vmovdqu64 64*" #I "(%1), %%zmm" #I "\n\t"
#define STORE(I) "vmovdqu64 %%zmm" #I ", 2048+64*" #I "(%1)\n\t"
LOOP(affine, TWELVE(AFFINE))
LOOP(aes, TWELVE(AES))
LOOP(clmul, TWELVE(CLMUL))
LOOP(shuffle, TWELVE(SHUFFLE))
LOOP(xor2, TWELVE(XOR))
LOOP(xor3, TWELVE(XOR3))
LOOP(load, TWELVE(LOAD))
LOOP(store, TWELVE(STORE))
#define PAIR_AFFINE_AES(I, J) AFFINE(I) AES(J)
#define PAIR_AFFINE_CLMUL(I, J) AFFINE(I) CLMUL(J)
#define PAIR_AES_CLMUL(I, J) AES(I) CLMUL(J)
#define PAIR_AFFINE_XOR3(I, J) AFFINE(I) XOR3(J)
#define PAIR_LOAD_STORE(I, J) LOAD(I) STORE(J)
LOOP(affine_aes, SIX_PAIRS(PAIR_AFFINE_AES))
LOOP(affine_clmul, SIX_PAIRS(PAIR_AFFINE_CLMUL))
LOOP(aes_clmul, SIX_PAIRS(PAIR_AES_CLMUL))
LOOP(affine_xor3, SIX_PAIRS(PAIR_AFFINE_XOR3))
LOOP(load_store, SIX_PAIRS(PAIR_LOAD_STORE))

#define SHUFFLE_Y(I) "vpshufb %%ymm15, %%ymm" #I ", %%ymm" #I "\n\t"
#define XOR_Y(I) "vpxor %%ymm15, %%ymm" #I ", %%ymm" #I "\n\t"
#define LOAD_Y(I) "vmovdqu 32*" #I "(%1), %%ymm" #I "\n\t"
#define STORE_Y(I) "vmovdqu %%ymm" #I ", 2048+32*" #I "(%1)\n\t"
#define AES_X(I) "vaesenc %%xmm15, %%xmm" #I ", %%xmm" #I "\n\t"
#define CLMUL_X(I) "vpclmulqdq $0x10, %%xmm15, %%xmm" #I ", %%xmm" #I "\n\t"
LOOP(shuffle_y, TWELVE(SHUFFLE_Y))
LOOP(xor_y, TWELVE(XOR_Y))
LOOP(load_y, TWELVE(LOAD_Y))
LOOP(store_y, TWELVE(STORE_Y))
LOOP(aes_x, TWELVE(AES_X))
LOOP(clmul_x, TWELVE(CLMUL_X))

#define REGION_LOOP(NAME, BODY)                                                                   \
  void NAME(std::uint8_t* region, std::size_t bytes) noexcept {                                   \
    asm volatile(".p2align 6\n1:\n\t" BODY "add $512, %0\n\tsub $512, %1\n\tjnz 1b\n\tvzeroupper" \
                 : "+r"(region), "+r"(bytes)                                                      \
                 :                                                                                \
                 : CLOBBERED, "cc");                                                              \
  }
#define EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define READ(I) "vmovdqu64 64*" #I "(%0), %%zmm" #I "\n\t"
#define UPDATE(I) "vpxorq 64*" #I "(%0), %%zmm15, %%zmm" #I "\n\tvmovdqu64 %%zmm" #I ", 64*" #I "(%0)\n\t"
#define READ_Y(I) "vmovdqu 64*" #I "(%0), %%ymm" #I "\n\tvmovdqu 64*" #I "+32(%0), %%ymm" #I "\n\t"
#define UPDATE_Y(I)                                                          \
  "vpxor 64*" #I "(%0), %%ymm15, %%ymm" #I "\n\tvmovdqu %%ymm" #I ", 64*" #I \
  "(%0)\n\t"                                                                 \
  "vpxor 64*" #I "+32(%0), %%ymm15, %%ymm14\n\tvmovdqu %%ymm14, 64*" #I "+32(%0)\n\t"
REGION_LOOP(read_z, EIGHT(READ))
REGION_LOOP(update_z, EIGHT(UPDATE))
REGION_LOOP(read_y, EIGHT(READ_Y))
REGION_LOOP(update_y, EIGHT(UPDATE_Y))

}  // namespace

const InstructionLoop instruction_loops[] = {
    {"affine/zmm", 24, affine, has_avx512},
    {"aesenc/zmm", 24, aes, has_avx512},
    {"pclmul/zmm", 24, clmul, has_avx512},
    {"shuffle/zmm", 24, shuffle, has_avx512},
    {"xor/zmm", 24, xor2, has_avx512},
    {"xor3/zmm", 24, xor3, has_avx512},
    {"load/zmm", 24, load, has_avx512},
    {"store/zmm", 24, store, has_avx512},
    {"affine+aesenc/zmm", 12, affine_aes, has_avx512},
    {"affine+pclmul/zmm", 12, affine_clmul, has_avx512},
    {"aesenc+pclmul/zmm", 12, aes_clmul, has_avx512},
    {"affine+xor3/zmm", 12, affine_xor3, has_avx512},
    {"load+store/zmm", 12, load_store, has_avx512},
    {"shuffle/ymm", 24, shuffle_y, has_avx2},
    {"xor/ymm", 24, xor_y, has_avx2},
    {"load/ymm", 24, load_y, has_avx2},
    {"store/ymm", 24, store_y, has_avx2},
    {"aesenc/xmm", 24, aes_x, has_avx2},
    {"pclmul/xmm", 24, clmul_x, has_avx2},
};
const std::size_t instruction_loop_count = sizeof(instruction_loops) / sizeof(instruction_loops[0]);

const RegionLoop region_loops[] = {
    {"read/zmm", read_z, has_avx512},
    {"update/zmm", update_z, has_avx512},
    {"read/ymm", read_y, has_avx2},
    {"update/ymm", update_y, has_avx2},
};
const std::size_t region_loop_count = sizeof(region_loops) / sizeof(region_loops[0]);

}  // namespace ssn::bench
