// SPDX-License-Identifier: BSD-3-Clause
// What a configuration file says, as a tree of our own: so that the TOML library, which takes long to
// compile, is seen by parse.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::hw {

struct ConfigPosition {
  unsigned line = 0;  // from 1
  unsigned column = 0;
};

struct ConfigNode {
  enum class Kind { boolean, integer, real, text, date, array, table };

  Kind kind = Kind::table;
  ConfigPosition position;
  bool truth = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<ConfigNode> items;    // of an array
  std::vector<ConfigNode> members;  // of a table, each with its key, whose position it has
  std::string key;                  // of a member
};

/// "a number", "text", ...
std::string_view describe(ConfigNode::Kind kind) noexcept;

/// "file:line:column".
std::string place(std::string_view file, ConfigPosition position);

/// Tables and arrays in one another.
inline constexpr unsigned config_depth_max = 16;

Result<ConfigNode> parse_toml(std::string_view text, const std::string& name);

}  // namespace ssn::hw
