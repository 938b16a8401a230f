// SPDX-License-Identifier: BSD-3-Clause
// What somebody on the path, or a broken peer, can do to wire mode: make it work more, never lose or delay
// what is honest.
#include <gtest/gtest.h>

#include <algorithm>

#include "wire_scenario.h"

namespace ssn::test {
namespace {

using protocol::DropReason;
using protocol::EpochAlarm;

// A packet as a forger makes it who knows everything but keys.
Bytes forged(WireEnds& ends, std::uint64_t block, unsigned share, std::uint64_t number,
             std::uint64_t d_offset, std::size_t length = 256) {
  protocol::PacketHeader header;
  header.connection_id = ends.options.ends.connection_id;
  header.key_index = ends.options.ends.key_index;
  header.number = number;
  header.d_offset = d_offset;
  header.placement = protocol::block_placement(ends.options.stream.id, block, share);
  Bytes packet = ends.random.bytes(protocol::overhead_bytes + length);
  protocol::write_header(header, packet.data());
  return packet;
}

// Packets that are authentic, and say what a test wants: from a clone of the sender.
class Clone {
 public:
  explicit Clone(const WireOptions& options) : options_(options), ends_(options.ends), random_(7) {
    ends_.deliver(1 << 20, 1 << 16);
  }
  /// Packet numbers go on without any pad being used.
  void skip_numbers(std::uint32_t count) {
    protocol::TagBurst burst;
    ASSERT_EQ(ends_.tags_out.take(count, burst), protocol::Take::ok);
    ends_.tags_out.discard(burst);
  }
  void skip_pads(std::uint32_t bytes) {
    protocol::PadRange range;
    ASSERT_EQ(ends_.pads_out.reserve(bytes, range), protocol::Take::ok);
    ends_.pads_out.discard(range);
  }
  Bytes seal(std::uint64_t block, unsigned share, std::size_t length = 256) {
    ends_.out.prepare(0, length, random_);
    ends_.out[0].header.placement = protocol::block_placement(options_.stream.id, block, share);
    const auto burst = ends_.out.burst(1);
    EXPECT_EQ(ends_.sealer.seal(ends_.send, burst), 1U);
    return ends_.out.packet(0);
  }

 private:
  WireOptions options_;
  PacketEnds ends_;
  TestRandom random_;
};

TEST(WireAttack, AFloodAheadOfHonestPacketsLosesNothing) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  for (std::uint64_t round = 0; round < 100; ++round) {
    // For the blocks to come, every share, with the numbers and ranges that they will have, or others.
    std::vector<Bytes> flood;
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t block = round + ends.random.below(40);
      const unsigned share = ends.random.between(1, 5);
      const bool exact = ends.random.coin();
      const std::uint64_t number = exact ? block * 5 + share - 1 : ends.random.below(2500);
      const std::uint64_t offset = exact ? number * 256 : ends.random.below(4000) * 64;
      const std::size_t length = ends.random.below(4) == 0 ? 64 * (1 + ends.random.below(4)) : 256;
      flood.push_back(forged(ends, block, share, number, offset, length));
    }
    ends.receive(flood);
    EXPECT_LE(ends.received.held, std::uint64_t{64} * 5);
    const std::vector<Bytes> frames{ends.frame(240)};
    ends.receive(ends.send(frames));
    ASSERT_EQ(ends.frames(), frames) << round;  // at once
    ends.deliver(5);
  }
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_EQ(ends.received.blocks, 100U);
  EXPECT_TRUE(ends.ends.balanced());
}

TEST(WireAttack, ForgedSharesDoNotStartTheClock) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  const std::vector<Bytes> frames{ends.frame(240)};
  const auto packets = ends.send(frames);
  ends.receive({forged(ends, 0, 1, 0, 0), forged(ends, 0, 2, 1, 256), forged(ends, 0, 5, 4, 1024)});
  ends.advance(ends.options.stream.reorder_ns - 1);
  ends.receive({packets[3]});  // the first honest one, just before the forged ones are given up
  ends.advance(ends.options.stream.reorder_ns - 1);
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  ends.receive({packets[0], packets[1]});
  EXPECT_EQ(ends.frames(), frames);
  EXPECT_EQ(ends.count(DropReason::bad_tag), 3U);
}

TEST(WireAttack, ForgedSharesAloneAreNoLostBlock) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  for (unsigned share = 1; share <= 5; ++share) ends.receive({forged(ends, 9, share, 44 + share, 0)});
  ends.advance(10 * ends.options.stream.reorder_ns);
  EXPECT_EQ(ends.received.blocks_lost, 0U);
  EXPECT_EQ(ends.received.held, 0U);
  EXPECT_EQ(ends.collector->base(), 0U);
  EXPECT_EQ(ends.collector->deadline(), UINT64_MAX);
}

TEST(WireAttack, OnlyAuthenticPacketsMoveTheWindow) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  ends.receive({forged(ends, 1000000, 1, 5, 0), forged(ends, UINT64_MAX >> 3, 1, 6, 0)});
  EXPECT_EQ(ends.count(DropReason::bad_tag), 2U);
  EXPECT_EQ(ends.collector->base(), 0U);
  const std::vector<Bytes> frames{ends.frame(240)};
  ends.receive(ends.send(frames));
  EXPECT_EQ(ends.frames(), frames);
}

TEST(WireAttack, ACopyWithAnotherPayloadThatIsFirst) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  for (int round = 0; round < 20; ++round) {
    const std::vector<Bytes> frames{ends.frame(240)};
    const auto packets = ends.send(frames);
    std::vector<Bytes> arriving;
    for (const Bytes& packet : packets) {
      Bytes bad = packet;
      bad[70] ^= 1;
      arriving.push_back(bad);
      arriving.push_back(packet);
    }
    ends.receive(arriving);
    ASSERT_EQ(ends.frames(), frames);
  }
  EXPECT_EQ(ends.received.blocks_lost, 0U);
}

TEST(WireAttack, ReplaysChangeNothing) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  std::vector<Bytes> all;
  for (int round = 0; round < 30; ++round) {
    const std::vector<Bytes> frames{ends.frame(240)};
    const auto packets = ends.send(frames);
    all.insert(all.end(), packets.begin(), packets.end());
    ends.receive(packets);
    ends.receive(all);
    ASSERT_EQ(ends.frames(), frames);
  }
  EXPECT_EQ(ends.received.blocks, 30U);
}

TEST(WireAttack, HeadersThatNoSenderWrites) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(2000);
  const auto expect = [&](Bytes packet, DropReason reason) {
    const std::uint64_t before = ends.count(reason);
    ends.receive({std::move(packet)});
    EXPECT_EQ(ends.count(reason), before + 1) << name(reason);
  };
  expect(forged(ends, 0, 6, 5, 5 * 256), DropReason::bad_field);  // there are five
  expect(forged(ends, 0, 255, 300, 300 * 256), DropReason::bad_field);
  expect(forged(ends, 0, 3, 1, 1024), DropReason::bad_field);              // share 1 would have number -1
  expect(forged(ends, 0, 3, 10, 256), DropReason::bad_field);              // and its pad would begin at -256
  expect(forged(ends, 0, 3, (1 << 20) + 1, 1024), DropReason::bad_field);  // under two hash keys
  expect(forged(ends, std::uint64_t{1} << 62, 1, 0, 0), DropReason::bad_field);
  expect(forged(ends, 0, 1, 0, 0, 100), DropReason::bad_length);
  expect(forged(ends, 0, 1, 0, 0, 320), DropReason::bad_length);
  expect(forged(ends, 0, 1, 1 << 30, 0), DropReason::mask_not_delivered);
  Bytes other = forged(ends, 0, 1, 0, 0);
  other[24] ^= 1;  // the stream
  expect(other, DropReason::bad_field);
  other = forged(ends, 0, 1, 0, 0);
  other[41] = 1;  // attempt
  expect(other, DropReason::bad_field);
  other = forged(ends, 0, 1, 0, 0);
  other[43] = protocol::flag_computational;
  expect(other, DropReason::not_permitted);
  EXPECT_EQ(ends.received.held, 0U);
}

TEST(WireAttack, ASecondMessageUnderANumberEndsTheEpoch) {
  const WireOptions options = options_for(three_of_five);
  WireEnds ends(options);
  ends.deliver(2000);
  ends.receive(ends.send({ends.frame(240)}));
  Clone clone(options);
  ends.receive({clone.seal(1, 1), clone.seal(1, 2), clone.seal(1, 3)});
  EXPECT_TRUE(ends.ends.receive.ended);
  EXPECT_EQ(ends.ends.receive.alarm, EpochAlarm::number_reused);
  EXPECT_EQ(ends.ends.pads_in.account().left, 0U);
  ends.receive(ends.send({ends.frame(240)}));
  EXPECT_GE(ends.count(DropReason::epoch_ended), 5U);
}

TEST(WireAttack, ASecondMessageUnderAPadEndsTheEpoch) {
  const WireOptions options = options_for(three_of_five);
  WireEnds ends(options);
  ends.deliver(2000);
  ends.receive(ends.send({ends.frame(240)}));
  Clone clone(options);
  clone.skip_numbers(5);
  ends.receive({clone.seal(1, 1), clone.seal(1, 2), clone.seal(1, 3)});
  EXPECT_EQ(ends.ends.receive.alarm, EpochAlarm::range_reused);
}

TEST(WireAttack, AuthenticSharesThatDisagreeAreDropped) {
  const WireOptions options = options_for(three_of_five);
  WireEnds ends(options);
  ends.deliver(2000);
  Clone clone(options);
  const Bytes first = clone.seal(0, 1);
  const Bytes second = clone.seal(0, 2, 128);
  const Bytes third = clone.seal(0, 3);
  ends.receive({first, second, third});
  ends.advance(ends.options.stream.reorder_ns);
  EXPECT_EQ(ends.count(DropReason::bad_field), 2U);  // number 2 is shorter, number 3's pad is elsewhere
  EXPECT_EQ(ends.received.blocks_lost, 1U);
  EXPECT_FALSE(ends.ends.receive.ended);
}

TEST(WireAttack, AnAuthenticBlockOfRubbishIsCounted) {
  const WireOptions options = options_for(three_of_five);
  WireEnds ends(options);
  ends.deliver(2000);
  Clone clone(options);
  for (std::uint64_t block = 0; block < 20; ++block) {
    std::vector<Bytes> packets;
    for (unsigned share = 1; share <= 5; ++share) packets.push_back(clone.seal(block, share));
    ends.receive(packets);
  }
  EXPECT_EQ(ends.received.blocks, 20U);
  EXPECT_GT(ends.received.blocks_malformed, 15U);
}

TEST(WireKeys, AReceiverWhoseKeysAreLateHoldsWhatComes) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver_to_sender(500);
  ends.deliver_to_receiver(100);
  std::vector<Bytes> expected;
  for (int round = 0; round < 30; ++round) {
    expected.push_back(ends.frame(240));
    ends.receive(ends.send({expected.back()}));
  }
  EXPECT_LT(ends.frames().size(), 30U);
  ends.deliver_to_receiver(400);
  ends.receive({});
  EXPECT_EQ(ends.received.blocks, 30U);
  EXPECT_EQ(ends.received.blocks_lost, 0U);
}

TEST(WireKeys, ShortageIsRefusedOrWaitedFor) {
  for (const auto policy : {protocol::ShortagePolicy::refuse, protocol::ShortagePolicy::wait}) {
    WireOptions options = options_for(three_of_five);
    options.ends.policy = policy;
    WireEnds ends(options);
    ends.deliver(50);
    std::vector<Bytes> frames;
    for (int i = 0; i < 30; ++i) frames.push_back(ends.frame(400));  // of several blocks
    auto packets = ends.send(frames);
    EXPECT_EQ(packets.size(), 50U);
    ends.receive(packets);
    const auto early = ends.frames();
    EXPECT_LT(early.size(), 20U);
    ends.deliver(1000);
    const Bytes last = ends.frame(100);
    ends.receive(ends.send({last}));
    const auto late = ends.frames();
    ASSERT_FALSE(late.empty());
    EXPECT_EQ(late.back(), last);
    if (policy == protocol::ShortagePolicy::wait) {
      EXPECT_EQ(early.size() + late.size(), 31U);
    } else {
      EXPECT_EQ(late.size(), 1U);
      EXPECT_EQ(ends.sent.frames_given_up + ends.received.frames_cut + early.size(), 30U);
      EXPECT_GT(ends.sent.blocks_given_up, 0U);
    }
    EXPECT_EQ(ends.received.blocks_lost, 0U);  // numbers were given to what was sent only
    EXPECT_EQ(ends.received.blocks_malformed, 0U);
  }
}

TEST(WireKeys, PadsOfBlocksThatNeverCameAreDiscarded) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(4000);
  for (int i = 0; i < 10; ++i) (void)ends.send({ends.frame(240)});  // lost, all of them
  ends.receive(ends.send({ends.frame(240)}));
  EXPECT_EQ(ends.ends.pads_in.account().discarded, 2U * 256);
  for (int i = 0; i < 5; ++i) {
    ends.advance(2 * ends.options.stream.reorder_ns);
    ends.receive(ends.send({ends.frame(240)}));
  }
  EXPECT_EQ(ends.ends.pads_in.account().left, ends.ends.pads_out.account().left);
}

TEST(WireKeys, EndedKeysGiveEverythingUp) {
  WireEnds ends(options_for(three_of_five));
  ends.deliver(100);
  ends.receive(without_shares(ends.send({ends.frame(240)}), {1, 2, 3}));
  EXPECT_EQ(ends.received.held, 2U);
  ends.ends.pads_out.end();
  ends.ends.tags_out.end();
  EXPECT_TRUE(ends.send({ends.frame(240)}).empty());
  EXPECT_EQ(ends.sent.frames_given_up, 1U);
  ends.collector->drop_all();
  ends.receive({});
  EXPECT_EQ(ends.received.held, 0U);
  EXPECT_EQ(ends.count(DropReason::epoch_ended), 2U);
}

TEST(WireNumbers, GenerationsWrap) {
  WireOptions options = options_for(three_of_five);
  options.first_block = (std::uint64_t{7} << 32) - 20;
  WireEnds ends(options);
  ends.deliver(1000);
  std::vector<Bytes> expected;
  std::vector<Bytes> packets;
  for (int i = 0; i < 40; ++i) {
    expected.push_back(ends.frame(240));
    for (Bytes& packet : ends.send({expected.back()})) packets.push_back(std::move(packet));
    if (packets.size() < 50) continue;
    std::reverse(packets.begin(), packets.end());
    ends.receive(packets);
    packets.clear();
  }
  EXPECT_EQ(ends.frames(), expected);
  EXPECT_EQ(ends.collector->base(), (std::uint64_t{7} << 32) + 20);
}

TEST(WireNumbers, HashKeysChange) {
  for (const char* const driver : {"", "cpu"}) {
    WireOptions options = options_for(three_of_five);
    options.driver = driver;
    WireEnds ends(options);
    ends.deliver(1 << 16);
    // To the end of the first hash key's numbers, which is no multiple of five.
    while (ends.ends.tags_out.next() < protocol::block_packets - 48) {
      const auto left = static_cast<std::uint32_t>(protocol::block_packets - 48 - ends.ends.tags_out.next());
      protocol::TagBurst burst;
      const protocol::Take take = ends.ends.tags_out.take(left, burst);
      if (take == protocol::Take::ok) {
        ends.ends.tags_out.discard(burst);
        ends.ends.tags_in.discard_below(ends.ends.tags_out.next());
      }
      ends.ends.tags_out.give_back(true);
      ends.ends.tags_in.give_back(true);
      ends.ends.a_out.deliver(1 << 16);
      ends.ends.a_in.deliver(1 << 16);
      ends.ends.poll();
    }
    std::vector<Bytes> expected;
    std::vector<Bytes> packets;
    for (int i = 0; i < 25; ++i) {
      expected.push_back(ends.frame(240));
      for (Bytes& packet : ends.send({expected.back()})) packets.push_back(std::move(packet));
    }
    std::reverse(packets.begin(), packets.end());
    ends.receive(packets);
    EXPECT_EQ(ends.frames(), expected);
    EXPECT_EQ(ends.ends.tags_out.next(),
              protocol::block_packets + 16 * 5);  // 48 is nine blocks and three numbers
    EXPECT_TRUE(ends.ends.balanced());
  }
}

}  // namespace
}  // namespace ssn::test
