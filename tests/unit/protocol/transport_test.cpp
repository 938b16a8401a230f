// SPDX-License-Identifier: BSD-3-Clause
// The transport between two ends over bad links, in virtual time.
#include <gtest/gtest.h>

#include <sstream>

#include "implementations.h"
#include "transport_world.h"

namespace ssn::protocol {
namespace {

using test::LinkOptions;
using test::one_ms;
using test::one_s;
using test::one_us;
using test::TransportEnd;
using test::TransportOptions;
using test::TransportWorld;

std::uint64_t seed_of_this_test() { return test::random_for_this_test().next(); }

std::string state_of(const TransportWorld& world) {
  std::ostringstream out;
  out << world.wrong();
  for (const auto& end : world.ends) {
    const SenderCounters& counters = end->sender.counters();
    const test::Traffic& traffic = end->traffic;
    out << "\n  at " << world.now_ns / one_us << " us: wanted " << traffic.wanted << " begun "
        << traffic.begun << " arrived " << traffic.arrived << " received " << traffic.received << " stored "
        << traffic.stored << " expired " << traffic.finished() << " lost " << counters.lost << " spurious "
        << counters.spurious << " pings " << counters.pings << " outstanding " << end->sender.outstanding()
        << " window " << end->sender.window().bytes() << " in flight " << end->sender.window().in_flight()
        << " round trip " << end->sender.round_trip().smoothed() << " credit " << end->sender.credit()
        << " limited";
    for (const std::uint64_t times : counters.limited) out << ' ' << times;
  }
  for (const auto& keys : world.keys) {
    out << "\n  dropped";
    for (const std::uint64_t times : keys->opened.dropped) out << ' ' << times;
    out << " opened " << keys->opened.opened << " repeated " << keys->opened.repeated << " pads gone "
        << keys->opened.pads_gone;
  }
  return out.str();
}

/// Runs until everything is done with, then until nothing is outstanding.
void finish(TransportWorld& world, std::uint64_t limit_ns) {
  EXPECT_TRUE(world.run(limit_ns, [&] { return world.finished(); })) << state_of(world);
  EXPECT_TRUE(world.run(10 * one_s, [&] { return world.quiet(); })) << state_of(world);
  for (const auto& end : world.ends) EXPECT_TRUE(end->sender.audit());
  for (const auto& keys : world.keys) EXPECT_TRUE(keys->balanced());
}

TEST(Transport, EverythingArrivesOverAGoodLinkWithoutRetransmission) {
  TransportOptions options;
  options.until_stored = true;
  LinkOptions link;
  link.queue_bytes = 16 << 20;
  TransportWorld world(options, link, link, seed_of_this_test());
  world.ends[0]->traffic.wanted = 5000;
  world.ends[1]->traffic.wanted = 300;
  finish(world, 10 * one_s);
  for (const auto& end : world.ends) {
    EXPECT_EQ(end->traffic.stored, end->traffic.wanted);
    EXPECT_EQ(end->sender.counters().sent_again, 0U) << state_of(world);
    EXPECT_EQ(end->sender.counters().spurious, 0U);
  }
  // Acknowledgements are few: one for 16 packets.
  EXPECT_LT(world.ends[1]->receiver.counters().acknowledgements, 5000U / 8) << state_of(world);
}

struct BadLink {
  unsigned loss, twice, mixed;
};

TEST(Transport, EverythingArrivesOnceOverBadLinksBothWays) {
  const std::uint64_t seed = seed_of_this_test();
  for (const BadLink& bad : {BadLink{1, 0, 0}, BadLink{0, 30, 0}, BadLink{0, 0, 50}, BadLink{5, 5, 10},
                             BadLink{15, 10, 20}, BadLink{30, 30, 30}}) {
    for (const bool cipher : {false, true}) {
      SCOPED_TRACE(testing::Message() << "loss " << bad.loss << " double " << bad.twice << " mixed "
                                      << bad.mixed << " cipher " << cipher);
      TransportOptions options;
      options.until_stored = true;
      options.cipher_only = cipher;
      if (cipher) {
        options.sender.computational = options.receiver.computational = true;
        options.ends.policy = ShortagePolicy::aes_256_gcm;
        options.ends.gcm = true;
      }
      LinkOptions link;
      link.loss_percent = bad.loss;
      link.double_percent = bad.twice;
      link.mix_percent = bad.mixed;
      TransportWorld world(options, link, link, seed + bad.loss);
      world.ends[0]->traffic.wanted = 600;
      world.ends[1]->traffic.wanted = 200;
      finish(world, 120 * one_s);
      EXPECT_EQ(world.ends[0]->traffic.stored, 600U);
      EXPECT_EQ(world.ends[1]->traffic.stored, 200U);
      const std::uint64_t again = world.ends[0]->sender.counters().sent_again;
      EXPECT_TRUE(bad.loss >= 5 ? again > 0 : bad.loss + bad.mixed > 0 || again <= world.there.lost) << again;
    }
  }
}

TEST(Transport, ALongPathIsFilled) {
  TransportOptions options;
  LinkOptions link;
  link.delay_ns = 5 * one_ms;  // a product of 600 KB
  link.bytes_per_second = 60'000'000;
  link.queue_bytes = 1 << 19;
  TransportWorld world(options, link, link, seed_of_this_test());
  world.ends[0]->traffic.wanted = 1'000'000;
  (void)world.run(one_s / 4, [] { return false; });
  const std::uint64_t before = world.ends[0]->traffic.received;
  (void)world.run(one_s / 2, [] { return false; });
  ASSERT_EQ(world.wrong(), "");
  const double packets = static_cast<double>(world.ends[0]->traffic.received - before);
  const double used = packets * (1344 + overhead_bytes) / 30'000'000.0;
  std::printf("share of the link: %.2f\n", used);
  EXPECT_GT(used, 0.85) << state_of(world);
}

TEST(Transport, TwoSendersShareALink) {
  TransportOptions options;
  LinkOptions link;
  link.delay_ns = one_ms;
  link.bytes_per_second = 60'000'000;
  link.queue_bytes = 128 << 10;
  TransportWorld world(options, link, link, seed_of_this_test(), 2);
  for (const std::size_t each : {0U, 2U}) world.ends[each]->traffic.wanted = 1'000'000;
  (void)world.run(one_s / 4, [] { return false; });
  const std::uint64_t first = world.ends[0]->traffic.received;
  const std::uint64_t second = world.ends[2]->traffic.received;
  (void)world.run(one_s / 2, [] { return false; });
  ASSERT_EQ(world.wrong(), "");
  const double a = static_cast<double>(world.ends[0]->traffic.received - first);
  const double b = static_cast<double>(world.ends[2]->traffic.received - second);
  const double fairness = (a + b) * (a + b) / (2 * (a * a + b * b));  // Jain
  const double used = (a + b) * (1344 + overhead_bytes) / 30'000'000.0;
  std::printf("%.0f and %.0f packets, fairness %.3f, link used %.2f\n", a, b, fairness, used);
  EXPECT_GT(fairness, 0.8) << state_of(world);
  EXPECT_GT(used, 0.8) << state_of(world);
}

TEST(Transport, CreditThatRunsOutAndComesBackStopsNothingForEver) {
  TransportOptions options;
  LinkOptions link;
  link.loss_percent = 20;
  options.credit = 40;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& receiver = *world.ends[1];
  world.ends[0]->traffic.wanted = 500;
  ASSERT_TRUE(world.run(one_s, [&] { return world.ends[0]->traffic.arrived >= 100; })) << state_of(world);
  receiver.credit = 0;
  (void)world.run(one_s, [] { return false; });
  const std::uint64_t arrived = world.ends[0]->traffic.arrived;
  (void)world.run(2 * one_s, [] { return false; });
  ASSERT_EQ(world.wrong(), "");
  EXPECT_EQ(world.ends[0]->traffic.arrived, arrived);  // not a single one more
  EXPECT_LE(arrived, 140U);
  EXPECT_LT(arrived, 500U);
  receiver.credit = 40;
  finish(world, 60 * one_s);
  EXPECT_EQ(world.ends[0]->traffic.received, 500U);
}

TEST(Transport, PadsThatAreSpentAheadOfTheReceiverHoldTheSenderBack) {
  TransportOptions options;
  options.ends.d_ring = 1 << 16;  // 48 cells of 1344 bytes
  options.sender.peer_pad_ring_bytes = 1 << 16;
  LinkOptions link;
  link.loss_percent = 10;
  TransportWorld world(options, link, link, seed_of_this_test());
  world.ends[0]->traffic.wanted = 1000;
  finish(world, 60 * one_s);
  EXPECT_EQ(world.ends[0]->traffic.received, 1000U);
  EXPECT_EQ(world.keys[0]->opened.dropped_for(DropReason::pad_not_delivered), 0U);
}

TEST(Transport, PadsThatComeLateAreWaitedFor) {
  TransportOptions options;
  options.pad_bytes = 100 * 1344;
  LinkOptions link;
  TransportWorld world(options, link, link, seed_of_this_test());
  test::PacketEnds& keys = *world.keys[0];
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 3000;
  (void)world.run(one_s / 2, [] { return false; });
  EXPECT_EQ(sender.traffic.begun, 100U);
  keys.d_out.deliver(1 << 30);  // the sender's device is ahead of the receiver's
  (void)world.run(one_s / 2, [] { return false; });
  EXPECT_EQ(sender.traffic.arrived, 100U);
  EXPECT_GT(keys.opened.dropped_for(DropReason::pad_not_delivered), 0U);
  keys.d_in.deliver(1 << 30);
  finish(world, 10 * one_s);
  EXPECT_EQ(sender.traffic.received, 3000U);
}

TEST(Transport, WhatIsGivenUpLeavesNoHoleThatStopsTheReceiver) {
  TransportOptions options;
  options.ends.d_ring = 1 << 16;
  options.sender.peer_pad_ring_bytes = 1 << 16;
  LinkOptions link;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  // Sealed, and lost for ever.
  world.there.options.cut = true;
  sender.traffic.deadline_ns = 5 * one_ms;
  sender.traffic.wanted = 10;
  ASSERT_TRUE(world.run(one_s, [&] { return sender.traffic.finished() == 10; })) << state_of(world);
  EXPECT_EQ(sender.traffic.expired[ExpireReason::deadline], 10U);
  world.there.options.cut = false;
  sender.traffic.deadline_ns = UINT64_MAX;
  sender.traffic.wanted = 1000;  // twenty rings
  EXPECT_TRUE(world.run(30 * one_s, [&] { return sender.traffic.received == 990; })) << state_of(world);
  EXPECT_GT(world.keys[0]->pads_in.account().discarded, 0U);
}

TEST(Transport, DeadlinesEndInTypedResultsInTime) {
  TransportOptions options;
  options.until_stored = true;
  LinkOptions link;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.deadline_ns = 20 * one_ms;
  world.ends[1]->stores = false;  // arrives, and is never durable
  sender.traffic.wanted = 5;
  const std::uint64_t begin = world.now_ns;
  ASSERT_TRUE(world.run(one_s, [&] { return sender.traffic.finished() == 5; })) << state_of(world);
  EXPECT_EQ(sender.traffic.received, 5U);
  EXPECT_EQ(sender.traffic.expired[ExpireReason::not_stored], 5U);
  EXPECT_GE(world.now_ns - begin, 20 * one_ms);
  EXPECT_LE(world.now_ns - begin, 23 * one_ms);
  world.there.options.cut = true;
  sender.traffic.wanted = 8;
  const std::uint64_t cut = world.now_ns;
  ASSERT_TRUE(world.run(one_s, [&] { return sender.traffic.finished() == 8; })) << state_of(world);
  EXPECT_EQ(sender.traffic.expired[ExpireReason::deadline], 3U);
  EXPECT_LE(world.now_ns - cut, 23 * one_ms);
}

TEST(Transport, AStoredAcknowledgementThatIsLostIsAskedForAgain) {
  TransportOptions options;
  options.until_stored = true;
  LinkOptions link;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 50;
  ASSERT_TRUE(world.run(one_s, [&] { return sender.traffic.received == 50; })) << state_of(world);
  world.back.options.cut = true;
  (void)world.run(10 * one_ms, [] { return false; });  // stored, and told nobody
  EXPECT_LT(sender.traffic.stored, 50U);
  world.back.options.cut = false;
  finish(world, 2 * one_s);
  EXPECT_EQ(sender.traffic.stored, 50U);
}

TEST(Transport, AnAbandonedPacketIsNeverSentAgain) {
  TransportOptions options;
  LinkOptions link;
  link.cut = true;
  TransportWorld world(options, link, LinkOptions{}, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 3;
  (void)world.run(one_ms, [] { return false; });
  sender.give_up(1);
  world.there.options.cut = false;
  ASSERT_TRUE(world.run(5 * one_s, [&] { return world.finished(); })) << state_of(world);
  EXPECT_EQ(sender.traffic.expired[ExpireReason::abandoned], 1U);
  EXPECT_EQ(sender.traffic.received, 2U);
  EXPECT_EQ(sender.traffic.arrived, 2U);
}

TEST(Transport, APadThatTheReceiverDiscardedEndsInATypedResult) {
  TransportOptions options;
  LinkOptions link;
  link.cut = true;
  TransportWorld world(options, link, LinkOptions{}, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 3;
  (void)world.run(one_ms, [] { return false; });
  (void)world.keys[0]->pads_in.discard(1344, 1344);  // the second one's
  world.there.options.cut = false;
  ASSERT_TRUE(world.run(5 * one_s, [&] { return world.finished(); })) << state_of(world);
  EXPECT_EQ(sender.traffic.expired[ExpireReason::pad_gone], 1U);
  EXPECT_EQ(sender.traffic.received, 2U);
}

TEST(Transport, ASilentPeerIsSuspectAndComesBack) {
  TransportOptions options;
  LinkOptions link;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 10;
  finish(world, one_s);
  EXPECT_FALSE(sender.sender.suspect());
  // Nothing is asked: keepalives tell.
  (void)world.run(5 * one_s, [] { return false; });
  EXPECT_FALSE(sender.sender.suspect());
  EXPECT_GE(sender.sender.counters().pings + world.ends[1]->sender.counters().pings, 4U);
  world.there.options.cut = world.back.options.cut = true;
  EXPECT_TRUE(world.run(6 * one_s, [&] { return sender.sender.suspect(); })) << state_of(world);
  EXPECT_EQ(sender.channel.allowance(1344, 1, world.now_ns).limit, SendLimit::suspect);
  const std::uint64_t pings = sender.sender.counters().pings;
  (void)world.run(2 * one_s, [] { return false; });
  EXPECT_LE(sender.sender.counters().pings - pings, 50U);
  EXPECT_GE(sender.sender.counters().pings - pings, 5U);
  world.there.options.cut = world.back.options.cut = false;
  EXPECT_TRUE(world.run(one_s, [&] { return !sender.sender.suspect(); })) << state_of(world);
  sender.traffic.wanted = 200;
  finish(world, 2 * one_s);
  EXPECT_EQ(sender.traffic.received, 200U);
}

TEST(Transport, ALongCutIsPersistentCongestionAndTrafficRecovers) {
  TransportOptions options;
  LinkOptions link;
  link.bytes_per_second = 125'000'000;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 1'000'000;
  (void)world.run(20 * one_ms, [] { return false; });
  const std::uint64_t window = sender.sender.window().bytes();
  world.there.options.cut = true;
  (void)world.run(one_s / 2, [] { return false; });
  world.there.options.cut = false;
  ASSERT_TRUE(world.run(one_s, [&] { return sender.sender.counters().persistent != 0; })) << state_of(world);
  EXPECT_LT(sender.sender.window().bytes(), window);
  const std::uint64_t received = sender.traffic.received;
  (void)world.run(100 * one_ms, [] { return false; });
  EXPECT_EQ(world.wrong(), "");
  EXPECT_GT(sender.traffic.received - received, 1000U) << state_of(world);
}

TEST(Transport, PacketsThatAreMixedAreNotLostForLong) {
  TransportOptions options;
  LinkOptions link;
  link.mix_percent = 20;
  link.mix_ns = 30 * one_us;
  link.queue_bytes = 16 << 20;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 2000;
  ASSERT_TRUE(world.run(5 * one_s, [&] { return sender.traffic.received == 2000; })) << state_of(world);
  EXPECT_GT(sender.sender.counters().spurious, 0U);
  EXPECT_GT(sender.sender.packet_threshold(), 3U);
  const std::uint64_t spurious = sender.sender.counters().spurious;
  sender.traffic.wanted = 6000;
  ASSERT_TRUE(world.run(5 * one_s, [&] { return sender.traffic.received == 6000; })) << state_of(world);
  // Twice as many packets, and hardly any that was taken for lost.
  EXPECT_LT(sender.sender.counters().spurious - spurious, 40U) << state_of(world);
}

TEST(Transport, AnEndedEpochGivesEverythingBack) {
  TransportOptions options;
  options.until_stored = true;
  LinkOptions link;
  link.loss_percent = 20;
  TransportWorld world(options, link, link, seed_of_this_test());
  TransportEnd& sender = *world.ends[0];
  sender.traffic.wanted = 2000;
  (void)world.run(3 * one_ms, [] { return false; });
  ASSERT_GT(sender.sender.outstanding(), 0U);
  sender.channel.end(world.now_ns);
  sender.traffic.wanted = sender.traffic.begun;
  ASSERT_TRUE(world.run(one_ms, [&] { return sender.sender.outstanding() == 0; })) << state_of(world);
  EXPECT_EQ(sender.traffic.stored + sender.traffic.finished(), sender.traffic.begun);
  EXPECT_EQ(sender.sender.next_due(), UINT64_MAX);
  EXPECT_EQ(sender.channel.allowance(1344, 1, world.now_ns).limit, SendLimit::ended);
}

TEST(Transport, AKeyOfTheCipherThatNobodyUsesDoesNotHoldUpTheRing) {
  TransportOptions options;
  options.ends.d_ring = 1 << 16;
  options.sender.peer_pad_ring_bytes = 1 << 16;
  options.sender.computational = options.receiver.computational = true;
  options.ends.policy = ShortagePolicy::aes_256_gcm;
  options.ends.gcm = true;
  LinkOptions link;
  link.loss_percent = 10;
  TransportWorld world(options, link, link, seed_of_this_test());
  world.ends[0]->traffic.wanted = 1000;  // twenty rings under pads; the first granule is a key
  finish(world, 60 * one_s);
  EXPECT_EQ(world.ends[0]->traffic.received, 1000U);
  EXPECT_GT(world.keys[0]->opened.opened_computational, 0U);
}

}  // namespace
}  // namespace ssn::protocol
