// SPDX-License-Identifier: BSD-3-Clause
// The simulator is only worth something if it notices: each promise is broken on purpose, in what surrounds
// the controller, and must be missed. The seeds are always the same.
#include <gtest/gtest.h>

#include <cstdio>

#include "control_run.h"
#include "sanitized.h"

namespace ssn::sim {
namespace {

struct Case {
  ControlFault fault;
  const char* name;
  const char* finding;  // what must be said; part of it
  std::uint64_t most;   // seeds, the first ones
};

class ControlFaults : public testing::TestWithParam<Case> {};

TEST_P(ControlFaults, IsNoticed) {
  if (sanitized && GetParam().most > 20)
    GTEST_SKIP() << "it takes too many seeds for an instrumented program";
  std::string other("nothing");
  for (std::uint64_t seed = 1; seed <= GetParam().most; ++seed) {
    const StorageReport report = run_control_fault(seed, GetParam().fault);
    for (const std::string& violation : report.violations) {
      if (violation.find(GetParam().finding) != std::string::npos) {
        std::printf("noticed with seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
        return;
      }
      other = violation;
    }
  }
  FAIL() << "the simulator did not notice; last of what it found: " << other;
}

INSTANTIATE_TEST_SUITE_P(
    ControlSimulator, ControlFaults,
    testing::Values(Case{ControlFault::commits_early, "CommitsEarly", "of its shares are whole", 10},
                    Case{ControlFault::skips_check, "SkipsCheck", "contradict each other", 40},
                    Case{ControlFault::erases_early, "ErasesEarly", "of its shares are whole", 10},
                    Case{ControlFault::takes_old_terms, "TakesOldTerms", "has been replaced", 40},
                    Case{ControlFault::forgets_jobs, "ForgetsJobs", "jobs are left", 20},
                    Case{ControlFault::loses_commit, "LosesCommit", "is forgotten", 20},
                    Case{ControlFault::endless_leases, "EndlessLeases", "writes are left", 10},
                    Case{ControlFault::forgets_removals, "ForgetsRemovals", "removals are left", 20}),
    [](const testing::TestParamInfo<Case>& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace ssn::sim
