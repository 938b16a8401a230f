// SPDX-License-Identifier: BSD-3-Clause
// Wire mode over offload devices that are slow, busy, out of order, late or refuse: the same frames, every
// pad used once, every buffer given back once.
#include <gtest/gtest.h>

#include <string>

#include "wire_scenario.h"

namespace ssn::test {
namespace {

using protocol::DropReason;

struct DeviceCase {
  const char* driver;
  hw::OffloadDevice::Settings settings;
  std::uint64_t deadline_ns;
  bool fails;
};

class EveryDevice : public testing::TestWithParam<DeviceCase> {};

INSTANTIATE_TEST_SUITE_P(
    Wire, EveryDevice,
    testing::Values(DeviceCase{"cpu", {}, 0, false}, DeviceCase{"fault", {{"fault", "none"}}, 0, false},
                    DeviceCase{"fault", {{"fault", "partial"}}, 0, false},
                    DeviceCase{"fault", {{"fault", "reorder"}}, 0, false},
                    DeviceCase{"fault", {{"fault", "slow"}, {"delay_us", "50"}}, 20'000, true},
                    DeviceCase{"fault", {{"fault", "refuse"}}, 0, true},
                    DeviceCase{"fault", {{"fault", "timeout"}}, 1'000'000, true},
                    DeviceCase{"async-example", {}, 0, false}));

TEST_P(EveryDevice, FramesArrive) {
  WireOptions options = options_for(three_of_five);
  options.driver = GetParam().driver;
  options.settings = GetParam().settings;
  options.deadline_ns = GetParam().deadline_ns;
  options.stream.reorder_ns = 1'000'000'000;
  options.stream.window = 1024;  // the device's time is not the test's
  WireEnds ends(options);
  ends.deliver(8000);
  std::vector<Bytes> expected;
  std::vector<Bytes> arrived;
  for (int round = 0; round < 80; ++round) {
    while (ends.send_pool->free() < 32) {  // the device has not caught up
      ends.settle();
      ends.receive(ends.split());
    }
    const auto frames = some_frames(ends, 3, 500);
    expected.insert(expected.end(), frames.begin(), frames.end());
    auto packets = ends.send(frames);
    for (Bytes& packet : packets) {
      if (share_of(packet) % 3 == 1 && ends.random.below(8) == 0) packet[70] ^= 1;  // two of five at most
    }
    ends.receive(packets);
    ends.advance(10'000);
    for (Bytes& frame : ends.frames()) arrived.push_back(std::move(frame));
  }
  for (int i = 0; i < 200 && arrived.size() < expected.size(); ++i) {
    ends.advance(100'000);
    ends.receive(ends.split());
    ends.settle();
    ends.receive({});
    for (Bytes& frame : ends.frames()) arrived.push_back(std::move(frame));
  }
  ends.settle();
  EXPECT_EQ(arrived.size(), expected.size());
  EXPECT_TRUE(arrived == expected);
  EXPECT_EQ(ends.received.frames_cut, 0U);
  EXPECT_EQ(ends.received.blocks_malformed, 0U);
  EXPECT_EQ(ends.sent.frames_no_room, 0U);
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_EQ(ends.sent.jobs_failed != 0, GetParam().fails);
  EXPECT_EQ(ends.received.jobs_failed != 0, GetParam().fails);
  EXPECT_EQ(ends.sent.blocks, ends.received.blocks);
  EXPECT_TRUE(ends.ends.balanced());
  if (GetParam().fails) {
    EXPECT_GT(ends.ends.pads_out.account().discarded, 0U);  // burnt
    EXPECT_EQ(ends.ends.pads_out.account().used, ends.ends.sent.sealed_bytes);
  } else {
    EXPECT_EQ(ends.ends.pads_out.account().discarded, 0U);
  }
}

}  // namespace
}  // namespace ssn::test
