// SPDX-License-Identifier: BSD-3-Clause
// Takes a fuzzer's bytes apart. Past the end everything is zero, so that each input means something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "ssn/kernels/kernels.h"

namespace ssn::test {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint64_t number(unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value = value << 8 | byte();
    return value;
  }
  unsigned below(unsigned bound) { return static_cast<unsigned>(number(2) % bound); }
  bool flag() { return (byte() & 1U) != 0; }
  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> out(count);
    const std::size_t given = std::min(count, rest_.size());
    std::copy_n(rest_.begin(), given, out.begin());
    rest_ = rest_.subspan(given);
    return out;
  }
  bool empty() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::uint8_t> rest_;
};

/// Ends the process, which is how a fuzz target reports a finding.
inline void require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "FOUND: %s\n", what.c_str());
  std::abort();
}

template <typename Visit>
void for_each_supported(Visit visit) {
  for (const kernels::Implementation* implementation : kernels::implementations()) {
    if (kernels::supported(*implementation)) visit(*implementation);
  }
}

}  // namespace ssn::test
