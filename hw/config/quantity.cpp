// SPDX-License-Identifier: BSD-3-Clause
#include "quantity.h"

#include <limits>

namespace ssn::hw {
namespace {

constexpr std::uint64_t kibi = 1024;
constexpr Unit bytes_[] = {
    {"B", 1},
    {"KiB", kibi},
    {"MiB", kibi* kibi},
    {"GiB", kibi* kibi* kibi},
    {"TiB", kibi* kibi* kibi* kibi},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
};
constexpr Unit bit_rates[] = {
    {"bit/s", 1}, {"kbit/s", 1000}, {"Mbit/s", 1000000}, {"Gbit/s", 1000000000}, {"Tbit/s", 1000000000000},
};
constexpr Unit durations[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"min", 60000000000},
    {"h", 3600000000000},
    {"d", 86400000000000},
};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

}  // namespace

std::span<const Unit> byte_units() noexcept { return bytes_; }
std::span<const Unit> bit_rate_units() noexcept { return bit_rates; }
std::span<const Unit> duration_units() noexcept { return durations; }

std::optional<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units) noexcept {
  __extension__ using Wide = unsigned __int128;
  constexpr std::size_t digits_max = 19;  // of the number, decimals included: fits 64 bits
  std::uint64_t mantissa = 0;
  std::uint64_t scale = 1;
  std::size_t at = 0;
  std::size_t digits = 0;
  bool fraction = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !fraction && digits > 0)); ++at) {
    if (text[at] == '.') {
      fraction = true;
      continue;
    }
    if (++digits > digits_max) {
      return std::nullopt;
    }
    mantissa = mantissa * 10 + static_cast<std::uint64_t>(text[at] - '0');
    scale *= fraction ? 10 : 1;
  }
  if (digits == 0 || text[at - 1] == '.') {
    return std::nullopt;
  }
  if (at < text.size() && text[at] == ' ') {
    ++at;
  }
  for (const Unit& unit : units) {
    if (text.substr(at) != unit.name) {
      continue;
    }
    const Wide product = Wide{mantissa} * unit.factor;
    const Wide most = static_cast<Wide>(std::numeric_limits<std::int64_t>::max());
    if (product % scale != 0 || product / scale > most) {
      return std::nullopt;
    }
    return static_cast<std::uint64_t>(product / scale);
  }
  return std::nullopt;
}

}  // namespace ssn::hw
