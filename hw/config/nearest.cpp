// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/nearest.h"

#include <algorithm>
#include <vector>

namespace ssn::hw {
namespace {

constexpr std::size_t longest = 64;  // names; more is not worth the time

// The number of single-letter changes between two words (Levenshtein 1965), a swap of neighbours counting one
// (Damerau 1964).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view given, std::span<const std::string> candidates) {
  if (given.size() > longest) {
    return "";
  }
  std::string found;
  // A third of the letters, but at least one.
  std::size_t least = std::max<std::size_t>(1, given.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > longest) {
      continue;
    }
    if (const std::size_t changes = distance(given, candidate); changes < least) {
      least = changes;
      found = candidate;
    }
  }
  return found;
}

}  // namespace ssn::hw
