// SPDX-License-Identifier: BSD-3-Clause
// "4 MiB", "1.5 Gbit/s", "30 s": a decimal number and a unit, exactly.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ssn::hw {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

std::span<const Unit> byte_units() noexcept;
std::span<const Unit> bit_rate_units() noexcept;
std::span<const Unit> duration_units() noexcept;  ///< in nanoseconds

/// The number of the smallest units; nothing where the text is no such quantity, does not come out whole, or
/// is above 2^63 - 1.
std::optional<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units) noexcept;

}  // namespace ssn::hw
