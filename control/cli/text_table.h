// SPDX-License-Identifier: BSD-3-Clause
// Columns of text that line up. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ssn::cli {

class TextTable {
 public:
  /// Columns whose title ends with ">" hold numbers: to the right. The last one is as wide as it is.
  explicit TextTable(std::vector<std::string> titles);
  /// As many cells as titles.
  void add(std::vector<std::string> cells);
  bool empty() const noexcept { return rows_.size() == 1; }
  std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // first the titles
};

/// "987", "12.3 k", "4.56 M", "7.89 G": three digits and a bit, for rates and stocks.
std::string format_count(double value);

}  // namespace ssn::cli
