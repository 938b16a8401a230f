// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstring>

namespace ssn::kernels {

/// Zeroes memory that held secrets; the compiler may not drop it.
inline void erase(void* memory, std::size_t bytes) noexcept { ::explicit_bzero(memory, bytes); }

}  // namespace ssn::kernels
