// SPDX-License-Identifier: BSD-3-Clause
// Frames through wire mode: every scheme, with and without an offload device, lost, late, repeated, reordered
// and damaged packets.
#include <gtest/gtest.h>

#include <algorithm>

#include "wire_scenario.h"

namespace ssn::test {
namespace {

using protocol::DropReason;

class EveryScheme : public testing::TestWithParam<Scheme> {};

INSTANTIATE_TEST_SUITE_P(
    Wire, EveryScheme,
    testing::Values(three_of_five, Scheme{kernels::Scheme::systematic, 2, 3, 1},
                    Scheme{kernels::Scheme::classic, 3, 5, 1}, Scheme{kernels::Scheme::classic, 2, 2, 1},
                    Scheme{kernels::Scheme::ramp, 5, 8, 3}, Scheme{kernels::Scheme::rs, 10, 14, 10},
                    Scheme{kernels::Scheme::rs, 1, 2, 1}, Scheme{kernels::Scheme::systematic, 20, 40, 1}));

TEST_P(EveryScheme, FramesArriveWithAnyKShares) {
  for (const char* const driver : {"", "cpu"}) {
    for (const bool stream : {false, true}) {
      WireOptions options = options_for(GetParam());
      options.driver = driver;
      options.random_stream = stream;
      WireEnds ends(options);
      ends.deliver(400 * GetParam().n);
      for (int round = 0; round < 8; ++round) {
        const auto frames = some_frames(ends, 5);
        const auto packets = ends.send(frames);
        ASSERT_EQ(packets.size() % GetParam().n, 0U);
        const Bytes kept = ends.random.share_indices(GetParam().k, GetParam().n);
        std::vector<Bytes> arriving;
        for (const Bytes& packet : packets) {
          if (std::find(kept.begin(), kept.end(), share_of(packet)) != kept.end()) arriving.push_back(packet);
        }
        ends.receive(arriving);
        ASSERT_EQ(ends.frames(), frames);
      }
      EXPECT_TRUE(ends.ends.balanced());
      EXPECT_EQ(ends.ends.pads_in.account().left + ends.ends.pads_in.account().used +
                    ends.ends.pads_in.account().discarded,
                ends.ends.pads_in.account().fetched);
      // All pads that the sender used are done with at the receiver: nothing is left below.
      EXPECT_EQ(ends.ends.pads_in.account().left, ends.ends.pads_out.account().left);
      EXPECT_EQ(ends.received.blocks, ends.sent.blocks);
      EXPECT_EQ(ends.received.held, 0U);
      EXPECT_EQ(ends.sent.on_cpu == 0, *driver != 0);
    }
  }
}

TEST_P(EveryScheme, AllLengthsOfFrames) {
  WireOptions options = options_for(GetParam(), 64);
  options.stream.frame_max = 700;
  WireEnds ends(options);
  ends.deliver(60000);
  for (std::size_t length = 1; length <= 700; length += length < 200 ? 1 : 37) {
    const std::vector<Bytes> frames{ends.frame(length), ends.frame(1)};
    auto packets = ends.send(frames);
    shuffle(packets, ends.random);
    ends.receive(packets);
    ASSERT_EQ(ends.frames(), frames) << length;
    ends.deliver(200);
  }
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_EQ(ends.received.blocks_malformed, 0U);
}

TEST(WireMode, SharesShowNothingOfTheFrames) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(400);
  const std::vector<Bytes> frames{Bytes(200, 0x41)};
  const auto packets = ends.send(frames);
  for (const Bytes& packet : packets) {
    EXPECT_LT(std::count(packet.begin() + 64, packet.end(), 0x41), 30);
  }
}

TEST(WireMode, LossReorderAndDuplicationAreInvisible) {
  WireOptions options = options_for(three_of_five);
  options.stream.window = 1024;
  WireEnds ends(options);
  ends.deliver(20000);
  std::vector<Bytes> expected;
  std::vector<Bytes> in_flight;
  for (int round = 0; round < 60; ++round) {
    const auto frames = some_frames(ends, 4, 600);
    expected.insert(expected.end(), frames.begin(), frames.end());
    const auto lost = ends.random.share_indices(2, 5);
    for (Bytes& packet : without_shares(ends.send(frames), {lost[0], lost[1]})) {
      if (ends.random.below(8) == 0) in_flight.push_back(packet);
      in_flight.push_back(packet);
    }
    shuffle(in_flight, ends.random);
    const std::size_t now = in_flight.size() / 2;
    ends.receive({in_flight.begin(), in_flight.begin() + static_cast<std::ptrdiff_t>(now)});
    in_flight.erase(in_flight.begin(), in_flight.begin() + static_cast<std::ptrdiff_t>(now));
    ends.advance(1000);
    ends.deliver(100);
  }
  ends.receive(in_flight);
  EXPECT_EQ(ends.frames(), expected);
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_EQ(ends.count(DropReason::bad_tag), 0U);
  EXPECT_GT(ends.count(DropReason::late_share) + ends.count(DropReason::number_replayed), 0U);
  EXPECT_TRUE(ends.ends.balanced());
}

TEST(WireMode, CorruptSharesAreErasures) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(20000);
  for (int round = 0; round < 200; ++round) {
    const std::vector<Bytes> frames{ends.frame(180)};
    auto packets = ends.send(frames);
    ASSERT_EQ(packets.size(), 5U);
    for (std::size_t i = 0; i < 2; ++i) {  // two of five, anywhere in the packet
      Bytes& packet = packets[i];
      packet[ends.random.below(packet.size())] ^= ends.random.nonzero_byte();
    }
    shuffle(packets, ends.random);
    ends.receive(packets);
    ASSERT_EQ(ends.frames(), frames) << round;
  }
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_GT(ends.count(DropReason::bad_tag), 50U);
}

TEST(WireMode, LostBlocksAreCountedAndTheRestGoesOn) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  std::vector<Bytes> expected;
  for (int round = 0; round < 20; ++round) {
    const std::vector<Bytes> frames{ends.frame(100)};
    auto packets = ends.send(frames);
    if (round % 5 == 3) {
      packets = without_shares(packets, {1, 2, 4});  // too many
    } else {
      expected.insert(expected.end(), frames.begin(), frames.end());
    }
    ends.receive(packets);
  }
  // What follows a lost block waits for `reorder`, and no longer.
  std::vector<Bytes> early(expected.begin(), expected.begin() + 3);
  EXPECT_EQ(ends.frames(), early);
  EXPECT_NE(ends.collector->deadline(), UINT64_MAX);
  ends.advance(ends.options.stream.reorder_ns - 1);
  EXPECT_TRUE(ends.frames().empty());
  ends.advance(1);
  EXPECT_EQ(ends.frames(), std::vector<Bytes>(expected.begin() + 3, expected.end()));
  EXPECT_EQ(ends.received.blocks_lost, 4U);
  EXPECT_EQ(ends.received.held, 0U);
}

TEST(WireMode, TheLastBlocksOfAQuietStreamAreGivenUpInTime) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  ends.receive(without_shares(ends.send({ends.frame(100)}), {1, 2, 3}));
  EXPECT_EQ(ends.received.held, 2U);
  EXPECT_EQ(ends.collector->deadline(), ends.now + ends.options.stream.reorder_ns);
  ends.advance(ends.options.stream.reorder_ns);
  EXPECT_EQ(ends.received.held, 0U);
  EXPECT_EQ(ends.received.blocks_lost, 1U);
  EXPECT_EQ(ends.count(DropReason::block_given_up), 2U);
  EXPECT_EQ(ends.ends.pads_in.account().left, ends.ends.pads_out.account().left);
  EXPECT_EQ(ends.collector->deadline(), UINT64_MAX);
}

TEST(WireMode, AFrameThatSpansALostBlockIsCut) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  const std::vector<Bytes> frames{ends.frame(100), ends.frame(700), ends.frame(90), ends.frame(300)};
  const auto packets = ends.send(frames);
  ASSERT_GE(packets.size() / 5, 4U);
  std::vector<Bytes> arriving;
  for (const Bytes& packet : packets) {
    if (block_of(packet) != 1) arriving.push_back(packet);
  }
  ends.receive(arriving);
  ends.advance(ends.options.stream.reorder_ns);
  EXPECT_EQ(ends.frames(), (std::vector<Bytes>{frames[0], frames[2], frames[3]}));
  EXPECT_EQ(ends.received.frames_cut, 1U);
  EXPECT_EQ(ends.received.blocks_lost, 1U);
}

TEST(WireMode, AnOutageLongerThanTheWindowEnds) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  ends.receive(ends.send({ends.frame(50)}));
  EXPECT_EQ(ends.frames().size(), 1U);
  for (int i = 0; i < 1000; ++i) {
    ends.deliver(5);
    (void)ends.send({ends.frame(50)});
  }
  std::vector<Bytes> expected;
  std::vector<Bytes> arrived;
  for (int i = 0; i < 200; ++i) {
    ends.deliver(5);
    expected.push_back(ends.frame(50));
    ends.receive(ends.send({expected.back()}));
    for (Bytes& frame : ends.frames()) arrived.push_back(std::move(frame));
  }
  ends.advance(ends.options.stream.reorder_ns);
  for (Bytes& frame : ends.frames()) arrived.push_back(std::move(frame));
  ASSERT_GT(arrived.size(), 195U);  // but for the first ones, which found out
  EXPECT_TRUE(std::equal(arrived.rbegin(), arrived.rend(), expected.rbegin()));
  EXPECT_EQ(ends.received.blocks_lost + arrived.size() + 1, 1201U);
}

}  // namespace
}  // namespace ssn::test
