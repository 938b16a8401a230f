// SPDX-License-Identifier: BSD-3-Clause
// What the tests of wire mode have in common.
#pragma once

#include <utility>
#include <vector>

#include "wire_ends.h"

namespace ssn::test {

struct Scheme {
  kernels::Scheme scheme;
  unsigned k, n, data_blocks;
};

inline WireOptions options_for(const Scheme& scheme, std::uint32_t cell = 256) {
  WireOptions options;
  options.stream.id = 0x1122334455667788;
  options.stream.scheme = scheme.scheme;
  options.stream.k = scheme.k;
  options.stream.n = scheme.n;
  options.stream.data_blocks = scheme.data_blocks;
  options.stream.cell_bytes = cell;
  options.stream.window = 64;
  options.ends.window = 4096;
  options.ends.d_ring = std::size_t{1} << 22;
  options.ends.a_ring = std::size_t{1} << 20;
  return options;
}

inline constexpr Scheme three_of_five{kernels::Scheme::systematic, 3, 5, 1};

inline std::vector<Bytes> some_frames(WireEnds& ends, std::size_t count, std::size_t longest = 1514) {
  std::vector<Bytes> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(ends.frame(1 + ends.random.below(longest)));
  return frames;
}

template <typename T>
void shuffle(std::vector<T>& items, TestRandom& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace ssn::test
