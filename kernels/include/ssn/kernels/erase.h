// SPDX-License-Identifier: BSD-3-Clause
// Erasing secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ssn::kernels {

/// Zeroes memory that held secrets; the compiler may not drop it.
inline void erase(void* memory, std::size_t bytes) noexcept { ::explicit_bzero(memory, bytes); }

/// The same for 16 bytes, without a call.
inline void erase_block(std::uint8_t* block) noexcept {
  std::memset(block, 0, 16);
  asm volatile("" : : "r"(block) : "memory");
}

}  // namespace ssn::kernels
