// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "implementation.h"

namespace ssn::kernels {

extern const Implementation scalar;
extern const Implementation isal;
#define SSN_IMPLEMENTATION(name) extern const Implementation name;
#include "vector_implementations.inc"
#undef SSN_IMPLEMENTATION

}  // namespace ssn::kernels
