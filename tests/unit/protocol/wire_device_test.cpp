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
  std::uint64_t patience_ns = 0;
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
                    DeviceCase{"fault", {{"fault", "delay"}, {"delay_us", "300"}}, 20'000, true},
                    DeviceCase{"fault", {{"fault", "lose"}}, 20'000, true, 500'000},
                    DeviceCase{"fault", {{"fault", "lose"}, {"one_in", "1"}}, 20'000, true, 500'000},
                    DeviceCase{"async-example", {}, 0, false}));

TEST_P(EveryDevice, FramesArrive) {
  WireOptions options = options_for(three_of_five);
  options.driver = GetParam().driver;
  options.settings = GetParam().settings;
  options.deadline_ns = GetParam().deadline_ns;
  options.patience_ns = GetParam().patience_ns;
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
  // A device that never answers is given up, at both ends, and everything was done without it.
  EXPECT_EQ(ends.given_up, GetParam().patience_ns != 0 ? 2U : 0U);
  const bool delays = !GetParam().settings.empty() && GetParam().settings.front().second == "delay";
  const bool forgets = delays || GetParam().patience_ns != 0;
  EXPECT_EQ(ends.sent.jobs_lost != 0, forgets);
  EXPECT_EQ(ends.received.jobs_lost != 0, forgets);
}

// A device that answers nothing, and has all jobs: the CPU goes on, and when the device speaks after all its
// results are not used.
TEST(LostJobs, LeaveTheirBuffersToTheDeviceUntilItAnswers) {
  WireOptions options = options_for(three_of_five);
  options.driver = "fault";
  options.settings = {{"fault", "delay"}, {"one_in", "1"}, {"delay_us", "100000"}};
  options.deadline_ns = 10'000;
  options.jobs = 4;
  options.stream.reorder_ns = 10'000'000'000;
  WireEnds ends(options);
  ends.deliver(2000);
  std::vector<Bytes> expected;
  std::vector<Bytes> arrived;
  std::uint64_t began = ends.now;
  for (int round = 0; round < 20; ++round) {
    const auto frames = some_frames(ends, 2, 400);
    expected.insert(expected.end(), frames.begin(), frames.end());
    ends.receive(ends.send(frames));
    for (int i = 0; i < 3; ++i) {
      ends.advance(25'000);
      ends.receive(ends.split());
    }
    for (Bytes& frame : ends.frames()) arrived.push_back(std::move(frame));
  }
  EXPECT_LT(ends.now - began, 100'000'000U);  // the device has not answered once
  EXPECT_TRUE(arrived == expected);
  EXPECT_EQ(ends.sent.jobs_lost, 4U);
  EXPECT_EQ(ends.received.jobs_lost, 4U);
  EXPECT_EQ(ends.splitter->in_flight(), 4U);
  EXPECT_EQ(ends.collector->in_flight(), 4U);
  EXPECT_EQ(ends.splitter->overdue().lost, 4U);
  // Their pads stay where they are, and so do the packets and blocks that the device may write.
  const auto account = ends.ends.pads_out.account();
  EXPECT_EQ(account.discarded, 0U);
  EXPECT_EQ(ends.cells.out(), 4 * 5 + 4 * 3 + 1U);
  ends.now += 200'000'000;
  ends.settle();
  EXPECT_GT(ends.ends.pads_out.account().discarded, 0U);
  EXPECT_EQ(ends.ends.pads_out.account().used, ends.ends.sent.sealed_bytes);
  EXPECT_TRUE(ends.frames().empty());
  EXPECT_TRUE(ends.ends.balanced());
}

// A queue that is closed while the connection goes on.
TEST(ClosedQueue, GivesItsWorkToTheCpu) {
  WireOptions options = options_for(three_of_five);
  options.driver = "fault";
  options.settings = {{"fault", "lose"}, {"one_in", "1"}};
  options.jobs = 8;
  options.stream.reorder_ns = 10'000'000'000;
  WireEnds ends(options);
  ends.deliver(2000);
  std::vector<Bytes> expected = some_frames(ends, 3, 200);
  EXPECT_TRUE(ends.send(expected).empty());
  EXPECT_NE(ends.splitter->in_flight(), 0U);
  ends.queue_out.close();
  ends.splitter->device_closed();
  EXPECT_EQ(ends.splitter->in_flight(), 0U);
  ends.receive(ends.split());
  EXPECT_NE(ends.collector->in_flight(), 0U);
  EXPECT_TRUE(ends.frames().empty());
  ends.queue_in.close();
  ends.collector->device_closed(ends.now);
  ends.receive({});
  EXPECT_TRUE(ends.frames() == expected);
  const auto more = some_frames(ends, 3, 200);
  ends.receive(ends.send(more));
  EXPECT_TRUE(ends.frames() == more);
  EXPECT_TRUE(ends.ends.balanced());
}

}  // namespace
}  // namespace ssn::test
