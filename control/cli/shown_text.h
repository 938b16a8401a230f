// SPDX-License-Identifier: BSD-3-Clause
// Lists and times as people write and read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ssn::cli {

/// "a,b,,c" is a, b and c.
std::vector<std::string> split_list(std::string_view text);
std::string join_list(const std::vector<std::string>& items, std::string_view between = ", ");

/// "2026-11-23 03:04:05" in UTC, of seconds since 1970; "-" for 0, and for what no calendar has.
std::string shown_time(std::int64_t seconds);

}  // namespace ssn::cli
