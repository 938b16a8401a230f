// SPDX-License-Identifier: BSD-3-Clause
// Included first by the file of an instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gf256.h"
#include "registry.h"

#define SSN_INLINE [[gnu::always_inline]] inline
// Loops over registers must disappear, or the registers live in memory.
#define SSN_UNROLL _Pragma("GCC unroll 16")
// gcc 12 would rather load a column again than keep it in a register. (Not for clang, which does neither, and
// whose MemorySanitizer takes what comes out of inline assembly for public.)
#if defined(__clang__)
#define SSN_HOLD(value) static_cast<void>(0)
#else
#define SSN_HOLD(value) __asm__("" : "+v"(value))
#endif
