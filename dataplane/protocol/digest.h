// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace ssn::protocol {

/// SHA-256 (FIPS 180-4). Of public data only: names, marks, records.
std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> data) noexcept;

}  // namespace ssn::protocol
