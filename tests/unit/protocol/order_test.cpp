// SPDX-License-Identifier: BSD-3-Clause
// Keep and mask orders, and what happens when keys are short.
#include <gtest/gtest.h>

#include <algorithm>

#include "implementations.h"
#include "openssl.h"
#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::EndsOptions;
using test::PacketEnds;

constexpr std::uint64_t much = 1 << 18;
const KeepOrder ten_cells{10, 1344, 1};

class Orders : public testing::Test {
 protected:
  Orders() {
    ends.deliver(1 << 17, much);
    ends.out.prepare(0, keep_order_bytes, ends.random);
    share.resize(ten_cells.bytes());
    kept.resize(ten_cells.bytes());
  }
  OpenResult receive(const Bytes& packet) {
    ends.in.receive(0, packet);
    ends.in[0].target = kept.data();
    ends.in[0].target_room = static_cast<std::uint32_t>(kept.size());
    const auto burst = ends.in.burst(1);
    ends.opener.open(burst);
    return ends.in[0].open_result;
  }
  PacketEnds ends;
  Bytes share;
  Bytes kept;
};

TEST_F(Orders, AKeepOrderMakesThePadAShareAtBothEnds) {
  const Bytes pad = test::key_bytes(ends.d_out.ksid(), 0, share.size());
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], ten_cells, share), SealResult::sealed);
  EXPECT_EQ(share, pad);
  const Bytes packet = ends.out.packet(0);
  ASSERT_EQ(packet.size(), overhead_bytes + keep_order_bytes);
  ASSERT_EQ(receive(packet), OpenResult::kept);
  EXPECT_EQ(kept, share);
  EXPECT_EQ(ends.in[0].header.placement, ends.out[0].header.placement);
  EXPECT_EQ(read_keep_order({ends.in[0].data, ends.in[0].length}), ten_cells);
  for (const StreamEnd* end :
       {static_cast<StreamEnd*>(&ends.pads_out), static_cast<StreamEnd*>(&ends.pads_in)}) {
    EXPECT_EQ(end->account().kept, share.size());
    EXPECT_EQ(end->account().used, order_check_bytes);
  }
  EXPECT_EQ(Bytes(ends.d_in.stream().ring, ends.d_in.stream().ring + pad.size()), Bytes(pad.size()));
  EXPECT_TRUE(ends.balanced());
  // Retransmitted, it is acknowledged again without the pad, which neither end has any more.
  const auto burst = ends.out.burst(1);
  ASSERT_EQ(ends.sealer.retransmit(ends.send, burst), 1U);
  EXPECT_EQ(receive(ends.out.packet(0)), OpenResult::repeated);
  EXPECT_EQ(receive(packet), OpenResult::dropped);
}

TEST_F(Orders, AMaskOrderGivesBothEndsTheMask) {
  MaskOrder order;
  order.job = 0x1122334455667788;
  order.cells = 10;
  order.cell_bytes = 1344;
  order.round = 3;
  order.target = 5;
  order.helpers[0] = 0x0E;
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], order, share), SealResult::sealed);
  ASSERT_EQ(receive(ends.out.packet(0)), OpenResult::masked);
  EXPECT_EQ(kept, share);
  EXPECT_EQ(read_mask_order({ends.in[0].data, ends.in[0].length}), order);
  EXPECT_EQ(ends.pads_in.account().kept, 0U);
  EXPECT_EQ(ends.pads_in.account().used, share.size() + order_check_bytes);
  EXPECT_TRUE(ends.balanced());
}

TEST_F(Orders, EveryBitOfAnOrderIsProtected) {
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], ten_cells, share), SealResult::sealed);
  const Bytes packet = ends.out.packet(0);
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    Bytes flipped = packet;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_EQ(receive(flipped), OpenResult::dropped) << bit;
  }
  EXPECT_EQ(ends.pads_in.account().kept, 0U);
  EXPECT_EQ(receive(packet), OpenResult::kept);
}

TEST_F(Orders, KeysThatDifferAreFound) {
  ends.d_in.stream().ring[5000] ^= 1;  // the key managers disagree about one bit
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], ten_cells, share), SealResult::sealed);
  EXPECT_EQ(receive(ends.out.packet(0)), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::keys_differ);
  EXPECT_EQ(kept, Bytes(kept.size()));
}

TEST_F(Orders, AHolderWithoutThePadSaysSoOnlyToATrueOrder) {
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], ten_cells, share), SealResult::sealed);
  (void)ends.pads_in.discard(0, ten_cells.bytes());
  Bytes forged = ends.out.packet(0);
  forged[70] ^= 4;
  EXPECT_EQ(receive(forged), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::bad_tag);
  ASSERT_EQ(receive(ends.out.packet(0)), OpenResult::pad_gone);
  EXPECT_EQ(answer_to(ends.in[0]).length, ten_cells.bytes());
  EXPECT_EQ(answer_to(ends.in[0]).type, PacketType::keep_order);
  EXPECT_TRUE(ends.balanced());
}

TEST_F(Orders, WithoutRoomNothingIsKeptAndNothingLost) {
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], ten_cells, share), SealResult::sealed);
  kept.resize(100);
  EXPECT_EQ(receive(ends.out.packet(0)), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::no_room);
  kept.resize(ten_cells.bytes());
  EXPECT_EQ(receive(ends.out.packet(0)), OpenResult::kept);
}

TEST_F(Orders, AnOrderThatCannotBeBurnsNothing) {
  const KeepOrder long_order{64, 4096, 1};
  Bytes room(long_order.bytes());
  ASSERT_EQ(long_order.bytes(), max_order_bytes);
  EXPECT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], long_order, room), SealResult::refused);
  EXPECT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], KeepOrder{65, 4096, 1}, room),
            SealResult::invalid);
  EXPECT_EQ(ends.sealer.seal_order(ends.send, ends.out[0], KeepOrder{1, 65, 1}, room), SealResult::invalid);
  EXPECT_EQ(ends.pads_out.next(), 0U);
  EXPECT_EQ(ends.tags_out.next(), 0U);
  EXPECT_EQ(ends.pads_out.account().discarded, 0U);
}

std::size_t seal(PacketEnds& ends, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) ends.out.prepare(i, 1344, ends.random);
  const auto burst = ends.out.burst(count);
  return ends.sealer.seal(ends.send, burst);
}

TEST(Shortage, RefuseAndWaitSealWhatTheyCanAndBurnNothing) {
  for (const ShortagePolicy policy : {ShortagePolicy::refuse, ShortagePolicy::wait}) {
    PacketEnds ends({.policy = policy});
    ends.deliver(1344 * 5 + 64, much);
    EXPECT_EQ(seal(ends, 8), 5U);
    for (std::size_t i = 5; i < 8; ++i) {
      EXPECT_EQ(ends.out[i].seal_result,
                policy == ShortagePolicy::wait ? SealResult::waiting : SealResult::refused);
    }
    EXPECT_EQ(seal(ends, 8), 0U);
    EXPECT_EQ(ends.sent.short_of_keys, 11U);
    EXPECT_EQ(ends.pads_out.next(), 1344U * 5);
    EXPECT_EQ(ends.tags_out.next(), 5U);
    ends.deliver(1344 * 8, 0);
    EXPECT_EQ(seal(ends, 8), 8U);
    EXPECT_TRUE(ends.balanced());
  }
}

TEST(Shortage, OfTagKeysBurnsNoPads) {
  PacketEnds ends;
  ends.deliver(1 << 16, 16 + 3 * 16);
  EXPECT_EQ(seal(ends, 8), 3U);
  EXPECT_EQ(seal(ends, 8), 0U);
  EXPECT_EQ(ends.pads_out.next(), 1344U * 3);
}

TEST(Shortage, ALedgerThatIsBehindIsNoShortage) {
  PacketEnds ends;
  ends.marks[0].revoke();
  ends.marks[0].grant(1344 * 2);
  ends.deliver(1 << 16, much);
  EXPECT_EQ(seal(ends, 4), 2U);
  EXPECT_EQ(ends.out[2].seal_result, SealResult::waiting);
  EXPECT_EQ(ends.sent.short_of_keys, 0U);
}

TEST(Shortage, AStreamThatEndedSaysSo) {
  PacketEnds ends;
  ends.deliver(1344, much);
  EXPECT_EQ(seal(ends, 1), 1U);
  ends.d_out.fail();
  ends.poll();
  EXPECT_EQ(seal(ends, 1), 0U);
  EXPECT_EQ(ends.out[0].seal_result, SealResult::ended);
}

// By the kernels where they have AES-256-GCM, else by OpenSSL.
class Cipher : public test::PerImplementation {
 protected:
  static EndsOptions with_cipher(std::uint64_t first = 0) {
    EndsOptions options;
    options.policy = ShortagePolicy::aes_256_gcm;
    options.gcm = true;
    options.first_gcm_number = first;
    options.implementation = &implementation();
    return options;
  }
};

TEST_P(Cipher, ServesWhenPadsAreShortAndIsNeverSilent) {
  PacketEnds ends(with_cipher());
  ends.deliver(64 + 1344 * 2, 16 + 2 * 16);
  ASSERT_EQ(seal(ends, 6), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    const bool computational = i >= 2;
    EXPECT_EQ(ends.out[i].seal_result, computational ? SealResult::computational : SealResult::sealed);
    EXPECT_EQ(ends.out.packet(i)[43], computational ? flag_computational : 0);
    ASSERT_EQ(ends.open_one(ends.out.packet(i)), OpenResult::opened) << name(ends.in[0].reason);
    EXPECT_EQ(ends.in[0].computational, computational);
    EXPECT_TRUE(std::equal(ends.in[0].target, ends.in[0].target + 1344, ends.out.plaintext(i)));
  }
  EXPECT_EQ(ends.sent.sealed_computational, 4U);
  EXPECT_EQ(ends.opened.opened_computational, 4U);
  EXPECT_TRUE(ends.balanced());
}

TEST_P(Cipher, SealsAsOpenSslDoes) {
  test::TestRandom random = test::random_for_this_test();
  for (const std::size_t length : {std::size_t{1}, std::size_t{64}, std::size_t{1344}, max_payload}) {
    const std::uint64_t number = random.below(1U << 30) << 24 | 7;
    PacketEnds ends(with_cipher(number));
    const Bytes key = random.bytes(gcm_key_bytes);
    for (test::TestKeyStream* const stream : {&ends.d_out, &ends.d_in}) {
      stream->deliver(64);
      (void)ssn_key_stream_poll(&stream->stream());
      std::copy(key.begin(), key.end(), stream->stream().ring);
    }
    ends.poll();
    Bytes plain;
    const Bytes packet = ends.seal_one(length, plain);
    ASSERT_EQ(packet.size(), length + overhead_bytes);
    Bytes nonce(12);
    for (unsigned i = 0; i < 8; ++i) nonce[11 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    const Bytes header(packet.begin(), packet.begin() + header_bytes);
    const test::openssl::Sealed expected = test::openssl::gcm(key, nonce, header, plain);
    EXPECT_TRUE(std::equal(expected.tag.begin(), expected.tag.end(), packet.begin() + header_bytes));
    EXPECT_TRUE(
        std::equal(expected.ciphertext.begin(), expected.ciphertext.end(), packet.begin() + overhead_bytes));
    ASSERT_EQ(ends.open_one(packet), OpenResult::opened) << name(ends.in[0].reason);
    EXPECT_TRUE(std::equal(plain.begin(), plain.end(), ends.in[0].target));
  }
}

TEST_P(Cipher, ProtectsEveryBitAndRefusesReplays) {
  PacketEnds ends(with_cipher());
  ends.deliver(64, 16);
  ends.out.prepare(0, 64, ends.random);
  const auto burst = ends.out.burst(1);
  ASSERT_EQ(ends.sealer.seal(ends.send, burst), 1U);
  const Bytes packet = ends.out.packet(0);
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    Bytes flipped = packet;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_EQ(ends.open_one(flipped), OpenResult::dropped) << bit;
  }
  EXPECT_EQ(ends.pads_in.account().used, 0U);  // no forgery made the receiver take the key
  ASSERT_EQ(ends.open_one(packet), OpenResult::opened);
  EXPECT_EQ(ends.open_one(packet), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::number_replayed);
  // A retransmission is encrypted anew.
  ASSERT_EQ(ends.sealer.retransmit(ends.send, burst), 1U);
  const Bytes again = ends.out.packet(0);
  EXPECT_FALSE(std::equal(packet.begin() + 64, packet.end(), again.begin() + 64));
  EXPECT_EQ(ends.open_one(again), OpenResult::opened);
}

TEST_P(Cipher, IsRefusedWhereItIsNotPermitted) {
  PacketEnds ends(with_cipher());
  ends.deliver(64, 16);
  ASSERT_EQ(seal(ends, 1), 1U);
  ends.receive.gcm = nullptr;
  EXPECT_EQ(ends.open_one(ends.out.packet(0)), OpenResult::dropped);
  EXPECT_EQ(ends.in[0].reason, DropReason::not_permitted);
}

TEST_P(Cipher, ChangesItsKeyEvery2To24PacketsAndFetchesItAhead) {
  const std::uint64_t change = std::uint64_t{1} << gcm_phase_log2;
  PacketEnds ends(with_cipher(change - 3));
  ends.deliver(128, 16);  // both keys; then nothing more comes
  ASSERT_EQ(seal(ends, 6), 6U);
  EXPECT_EQ(ends.out[2].header.d_offset, 0U);
  EXPECT_EQ(ends.out[3].header.d_offset, 64U);
  EXPECT_EQ(ends.out[3].header.number, change);
  for (const std::size_t at : {3U, 0U, 5U, 1U, 2U, 4U}) {  // out of order, over the change
    ASSERT_EQ(ends.open_one(ends.out.packet(at)), OpenResult::opened) << at;
    EXPECT_TRUE(std::equal(ends.in[0].target, ends.in[0].target + 1344, ends.out.plaintext(at)));
  }
  EXPECT_EQ(ends.pads_in.account().used, 64U);
}

TEST_P(Cipher, WithoutAKeyThereIsNone) {
  PacketEnds ends(with_cipher());
  ends.deliver(0, 1024);
  EXPECT_EQ(seal(ends, 2), 0U);
  EXPECT_EQ(ends.out[0].seal_result, SealResult::refused);
  ends.out.prepare(0, 1344, ends.random);
  ends.out[0].source = ends.out[0].data;  // could not be encrypted again
  const auto burst = ends.out.burst(1);
  EXPECT_EQ(ends.sealer.seal(ends.send, burst), 0U);
  EXPECT_EQ(ends.out[0].seal_result, SealResult::invalid);
}

TEST_P(Cipher, ANonceThatServesTwiceEndsTheEpoch) {
  PacketEnds ends(with_cipher());
  PacketEnds clone(with_cipher());
  clone.random = test::TestRandom(2);
  ends.deliver(64, 16);
  clone.deliver(64, 16);
  ASSERT_EQ(seal(ends, 1), 1U);
  ASSERT_EQ(seal(clone, 1), 1U);
  ASSERT_EQ(ends.open_one(ends.out.packet(0)), OpenResult::opened);
  EXPECT_EQ(ends.open_one(clone.out.packet(0)), OpenResult::alarm);
  EXPECT_EQ(ends.receive.alarm, EpochAlarm::number_reused);
}

SSN_FOR_EVERY_IMPLEMENTATION(Cipher);

}  // namespace
}  // namespace ssn::protocol
