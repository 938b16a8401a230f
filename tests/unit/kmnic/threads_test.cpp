// SPDX-License-Identifier: BSD-3-Clause
// Device, model and streams used by several threads at a time, as their headers allow. For ThreadSanitizer.
#include <atomic>

#include "setup.h"

namespace ssn::kmnic_test {
namespace {

TEST_F(KmnicTest, ServesSeveralThreadsAtATime) {
  start_model();
  hw::KeyDevice alice = device();
  std::atomic<int> right_streams{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    hw::KeyStream mine = stream(alice, i % 2 != 0 ? SSN_KEY_RECEIVER : SSN_KEY_SENDER);
    threads.emplace_back([&right_streams, mine = std::move(mine)]() mutable {
      right_streams += consume_until(mine, 2 << 20) ? 1 : 0;
    });  // closes its stream in its own thread
  }
  for (int i = 0; i < 10; ++i) {
    hw::KeyStream passing = stream(alice);
    model_.inject({FaultKind::corrupt_block, 1});
    EXPECT_TRUE(consume_until(passing, 10'000));
    (void)model_.statistics();
    EXPECT_EQ(alice.info().streams_max, 64U);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(right_streams, 3);
}

TEST_F(KmnicTest, StopsWhileStreamsAreInUse) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"timeout_ms", "1000"}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    hw::KeyStream mine = stream(alice);
    threads.emplace_back([mine = std::move(mine)]() mutable {
      while (mine.poll() != SSN_FAILED) {
        mine.erase_and_release(mine.end());
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return model_.statistics().delivered_bytes > (1 << 20); }));
  model_.stop();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace ssn::kmnic_test
