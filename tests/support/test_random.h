// SPDX-License-Identifier: BSD-3-Clause
// Repeatable random numbers for tests. The seed comes from SSN_TEST_SEED, or from the system where that is
// unset, and is printed, so that every failure can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ssn::test {

using Bytes = std::vector<std::uint8_t>;

/// The seed of this run. Printed to stdout the first time. A malformed SSN_TEST_SEED ends the process.
std::uint64_t test_seed();

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Good enough to choose test inputs, never for secrets.
class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}
  /// A stream of its own for each `label` (a test's name), so that running one test alone repeats it.
  static TestRandom labelled(std::string_view label);

  std::uint64_t next();
  std::uint8_t byte() { return static_cast<std::uint8_t>(next() >> 56); }
  std::uint8_t nonzero_byte();
  bool coin() { return (next() >> 63) != 0; }
  /// Uniform enough in 0..bound-1; bound > 0.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
  unsigned between(unsigned low, unsigned high) {
    return low + static_cast<unsigned>(below(std::size_t{high} - low + 1));
  }
  void fill(std::uint8_t* out, std::size_t length);
  Bytes bytes(std::size_t length);
  /// `count` distinct values of 1..n in random order.
  Bytes share_indices(unsigned count, unsigned n);

 private:
  std::uint64_t state_;
};

/// Calls visit(subset) for every subset of `count` values of 1..n, in ascending order each.
template <typename Visit>
void for_each_subset(unsigned count, unsigned n, Visit visit) {
  Bytes subset(count);
  for (unsigned i = 0; i < count; ++i) subset[i] = static_cast<std::uint8_t>(i + 1);
  while (true) {
    visit(static_cast<const Bytes&>(subset));
    unsigned i = count;
    while (i > 0 && subset[i - 1] == n - count + i) --i;
    if (i == 0) return;
    ++subset[i - 1];
    for (; i < count; ++i) subset[i] = static_cast<std::uint8_t>(subset[i - 1] + 1);
  }
}

}  // namespace ssn::test
