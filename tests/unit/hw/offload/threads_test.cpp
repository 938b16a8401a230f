// SPDX-License-Identifier: BSD-3-Clause
// For the thread sanitizer: what of a device may be used at the same time.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "conformance/conformance.h"
#include "test_random.h"

namespace ssn::hw::offload {
namespace {

// A queue a thread each, against the device's own threads; deadlines, cancelling and closing under load.
TEST(OffloadThreads, QueuesAndTheirDevice) {
  for (const char* const check : {"parallel", "bursts", "deadline-near", "cancel", "teardown"}) {
    const Result<ConformanceReport> report = test_offload_driver(
        {.driver = "async-example"},
        {.seed = test::test_seed(), .patience_seconds = 60, .only = check, .on_check = {}});
    ASSERT_TRUE(report.ok()) << report.error().why;
    EXPECT_EQ(report.value().count(Verdict::failed), 0U) << report.value().checks[0].detail;
  }
}

TEST(OffloadThreads, ControlPathFromSeveralThreads) {
  Result<OffloadDevice> device = OffloadDevice::open({.driver = "async-example"});
  ASSERT_TRUE(device.ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const std::vector<std::uint8_t> coefficients(6, 3);
      for (int round = 0; round < 50; ++round) {
        Result<OffloadMatrix> matrix = device.value().prepare_matrix(coefficients, 2, 3);
        EXPECT_TRUE(matrix.ok());
        Result<OffloadQueue> queue = device.value().open_queue({8, -1, -1});
        EXPECT_TRUE(queue.ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace ssn::hw::offload
