// SPDX-License-Identifier: BSD-3-Clause
// Results that are public by nature (a tag matched, shares agree) come from secrets. The constant-time tests
// mark all secrets as undefined memory; here the kernels say what may be branched on after all.
#pragma once

#if defined(SSN_CONSTANT_TIME_VALGRIND)
#include <valgrind/memcheck.h>
#define SSN_DECLASSIFY(pointer, bytes) VALGRIND_MAKE_MEM_DEFINED(pointer, bytes)
#elif defined(SSN_CONSTANT_TIME_MSAN)
#include <sanitizer/msan_interface.h>
#define SSN_DECLASSIFY(pointer, bytes) __msan_unpoison(pointer, bytes)
#else
#define SSN_DECLASSIFY(pointer, bytes) static_cast<void>(0)
#endif
