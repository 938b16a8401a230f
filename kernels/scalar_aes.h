// SPDX-License-Identifier: BSD-3-Clause
// AES-256 without tables and without special instructions: bytes become bit planes and the S-box is computed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssn::kernels {

inline constexpr std::size_t aes_rounds = 14;
inline constexpr std::size_t aes_key_schedule_bytes = (aes_rounds + 1) * 16;

/// FIPS 197, 5.2: round keys in the order of use, the same for every implementation.
void aes_expand_key(const std::uint8_t* key, std::uint8_t* round_keys) noexcept;

/// Keystream of AES-256-CTR from block `counter` on.
void scalar_random(const std::uint8_t* round_keys, std::uint64_t counter, std::uint8_t* out,
                   std::size_t length) noexcept;

}  // namespace ssn::kernels
