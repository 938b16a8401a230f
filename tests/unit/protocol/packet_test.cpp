// SPDX-License-Identifier: BSD-3-Clause
// Sealing and opening: what arrives, in what order things are checked, and what a forger can change.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "implementations.h"
#include "openssl.h"
#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::EndsOptions;
using test::PacketEnds;
using test::TestRandom;

constexpr std::uint64_t much = 1 << 18;

/// Everything that a packet which is not authentic must leave as it was.
struct State {
  explicit State(const PacketEnds& ends)
      : accounts{ends.pads_in.account(), ends.tags_in.account()},
        numbers{ends.pads_in.seen(),      ends.tags_in.seen(), ends.tags_in.floor(), ends.marks[2].progress(),
                ends.marks[3].progress(), ends.opened.opened,  ends.opened.repeated, ends.opened.pads_gone},
        ended(ends.receive.ended) {}
  bool operator==(const State& other) const {
    const auto same = [](const KeyAccount& a, const KeyAccount& b) {
      return a.fetched == b.fetched && a.used == b.used && a.kept == b.kept && a.discarded == b.discarded &&
             a.left == b.left;
    };
    return same(accounts[0], other.accounts[0]) && same(accounts[1], other.accounts[1]) &&
           numbers == other.numbers && ended == other.ended;
  }
  std::array<KeyAccount, 2> accounts;
  std::array<std::uint64_t, 8> numbers;
  bool ended;
};

/// The hash key was moved once the first packet came: so that State sees no difference later.
void warm_up(PacketEnds& ends) {
  Bytes plain;
  ASSERT_EQ(ends.open_one(ends.seal_one(64, plain)), OpenResult::opened);
}

TEST(Packets, CellsArriveAsTheyWereSealed) {
  PacketEnds ends;
  ends.random = test::random_for_this_test();
  ends.deliver(std::uint64_t{1} << 20, much);
  for (const std::size_t length : {std::size_t{1344}, std::size_t{64}, std::size_t{1}, std::size_t{1408},
                                   max_payload, std::size_t{1343}}) {
    for (std::size_t i = 0; i < 8; ++i) ends.out.prepare(i, length, ends.random);
    const auto burst = ends.out.burst(8);
    ASSERT_EQ(ends.sealer.seal(ends.send, burst), 8U);
    for (std::size_t i = 0; i < 8; ++i) ends.in.receive(i, ends.out.packet(i));
    const auto arrived = ends.in.burst(8);
    ends.opener.open(arrived);
    for (std::size_t i = 0; i < 8; ++i) {
      ASSERT_EQ(ends.in[i].open_result, OpenResult::opened) << name(ends.in[i].reason);
      EXPECT_EQ(ends.in[i].header, ends.out[i].header);
      ASSERT_EQ(ends.in[i].length, length);
      EXPECT_TRUE(std::equal(ends.in[i].target, ends.in[i].target + length, ends.out.plaintext(i)));
    }
    ends.poll();
    EXPECT_TRUE(ends.balanced());
  }
  EXPECT_EQ(ends.pads_out.account().used, ends.pads_in.account().used);
  EXPECT_EQ(ends.sent.sealed_bytes, ends.opened.opened_bytes);
}

class PacketsOfOneImplementation : public test::PerImplementation {};
SSN_FOR_EVERY_IMPLEMENTATION(PacketsOfOneImplementation);

// With keys that are AES's, a sealed packet is what OpenSSL makes with AES-256-GCM.
TEST_P(PacketsOfOneImplementation, ASealedPacketIsOpensslsGcm) {
  TestRandom random = test::random_for_this_test();
  for (const std::size_t length : {std::size_t{1344}, std::size_t{1000}, std::size_t{16}}) {
    EndsOptions options;
    options.implementation = &implementation();
    PacketEnds ends(options);
    const Bytes key = random.bytes(32);
    const Bytes iv = random.bytes(12);
    test::reference::Block first{};
    std::copy(iv.begin(), iv.end(), first.begin());
    first[15] = 1;
    const test::reference::Block r = test::openssl::aes_block(key, {});
    const test::reference::Block mask = test::openssl::aes_block(key, first);
    const Bytes keystream = test::openssl::gcm(key, iv, {}, Bytes(length)).ciphertext;
    for (test::TestKeyStream* stream : {&ends.a_out, &ends.a_in, &ends.d_out, &ends.d_in}) {
      stream->deliver(1 << 16);  // into the ring, but not yet taken in by our end
      (void)ssn_key_stream_poll(&stream->stream());
    }
    for (test::TestKeyStream* stream : {&ends.a_out, &ends.a_in}) {
      std::copy(r.begin(), r.end(), stream->stream().ring);
      std::copy(mask.begin(), mask.end(), stream->stream().ring + 16);
    }
    std::copy(keystream.begin(), keystream.end(), ends.d_out.stream().ring);
    std::copy(keystream.begin(), keystream.end(), ends.d_in.stream().ring);
    ends.poll();
    Bytes plain;
    const Bytes packet = ends.seal_one(length, plain);
    ASSERT_EQ(packet.size(), length + 64);
    const Bytes header(packet.begin(), packet.begin() + 48);
    const test::openssl::Sealed expected = test::openssl::gcm(key, iv, header, plain);
    EXPECT_TRUE(std::equal(expected.tag.begin(), expected.tag.end(), packet.begin() + 48));
    EXPECT_TRUE(std::equal(expected.ciphertext.begin(), expected.ciphertext.end(), packet.begin() + 64));
    EXPECT_EQ(ends.open_one(packet), OpenResult::opened);
  }
}

TEST(Packets, EveryBitOfAPacketIsProtected) {
  PacketEnds ends;
  ends.deliver(1 << 16, much);
  warm_up(ends);
  Bytes plain;
  const Bytes packet = ends.seal_one(64, plain);
  const State before(ends);
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    Bytes flipped = packet;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_EQ(ends.open_one(flipped), OpenResult::dropped) << "bit " << bit;
    ASSERT_TRUE(State(ends) == before) << "bit " << bit << ", " << name(ends.in[0].reason);
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{64}, packet.size() - 1}) {
    ASSERT_EQ(ends.open_one(Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length))),
              OpenResult::dropped);
  }
  Bytes longer = packet;
  longer.push_back(0);
  ASSERT_EQ(ends.open_one(longer), OpenResult::dropped);
  EXPECT_TRUE(State(ends) == before);
  EXPECT_GT(ends.opened.dropped_for(DropReason::bad_tag), 700U);
  EXPECT_EQ(ends.open_one(packet), OpenResult::opened);
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), ends.in[0].target));
  EXPECT_TRUE(ends.balanced());
}

TEST(Packets, ADuplicateIsDroppedAndARetransmissionAcknowledgedAgain) {
  PacketEnds ends;
  ends.deliver(1 << 16, much);
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  const auto burst = ends.out.burst(1);
  ASSERT_EQ(ends.sealer.retransmit(ends.send, burst), 1U);
  const Bytes again = ends.out.packet(0);
  // The same bytes at the same range under another number, hence another tag.
  EXPECT_TRUE(std::equal(packet.begin() + 64, packet.end(), again.begin() + 64));
  EXPECT_FALSE(std::equal(packet.begin() + 48, packet.begin() + 64, again.begin() + 48));
  EXPECT_EQ(ends.sent.retransmitted, 1U);
  EXPECT_EQ(ends.open_one(again), OpenResult::opened);
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), ends.in[0].target));
  const KeyAccount account = ends.pads_in.account();
  EXPECT_EQ(ends.open_one(again), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::number_replayed);
  EXPECT_EQ(ends.open_one(packet), OpenResult::repeated);
  EXPECT_TRUE(std::equal(packet.begin() + 64, packet.end(), ends.in[0].data)) << "a repeat was decrypted";
  EXPECT_EQ(ends.pads_in.account().used, account.used);
  EXPECT_FALSE(ends.receive.ended);
}

TEST(Packets, PadsAreErasedAtBothEndsOnceUsed) {
  PacketEnds ends;
  ends.deliver(1 << 16, much);
  const Bytes pad(ends.d_out.stream().ring, ends.d_out.stream().ring + 1344);
  EXPECT_EQ(pad, test::key_bytes(ends.d_out.ksid(), 0, 1344));  // the control: it was there
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  EXPECT_EQ(Bytes(ends.d_out.stream().ring, ends.d_out.stream().ring + 1344), Bytes(1344));
  EXPECT_EQ(Bytes(ends.a_out.stream().ring, ends.a_out.stream().ring + 32), Bytes(32));
  EXPECT_EQ(Bytes(ends.d_in.stream().ring, ends.d_in.stream().ring + 1344), pad);
  ASSERT_EQ(ends.open_one(packet), OpenResult::opened);
  EXPECT_EQ(Bytes(ends.d_in.stream().ring, ends.d_in.stream().ring + 1344), Bytes(1344));
  EXPECT_EQ(Bytes(ends.a_in.stream().ring, ends.a_in.stream().ring + 32), Bytes(32));
}

TEST(Packets, UnknownConnectionsAndKeysAreDroppedSilently) {
  PacketEnds ends;
  ends.deliver(1 << 16, much);
  Bytes plain;
  const Bytes packet = ends.seal_one(64, plain);
  Bytes other = packet;
  other[4] ^= 0x80;  // not the place in the table
  EXPECT_EQ(ends.open_one(other), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::unknown_connection);
  other = packet;
  other[3] ^= 1;
  EXPECT_EQ(ends.open_one(other), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::unknown_key_index);
  ends.table.remove(ends.options.connection_id);
  EXPECT_EQ(ends.open_one(packet), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::unknown_connection);
  EXPECT_TRUE(ends.table.add(ends.connection));
  EXPECT_FALSE(ends.table.add(ends.connection));
  EXPECT_EQ(ends.open_one(packet), OpenResult::opened);
}

// Two senders with the same keys: what a cloned or rolled back node would be.
class Clones : public testing::Test {
 protected:
  Clones() {
    ends.deliver(1 << 16, much);
    clone.random = TestRandom(2);
    clone.deliver(1 << 16, much);
  }
  PacketEnds ends;
  PacketEnds clone;
  Bytes plain;
};

TEST_F(Clones, TheSameNumberWithOtherBytesEndsTheEpoch) {
  ASSERT_EQ(ends.open_one(ends.seal_one(1344, plain)), OpenResult::opened);
  const Bytes second = clone.seal_one(1344, plain);
  Bytes forged = second;
  forged[100] ^= 1;  // not authentic: no alarm
  EXPECT_EQ(ends.open_one(forged), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::bad_tag);
  EXPECT_FALSE(ends.receive.ended);
  EXPECT_EQ(ends.open_one(second), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::number_reused);
  EXPECT_EQ(ends.opened.epochs_ended, 1U);
  EXPECT_EQ(ends.open_one(ends.seal_one(64, plain)), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::epoch_ended);
  EXPECT_TRUE(ends.pads_in.audit() && ends.tags_in.audit());
  EXPECT_EQ(ends.pads_in.account().left, 0U);
}

TEST_F(Clones, TheSameRangeWithOtherBytesEndsTheEpoch) {
  ASSERT_EQ(ends.open_one(ends.seal_one(1344, plain)), OpenResult::opened);
  // The clone retransmits, so that its number is fresh.
  (void)clone.seal_one(1344, plain);
  const auto burst = clone.out.burst(1);
  ASSERT_EQ(clone.sealer.retransmit(clone.send, burst), 1U);
  EXPECT_EQ(ends.open_one(clone.out.packet(0)), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::range_reused);
}

TEST_F(Clones, TheSameCiphertextForAnotherPlaceEndsTheEpoch) {
  ASSERT_EQ(ends.open_one(ends.seal_one(1344, plain)), OpenResult::opened);
  ends.out[0].packet()[24] ^= 1;  // the object
  ends.out[0].header.placement.object ^= std::uint64_t{1} << 56;
  const auto burst = ends.out.burst(1);
  ASSERT_EQ(ends.sealer.retransmit(ends.send, burst), 1U);
  EXPECT_EQ(ends.open_one(ends.out.packet(0)), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::range_reused);
}

TEST_F(Clones, APartOfAnOpenedRangeEndsTheEpoch) {
  ASSERT_EQ(ends.open_one(ends.seal_one(1344, plain)), OpenResult::opened);
  (void)clone.seal_one(64, plain);  // takes number 0 and the first granule
  EXPECT_EQ(ends.open_one(clone.seal_one(1344, plain)), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::range_overlap);
}

TEST(Packets, WhatKeysAreMissingForIsNotLost) {
  PacketEnds ends;
  ends.d_out.deliver(1 << 16);
  ends.a_out.deliver(1 << 12);
  ends.poll();
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  EXPECT_EQ(ends.open_one(packet), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::mask_not_delivered);
  ends.a_in.deliver(1 << 12);
  ends.poll();
  EXPECT_EQ(ends.open_one(packet), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::pad_not_delivered);
  ends.d_in.deliver(1 << 16);
  ends.poll();
  EXPECT_EQ(ends.open_one(packet), OpenResult::opened);  // the number was not used up
  EXPECT_TRUE(ends.balanced());
}

TEST(Packets, APadThatIsGoneIsAnsweredOnce) {
  PacketEnds ends;
  PacketEnds back({.connection_id = 5, .ksid = 2});
  ends.deliver(1 << 16, much);
  back.deliver(1 << 16, much);
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  (void)ends.pads_in.discard(0, 1344);
  Bytes forged = packet;
  forged[200] ^= 1;
  EXPECT_EQ(ends.open_one(forged), OpenResult::dropped);  // nobody is told which pads are gone
  ASSERT_EQ(ends.open_one(packet), OpenResult::pad_gone);
  // The answer travels back.
  Cell& answer = back.out[0];
  back.out.prepare(0, pad_gone_bytes, back.random);
  answer.header.type = PacketType::pad_gone;
  answer.header.placement = ends.in[0].header.placement;
  write_pad_gone(answer_to(ends.in[0]), back.out.plaintext(0));
  const auto burst = back.out.burst(1);
  ASSERT_EQ(back.sealer.seal(back.send, burst), 1U);
  ASSERT_EQ(back.open_one(back.out.packet(0)), OpenResult::gone_answer);
  const std::optional<PadGone> read = read_pad_gone({back.in[0].data, back.in[0].length});
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->d_offset, ends.out[0].header.d_offset);
  EXPECT_EQ(read->length, 1344U);
  EXPECT_EQ(read->number, ends.out[0].header.number);
  EXPECT_EQ(back.in[0].header.placement, ends.out[0].header.placement);
  EXPECT_EQ(ends.opened.pads_gone, 1U);
}

TEST(Packets, APadThatIsPartlyGoneIsGoneAndNoAlarm) {
  PacketEnds ends;
  ends.deliver(1 << 16, much);
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  (void)ends.pads_in.discard(0, 128);  // as when only so much had been delivered
  EXPECT_EQ(ends.open_one(packet), OpenResult::pad_gone);
  EXPECT_FALSE(ends.receive.ended);
  EXPECT_TRUE(ends.balanced());
}

TEST(Packets, AnOldNumberIsRefused) {
  PacketEnds ends({.window = 64});
  ends.deliver(1 << 17, much);
  Bytes plain;
  const Bytes first = ends.seal_one(64, plain);
  for (unsigned i = 0; i < 70; ++i) ASSERT_EQ(ends.open_one(ends.seal_one(64, plain)), OpenResult::opened);
  EXPECT_EQ(ends.open_one(first), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::number_too_old);
  EXPECT_TRUE(ends.balanced());
}

TEST(Packets, MixedBurstsKeepEveryRule) {
  PacketEnds ends;
  ends.deliver(1 << 18, much);
  for (std::size_t i = 0; i < 6; ++i) ends.out.prepare(i, i < 3 ? 1344 : 128, ends.random);
  ends.out[1].length = 0;
  ends.out[4].headroom = 8;
  Acknowledgement acknowledgement;
  acknowledgement.largest = 12;
  ends.out[5].length =
      static_cast<std::uint32_t>(write_acknowledgement(acknowledgement, ends.out.plaintext(5)));
  ends.out[5].header.type = PacketType::acknowledgement;
  const auto burst = ends.out.burst(6);
  EXPECT_EQ(ends.sealer.seal(ends.send, burst), 4U);
  EXPECT_EQ(ends.out[1].seal_result, SealResult::invalid);
  EXPECT_EQ(ends.out[4].seal_result, SealResult::invalid);
  for (const std::size_t at : {0U, 2U, 3U}) {
    EXPECT_EQ(ends.open_one(ends.out.packet(at)), OpenResult::opened);
  }
  ASSERT_EQ(ends.open_one(ends.out.packet(5)), OpenResult::acknowledgement);
  Acknowledgement read;
  ASSERT_TRUE(read_acknowledgement({ends.in[0].data, ends.in[0].length}, read));
  EXPECT_EQ(read, acknowledgement);
  EXPECT_TRUE(ends.balanced());
}

}  // namespace
}  // namespace ssn::protocol
