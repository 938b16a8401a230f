// SPDX-License-Identifier: BSD-3-Clause
// Many seeds of the storage network with its controller, over the libraries as they are shipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "control_run.h"
#include "sanitized.h"

namespace ssn::sim {
namespace {

std::uint64_t runs() {
  const char* const text = std::getenv("SSN_SIM_RUNS");
  return text == nullptr || *text == '\0' ? (sanitized ? 10 : 100) : std::strtoull(text, nullptr, 10);
}

// Which half of the seeds.
std::uint64_t part() {
  const char* const text = std::getenv("SSN_SIM_PART");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

// Every other seed is always the same, so that a change of the code is seen; the others are new in every run.
TEST(ControlSimulator, NothingIsBroken) {
  StorageTotals totals;
  for (std::uint64_t i = 0; i < runs(); ++i) {
    const std::uint64_t at = part() * runs() + i;
    const std::uint64_t seed =
        i % 2 == 0 ? 1 + at / 2 : test::TestRandom(test::test_seed() + at).next() >> 32;
    const StorageReport report = run_control_seed(seed);
    totals.add(report);
    for (const std::string& violation : report.violations) {
      ADD_FAILURE() << violation << "\nto repeat: ssn-sim --control --seed " << seed;
    }
    if (HasFailure()) break;
  }
  std::printf("%s", totals.text().c_str());
  if (HasFailure() || runs() < 100) return;
  for (const char* const mark : {"acknowledged",
                                 "removed",
                                 "owners that vanished",
                                 "written without some holder",
                                 "objects read back",
                                 "generations erased",
                                 "calls lost",
                                 "reads",
                                 "records rotten",
                                 "controller killed",
                                 "controller killed in a commit",
                                 "kill",
                                 "cut",
                                 "control cut",
                                 "disk full",
                                 "disk fails",
                                 "stall",
                                 "clock jumps",
                                 "SSA restarts",
                                 "lies",
                                 "lies told",
                                 "lies found",
                                 "partition"}) {
    EXPECT_GT(totals.marks[mark], 0U) << "never met: " << mark;
  }
}

TEST(ControlSimulator, ASeedDoesTheSameAgain) {
  for (const std::uint64_t seed : {2U, 5U}) {
    const StorageReport first = run_control_seed(seed);
    const StorageReport again = run_control_seed(seed);
    EXPECT_EQ(first.digest, again.digest) << "seed " << seed;
    EXPECT_EQ(first.marks, again.marks) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ssn::sim
