// SPDX-License-Identifier: BSD-3-Clause
// The simulator is only worth something if it notices: each promise is broken on purpose, and must be missed.
#include <gtest/gtest.h>

#include <cstdio>

#include "planted_faults.h"
#include "storage_run.h"

namespace ssn::sim {
namespace {

using protocol::PlantedFault;

struct Case {
  PlantedFault fault;
  const char* name;
  const char* finding;  // what must be said; part of it
};

class StorageFaults : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { protocol::plant(PlantedFault::none); }
};

TEST_P(StorageFaults, IsNoticed) {
  constexpr std::uint64_t most = 150;
  std::string other;
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    protocol::plant(GetParam().fault);
    const StorageReport report = run_storage_seed(seed);
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
    StorageSimulator, StorageFaults,
    testing::Values(Case{PlantedFault::skipped_sync, "SkippedSync", "does not open"},
                    Case{PlantedFault::stored_on_arrival, "StoredOnArrival", "told as stored"},
                    Case{PlantedFault::mixed_attempts, "MixedAttempts",
                         "of an acknowledged object are refused"},
                    Case{PlantedFault::unchecked_record, "UncheckedRecord", "blocks"},
                    Case{PlantedFault::unchecked_shares, "UncheckedShares", "wrong blocks were given"}),
    [](const testing::TestParamInfo<Case>& each) { return std::string(each.param.name); });

TEST(NoStorageFault, TheSameProgramFindsNothing) {
  protocol::plant(PlantedFault::none);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    for (const std::string& violation : run_storage_seed(seed).violations) ADD_FAILURE() << violation;
  }
}

}  // namespace
}  // namespace ssn::sim
