// SPDX-License-Identifier: BSD-3-Clause
// The oracle is only worth something if it notices: each promise is broken on purpose, and must be missed.
#include <gtest/gtest.h>

#include "planted_faults.h"
#include "simulation.h"

namespace ssn::sim {
namespace {

using protocol::PlantedFault;

struct Case {
  PlantedFault fault;
  const char* name;
  const char* finding;  // what the oracle must say; part of it
};

class PlantedFaults : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { protocol::plant(PlantedFault::none); }
};

TEST_P(PlantedFaults, IsNoticed) {
  Statistics statistics;
  for (int run = 0; run < 60; ++run) {
    const std::uint64_t seed = TestRandom(test::test_seed() + static_cast<std::uint64_t>(run)).next() >> 1;
    protocol::plant(GetParam().fault);
    Simulation simulation(seed, statistics);
    for (const std::string& violation : simulation.run()) {
      if (violation.find(GetParam().finding) != std::string::npos) {
        std::printf("noticed in run %d: %s\n", run + 1, violation.c_str());
        return;
      }
    }
  }
  FAIL() << "the oracle did not notice";
}

INSTANTIATE_TEST_SUITE_P(
    Oracle, PlantedFaults,
    testing::Values(Case{PlantedFault::lost_erase, "LostErase", "not erased"},
                    Case{PlantedFault::skipped_write_ahead, "SkippedWriteAhead", "the disk says"},
                    Case{PlantedFault::reuse_after_crash, "ReuseAfterCrash", "served two messages"},
                    Case{PlantedFault::reuse_after_crash, "ReopenAfterCrash", "opened twice"},
                    Case{PlantedFault::retake_discarded, "RetakeDiscarded", "served two messages"},
                    Case{PlantedFault::reuse_mask, "ReuseMask", "served two tags"},
                    Case{PlantedFault::ignore_rollback, "IgnoreRollback", "was let in"}),
    [](const testing::TestParamInfo<Case>& each) { return std::string(each.param.name); });

// A window that forgets needs no oracle: the account does not balance, and the process stops.
TEST(PlantedFaultsDeathTest, AReopenedRangeStopsTheProcess) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  test::TestKeyStream keys(protocol::Ksid{7}, SSN_KEY_RECEIVER, 65536);
  protocol::StreamMarks marks;
  protocol::PadReceiver pads(keys.stream(), marks);
  keys.deliver(4096);
  ASSERT_EQ(pads.poll(), SSN_OK);
  pads.open(0, 1344);
  std::uint8_t* pad = nullptr;
  ASSERT_EQ(pads.find(0, 1344, pad), protocol::Found::already_opened);
  protocol::plant(PlantedFault::reopen_range);
  EXPECT_EQ(pads.find(0, 1344, pad), protocol::Found::ready);
  EXPECT_DEATH(pads.open(0, 1344), "balanced");
  protocol::plant(PlantedFault::none);
}

TEST(NoPlantedFault, TheSameProgramFindsNothing) {
  protocol::plant(PlantedFault::none);
  Statistics statistics;
  for (std::uint64_t run = 0; run < 10; ++run) {
    Simulation simulation(TestRandom(test::test_seed() + run).next() >> 1, statistics);
    for (const std::string& violation : simulation.run()) ADD_FAILURE() << violation;
  }
}

}  // namespace
}  // namespace ssn::sim
