// SPDX-License-Identifier: BSD-3-Clause
// Runs of seeds, and what is said of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "world.h"

namespace ssn::sim {

/// Of many seeds.
struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t first_failed = 0;
  std::uint64_t steps = 0;
  std::uint64_t cells = 0;
  std::uint64_t fewest_cells = UINT64_MAX;
  std::uint64_t frames = 0;
  std::uint64_t longest_healed_ns = 0;
  Marks marks;

  void add(const Report& report);
};

Report run_seed(std::uint64_t seed, const Options& options = {});

std::string text_of(const Report& report);
std::string json_of(const Report& report);
std::string text_of(const Totals& totals);
std::string json_of(const Totals& totals);

}  // namespace ssn::sim
