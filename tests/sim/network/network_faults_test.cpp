// SPDX-License-Identifier: BSD-3-Clause
// The simulator is only worth something if it notices: each promise is broken on purpose, and must be missed.
#include <gtest/gtest.h>

#include <cstdio>

#include "planted_faults.h"
#include "runs.h"

namespace ssn::sim {
namespace {

using protocol::PlantedFault;

struct Case {
  PlantedFault fault;
  const char* name;
  const char* finding;  // what must be said; part of it
};

class PlantedFaults : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { protocol::plant(PlantedFault::none); }
};

TEST_P(PlantedFaults, IsNoticed) {
  constexpr std::uint64_t most = 150;
  std::string other;
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    protocol::plant(GetParam().fault);
    const Report report = run_seed(seed);
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
    NetworkSimulator, PlantedFaults,
    testing::Values(Case{PlantedFault::lost_erase, "LostErase", "not erased"},
                    Case{PlantedFault::skipped_write_ahead, "SkippedWriteAhead", "the disk says"},
                    Case{PlantedFault::retake_discarded, "RetakeDiscarded", "the pad of a failed job"},
                    Case{PlantedFault::reuse_mask, "ReuseMask", "served two tags"},
                    Case{PlantedFault::reuse_for_retry, "ReuseForRetry", "the pad of a failed job"},
                    Case{PlantedFault::unverified_discard, "UnverifiedDiscard",
                         "were lost in a healed world"},
                    Case{PlantedFault::unchecked_share, "UncheckedShare", "malformed"},
                    Case{PlantedFault::forged_late_block, "ForgedLateBlock", "were lost in a healed world"},
                    Case{PlantedFault::full_ring, "FullRing", "were lost in a healed world"},
                    Case{PlantedFault::share_kept, "ShareKept", "keeps packets that it does not hold"},
                    Case{PlantedFault::lost_jobs_awaited, "LostJobsAwaited", "healed world"},
                    Case{PlantedFault::reuse_of_lost, "ReuseOfLost", "the pad of a failed job"},
                    Case{PlantedFault::frames_out_of_order, "FramesOutOfOrder", "out of order"},
                    Case{PlantedFault::frame_of_lost_block, "FrameOfLostBlock", "wrong bytes"}),
    [](const testing::TestParamInfo<Case>& each) { return std::string(each.param.name); });

TEST(NoPlantedFault, TheSameProgramFindsNothing) {
  protocol::plant(PlantedFault::none);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    for (const std::string& violation : run_seed(seed).violations) ADD_FAILURE() << violation;
  }
}

}  // namespace
}  // namespace ssn::sim
