// SPDX-License-Identifier: BSD-3-Clause
// No pad byte serves two messages and no mask two tags, whatever happens to the nodes. The library as it is
// shipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "simulation.h"

namespace ssn::sim {
namespace {

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (*end != '\0') {
    std::fprintf(stderr, "%s must be a number\n", variable);
    std::exit(2);
  }
  return value;
}

TEST(PadReuseOracle, FindsNothing) {
  const std::uint64_t single = number_of("SSN_SIM_SEED", 0);
  const std::uint64_t runs = single != 0 ? 1 : number_of("SSN_SIM_RUNS", 60);
  Statistics statistics;
  for (std::uint64_t i = 0; i < runs; ++i) {
    const std::uint64_t seed =
        single != 0 ? single : TestRandom(test::test_seed() + i).next() >> 1;  // never 0 in practice
    Simulation simulation(seed, statistics);
    for (const std::string& violation : simulation.run()) {
      ADD_FAILURE() << violation << "\nto repeat: SSN_SIM_SEED=" << seed;
    }
    if (HasFailure()) break;
  }
  std::printf(
      "%lu runs: %lu crashes, %lu old ledgers, %lu clones, %lu epochs, %lu alarms\n"
      "%lu sealed, %lu retransmitted, %lu keep orders, %lu given up, %lu opened, %lu repeated\n",
      statistics.runs, statistics.crashes, statistics.restores, statistics.clones, statistics.epochs,
      statistics.alarms, statistics.sealed, statistics.retransmitted, statistics.kept, statistics.given_up,
      statistics.opened, statistics.repeated);
  if (single != 0 || HasFailure()) return;
  EXPECT_GT(statistics.crashes, 10 * runs);
  EXPECT_GT(statistics.opened, 100 * runs);
  EXPECT_GT(statistics.repeated, runs);
  if (runs >= 50) {
    EXPECT_GT(statistics.restores, 20U);
    EXPECT_GT(statistics.clones, 20U);
    EXPECT_GT(statistics.alarms, 20U);
  }
}

}  // namespace
}  // namespace ssn::sim
