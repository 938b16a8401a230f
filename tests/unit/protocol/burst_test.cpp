// SPDX-License-Identifier: BSD-3-Clause
// Opening takes the cells of a burst that continue one another at once. Whatever a burst holds, it must come
// to what opening its packets one by one, in their order, comes to.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::EndsOptions;
using test::PacketEnds;
using test::TestRandom;

constexpr std::uint64_t much = 1 << 16;

std::vector<Bytes> seal_some(PacketEnds& ends, std::size_t count, std::size_t length = 1344) {
  for (std::size_t i = 0; i < count; ++i) ends.out.prepare(i, length, ends.random);
  const auto burst = ends.out.burst(count);
  EXPECT_EQ(ends.sealer.seal(ends.send, burst), count);
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < count; ++i) packets.push_back(ends.out.packet(i));
  return packets;
}

std::vector<Bytes> retransmit(PacketEnds& ends, std::size_t count) {
  const auto burst = ends.out.burst(count);
  EXPECT_EQ(ends.sealer.retransmit(ends.send, burst), count);
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < count; ++i) packets.push_back(ends.out.packet(i));
  return packets;
}

std::vector<OpenResult> open_burst(PacketEnds& ends, const std::vector<Bytes>& packets) {
  for (std::size_t i = 0; i < packets.size(); ++i) ends.in.receive(i, packets[i]);
  ends.opener.open(ends.in.burst(packets.size()));
  std::vector<OpenResult> results;
  for (std::size_t i = 0; i < packets.size(); ++i) results.push_back(ends.in[i].open_result);
  return results;
}

bool is_plain(PacketEnds& ends, std::size_t in, std::size_t out) {
  const Cell& cell = ends.in[in];
  return std::equal(cell.target, cell.target + cell.length, ends.out.plaintext(out));
}

constexpr OpenResult opened = OpenResult::opened;
constexpr OpenResult dropped = OpenResult::dropped;
constexpr OpenResult repeated = OpenResult::repeated;
constexpr OpenResult alarm = OpenResult::alarm;

TEST(Bursts, ADuplicateBesideItsPacketIsDropped) {
  PacketEnds ends;
  ends.deliver(much, much);
  const std::vector<Bytes> p = seal_some(ends, 3);
  EXPECT_EQ(open_burst(ends, {p[0], p[1], p[1], p[2], p[0]}),
            (std::vector{opened, opened, dropped, opened, dropped}));
  EXPECT_EQ(ends.in[2].reason, DropReason::number_replayed);
  EXPECT_EQ(ends.in[4].reason, DropReason::number_replayed);
  EXPECT_EQ(ends.pads_in.account().used, 3U * 1344);
  EXPECT_TRUE(ends.balanced());
}

TEST(Bursts, ARetransmissionBesideItsPacketIsNotDecrypted) {
  PacketEnds ends;
  ends.deliver(much, much);
  std::vector<Bytes> packets = seal_some(ends, 2);
  for (const Bytes& packet : retransmit(ends, 2)) packets.push_back(packet);
  EXPECT_EQ(open_burst(ends, packets), (std::vector{opened, opened, repeated, repeated}));
  EXPECT_TRUE(is_plain(ends, 0, 0) && is_plain(ends, 1, 1));
  EXPECT_TRUE(std::equal(packets[3].begin() + 64, packets[3].end(), ends.in[3].data));
  EXPECT_EQ(ends.pads_in.account().used, 2U * 1344);
  EXPECT_TRUE(ends.balanced());
}

TEST(Bursts, AForgeryAmongThemChangesNothing) {
  PacketEnds ends;
  ends.deliver(much, much);
  const std::vector<Bytes> p = seal_some(ends, 6);
  Bytes forged = p[2];
  forged[500] ^= 1;
  Bytes last = p[5];
  last[60] ^= 1;
  EXPECT_EQ(open_burst(ends, {p[0], p[1], forged, p[3], p[4], last}),
            (std::vector{opened, opened, dropped, opened, opened, dropped}));
  EXPECT_EQ(ends.in[2].reason, DropReason::bad_tag);
  EXPECT_EQ(ends.in[5].reason, DropReason::bad_tag);
  EXPECT_EQ(ends.pads_in.account().used, 4U * 1344);
  EXPECT_EQ(ends.tags_in.account().used, 16U + 4 * 16);
  EXPECT_EQ(open_burst(ends, {p[5], p[2]}), (std::vector{opened, opened}));
  EXPECT_TRUE(is_plain(ends, 0, 5) && is_plain(ends, 1, 2));
  EXPECT_TRUE(ends.balanced());
}

TEST(Bursts, ASecondMessageUnderOneRangeEndsTheEpochForTheRest) {
  PacketEnds ends;
  PacketEnds clone;
  clone.random = TestRandom(2);
  ends.deliver(much, much);
  clone.deliver(much, much);
  const std::vector<Bytes> p = seal_some(ends, 3);
  (void)seal_some(clone, 3);
  const std::vector<Bytes> again = retransmit(clone, 3);  // fresh numbers, ranges that were used
  EXPECT_EQ(open_burst(ends, {p[0], p[1], p[2], again[0], again[1]}),
            (std::vector{opened, opened, opened, alarm, dropped}));
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::range_reused);
  EXPECT_EQ(ends.in[4].reason, DropReason::epoch_ended);
  EXPECT_EQ(ends.pads_in.account().left, 0U);
  EXPECT_TRUE(ends.balanced());
}

TEST(Bursts, SuccessiveNumbersWithOverlappingRangesEndTheEpoch) {
  PacketEnds ends;
  PacketEnds clone;
  ends.deliver(much, much);
  clone.deliver(much, much);
  const std::vector<Bytes> p = seal_some(ends, 1);
  (void)seal_some(clone, 1, 640);  // number 0, half of the range
  const std::vector<Bytes> second = seal_some(clone, 1);
  EXPECT_EQ(open_burst(ends, {p[0], second[0]}), (std::vector{opened, alarm}));
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::range_overlap);
  EXPECT_EQ(ends.pads_in.account().used, 1344U);
}

TEST(Bursts, AreOpenedAsFarAsKeysAreThere) {
  PacketEnds ends;
  ends.d_out.deliver(much);
  ends.d_in.deliver(3 * 1344 + 100);
  ends.a_out.deliver(much);
  ends.a_in.deliver(16 + 5 * 16);
  ends.poll();
  const std::vector<Bytes> p = seal_some(ends, 7);
  EXPECT_EQ(open_burst(ends, p), (std::vector{opened, opened, opened, dropped, dropped, dropped, dropped}));
  EXPECT_EQ(ends.in[4].reason, DropReason::pad_not_delivered);
  EXPECT_EQ(ends.in[5].reason, DropReason::mask_not_delivered);
  ends.d_in.deliver(much);
  ends.a_in.deliver(much);
  ends.poll();
  EXPECT_EQ(open_burst(ends, {p[3], p[4], p[5], p[6]}), (std::vector{opened, opened, opened, opened}));
  EXPECT_TRUE(is_plain(ends, 3, 6));
  EXPECT_TRUE(ends.balanced());
}

TEST(Bursts, ACellWithoutRoomLeavesItsNumberFresh) {
  PacketEnds ends;
  ends.deliver(much, much);
  const std::vector<Bytes> p = seal_some(ends, 3);
  for (std::size_t i = 0; i < 3; ++i) ends.in.receive(i, p[i]);
  ends.in[1].target_room = 1343;
  ends.in[2].target = nullptr;  // over the ciphertext
  ends.opener.open(ends.in.burst(3));
  EXPECT_EQ(ends.in[0].open_result, opened);
  EXPECT_EQ(ends.in[1].reason, DropReason::no_room);
  EXPECT_EQ(ends.in[2].open_result, opened);
  EXPECT_TRUE(ends.in[2].target == ends.in[2].data && is_plain(ends, 2, 2));
  EXPECT_EQ(ends.open_one(p[1]), opened);
  EXPECT_TRUE(is_plain(ends, 0, 1));
}

TEST(Bursts, OfSeveralSendersMayBeMixed) {
  PacketEnds ends;
  PacketEnds other({.connection_id = 0x01020305, .ksid = 2});
  ends.deliver(much, much);
  other.deliver(much, much);
  ASSERT_TRUE(ends.table.add(other.connection));
  const std::vector<Bytes> a = seal_some(ends, 4);
  const std::vector<Bytes> b = seal_some(other, 4, 1280);
  EXPECT_EQ(open_burst(ends, {a[0], b[0], a[1], Bytes(70), b[1], b[1], a[2], b[3], b[2], a[3]}),
            (std::vector{opened, opened, opened, dropped, opened, dropped, opened, opened, opened, opened}));
  EXPECT_EQ(ends.in[5].reason, DropReason::number_replayed);
  EXPECT_TRUE(is_plain(ends, 6, 2) && is_plain(ends, 9, 3));
  EXPECT_TRUE(std::equal(ends.in[7].target, ends.in[7].target + 1280, other.out.plaintext(3)));
  EXPECT_EQ(ends.pads_in.account().used, 4U * 1344);
  EXPECT_EQ(other.pads_in.account().used, 4U * 1280);
  EXPECT_TRUE(ends.balanced() && other.balanced());
}

/// What a network that loses, repeats, reorders and forges makes of packets.
class Network {
 public:
  explicit Network(TestRandom& random) : random_(&random) {}

  std::vector<Bytes> deliver(const std::vector<Bytes>& sent) {
    std::vector<Bytes> out;
    for (const Bytes& packet : sent) {
      if (chance(12)) continue;
      if (chance(12)) out.push_back(forged(packet));
      out.push_back(packet);
      if (chance(12)) out.push_back(packet);
      if (out.size() >= 2 && chance(10)) std::swap(out.back(), out[out.size() - 2]);
      if (!old_.empty() && chance(20)) out.push_back(old_[random_->below(old_.size())]);
    }
    for (const Bytes& packet : sent) {
      if (old_.size() < 100) {
        old_.push_back(packet);
      } else {
        old_[random_->below(old_.size())] = packet;
      }
    }
    if (out.size() > 64) out.resize(64);
    return out;
  }

 private:
  bool chance(std::size_t one_in) { return random_->below(one_in) == 0; }
  Bytes forged(Bytes packet) {
    std::uint8_t& byte = packet[random_->below(packet.size())];
    byte = static_cast<std::uint8_t>(byte ^ random_->nonzero_byte());
    return packet;
  }

  TestRandom* random_;
  std::vector<Bytes> old_;
};

std::vector<Bytes> send_something(PacketEnds& ends, TestRandom& random) {
  std::vector<Bytes> out;
  const auto append = [&](std::vector<Bytes> more) { out.insert(out.end(), more.begin(), more.end()); };
  for (unsigned part = random.between(1, 3); part > 0; --part) {
    const std::size_t length = random.coin() ? 1344 : 1 + random.below(1500);
    const std::size_t count = 1 + random.below(12);
    append(seal_some(ends, count, length));
    if (random.below(4) == 0) append(retransmit(ends, 1 + random.below(count)));
    if (random.below(4) == 0) {
      Bytes share(128);
      ends.out.prepare(0, keep_order_bytes, ends.random);
      EXPECT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], KeepOrder{1, 128, 1}, share),
                SealResult::sealed);
      out.push_back(ends.out.packet(0));
    }
  }
  return out;
}

void expect_same(const Cell& burst, const Cell& single) {
  ASSERT_EQ(burst.open_result, single.open_result) << name(burst.reason) << ", " << name(single.reason);
  ASSERT_EQ(burst.reason, single.reason);
  ASSERT_EQ(burst.length, single.length);
  ASSERT_EQ(burst.range_length, single.range_length);
  if (burst.open_result == opened) {
    ASSERT_TRUE(std::equal(burst.target, burst.target + burst.length, single.target));
  }
}

void expect_same(const PacketEnds& burst, const PacketEnds& single) {
  const auto state = [](const PacketEnds& ends) {
    const KeyAccount& d = ends.pads_in.account();
    const KeyAccount& a = ends.tags_in.account();
    return std::array{d.fetched,
                      d.used,
                      d.kept,
                      d.discarded,
                      d.left,
                      a.fetched,
                      a.used,
                      a.discarded,
                      a.left,
                      ends.pads_in.seen(),
                      ends.tags_in.seen(),
                      ends.tags_in.floor(),
                      ends.marks[2].progress(),
                      ends.marks[3].progress(),
                      ends.opened.opened,
                      ends.opened.opened_bytes,
                      ends.opened.repeated,
                      ends.opened.pads_gone};
  };
  ASSERT_EQ(state(burst), state(single));
  ASSERT_TRUE(burst.balanced() && single.balanced());
}

TEST(Bursts, ComeToWhatTheirPacketsComeToOneByOne) {
  TestRandom random = TestRandom::labelled("Bursts.ComeToWhatTheirPacketsComeToOneByOne");
  const EndsOptions options{.d_ring = std::size_t{1} << 18, .a_ring = std::size_t{1} << 14, .window = 128};
  PacketEnds ends(options);
  PacketEnds single(options);
  Network network(random);
  std::size_t packets = 0;
  for (int round = 0; round < 400; ++round) {
    for (PacketEnds* const each : {&ends, &single}) {
      each->deliver(1 << 18, 1 << 14);
    }
    const std::vector<Bytes> arrived = network.deliver(send_something(ends, random));
    (void)open_burst(ends, arrived);
    for (std::size_t i = 0; i < arrived.size(); ++i) {
      single.in.receive(i, arrived[i]);
      Cell* const one[] = {&single.in[i]};
      single.opener.open(one);
      ASSERT_NO_FATAL_FAILURE(expect_same(ends.in[i], single.in[i])) << "round " << round << ", packet " << i;
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(ends, single)) << "round " << round;
    for (PacketEnds* const each : {&ends, &single}) {
      // What was lost would hold up the rings.
      (void)each->pads_in.discard_below(ends.pads_out.next() > 100000 ? ends.pads_out.next() - 100000 : 0);
      each->pads_in.give_back(true);
      each->tags_in.give_back(true);
    }
    packets += arrived.size();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(ends.opened.opened, packets / 2);
  EXPECT_GT(ends.pads_in.account().used, 4U << 18);  // around the ring
  EXPECT_GT(ends.opened.repeated, 20U);
  EXPECT_GT(ends.opened.dropped_for(DropReason::bad_tag), 20U);
  EXPECT_GT(ends.opened.dropped_for(DropReason::number_replayed), 20U);
  EXPECT_GT(ends.opened.dropped_for(DropReason::number_too_old), 0U);
  EXPECT_FALSE(ends.receive.ended);
}

}  // namespace
}  // namespace ssn::protocol
