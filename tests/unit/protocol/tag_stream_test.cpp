// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/tag_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "implementations.h"
#include "test_key_stream.h"
#include "test_random.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::TestKeyStream;
using test::TestRandom;

constexpr std::size_t ring_bytes = 64 * 1024;

test::Ksid ksid(std::uint8_t name) {
  test::Ksid out{};
  out.fill(name);
  return out;
}

const kernels::Implementation& implementation() {
  static const kernels::Implementation* const chosen = [] {
    const kernels::Implementation* found = nullptr;
    EXPECT_EQ(kernels::select(found), kernels::Status::ok);
    return found;
  }();
  return *chosen;
}

hw::SecretBuffer key_memory() {
  Result<hw::SecretBuffer> memory =
      hw::SecretBuffer::make(TagKeys::memory_bytes, hw::SecretBuffer::Locking::required);
  EXPECT_TRUE(memory.ok());
  return std::move(memory.value());
}

struct Sender {
  explicit Sender(std::size_t ring = ring_bytes)
      : keys(ksid(9), SSN_KEY_SENDER, ring), tags(keys.stream(), marks, implementation(), memory) {
    marks.grant(UINT64_MAX / 2);
  }
  TestKeyStream keys;
  StreamMarks marks;
  hw::SecretBuffer memory = key_memory();
  TagSender tags;
};

struct Receiver {
  explicit Receiver(std::uint64_t window = 1024, std::size_t ring = ring_bytes)
      : keys(ksid(9), SSN_KEY_RECEIVER, ring), tags(keys.stream(), marks, implementation(), memory, window) {}
  TestKeyStream keys;
  StreamMarks marks;
  hw::SecretBuffer memory = key_memory();
  TagReceiver tags;
};

// The tag of one message, from the keys at the places that the layout names.
Bytes expected_tag(std::uint64_t packet, const Bytes& message) {
  const Bytes r = test::key_bytes(ksid(9), (packet >> 20) * (16 + (std::uint64_t{1} << 24)), 16);
  const Bytes mask = test::key_bytes(
      ksid(9), (packet >> 20) * (16 + (std::uint64_t{1} << 24)) + 16 + 16 * (packet % (1U << 20)), 16);
  kernels::TagKey key;
  key.expand(implementation(), std::span<const std::uint8_t, 16>(r.data(), 16));
  Bytes tag(16);
  const kernels::Tagging tagging{&key, nullptr, 0, mask.data()};
  EXPECT_EQ(kernels::tag(implementation(), tagging, message.data(), message.size(), tag.data()),
            kernels::Status::ok);
  return tag;
}

TEST(TagLayout, FollowsFromThePacketNumber) {
  static_assert(mask_offset(0) == 16);
  static_assert(mask_offset(1) == 32);
  static_assert(mask_offset(block_packets - 1) + 16 == tag_block_bytes);
  static_assert(mask_offset(block_packets) == tag_block_bytes + 16);
  static_assert(tag_block_bytes == 16 + (std::uint64_t{1} << 24));
  for (const std::uint64_t packet : {std::uint64_t{0}, std::uint64_t{5}, block_packets - 1, block_packets,
                                     7 * block_packets + 3, packet_number_end - 1}) {
    EXPECT_EQ(packet_at(mask_offset(packet)), packet);
    EXPECT_EQ(packet_at(mask_offset(packet) + 1), packet + 1);
  }
  EXPECT_EQ(packet_at(0), 0U);
  EXPECT_EQ(packet_at(tag_block_bytes), block_packets);
}

TEST(TagStreams, CheckWhatWasTaggedInAnyOrder) {
  TestRandom random = TestRandom::labelled("TagStreams.CheckWhatWasTaggedInAnyOrder");
  Sender sender;
  Receiver receiver;
  std::vector<std::pair<std::uint64_t, Bytes>> wire;
  const Bytes message = random.bytes(100);
  std::uint64_t accepted = 0;
  for (int round = 0; round < 500; ++round) {
    sender.keys.deliver(random.below(3000));
    (void)sender.tags.poll();
    TagBurst burst;
    if (sender.tags.take(1 + static_cast<std::uint32_t>(random.below(32)), burst) == Take::ok) {
      for (std::uint32_t i = 0; i < burst.count; ++i) {
        Bytes tag(16);
        const kernels::Tagging tagging{burst.key, nullptr, 0, burst.masks + 16 * i};
        ASSERT_EQ(kernels::tag(implementation(), tagging, message.data(), message.size(), tag.data()),
                  kernels::Status::ok);
        ASSERT_EQ(tag, expected_tag(burst.first + i, message));
        wire.emplace_back(burst.first + i, tag);
      }
      sender.tags.finish(burst);
      EXPECT_TRUE(std::all_of(burst.masks, burst.masks + 16 * burst.count, [](auto b) { return b == 0; }));
      sender.tags.give_back();
    }
    receiver.keys.deliver(random.below(3000));
    (void)receiver.tags.poll();
    while (!wire.empty()) {
      const std::size_t i = random.below(std::min<std::size_t>(wire.size(), 50));
      const std::uint8_t* mask = nullptr;
      const kernels::TagKey* key = nullptr;
      const Found found = receiver.tags.find(wire[i].first, mask, key);
      if (found == Found::not_yet) break;
      ASSERT_EQ(found, Found::ready);
      const kernels::Tagging tagging{key, nullptr, 0, mask};
      ASSERT_EQ(
          kernels::verify(implementation(), tagging, message.data(), message.size(), wire[i].second.data()),
          kernels::Status::ok);
      receiver.tags.accept(wire[i].first);
      ASSERT_EQ(receiver.tags.find(wire[i].first, mask, key), Found::already_opened);
      wire.erase(wire.begin() + static_cast<std::ptrdiff_t>(i));
      ++accepted;
    }
    receiver.tags.give_back();
    ASSERT_TRUE(sender.tags.audit());
    ASSERT_TRUE(receiver.tags.audit());
  }
  EXPECT_GT(accepted, 4096U);
}

// From block to block, with a ring far smaller than a block: the masks between are given up.
TEST(TagStreams, CrossBlocks) {
  Sender sender(std::size_t{1} << 20);
  Receiver receiver(1024, std::size_t{1} << 20);
  const Bytes message(10, 7);
  std::uint64_t checked = 0;
  while (sender.tags.next() < 2 * block_packets + 5000) {
    sender.keys.deliver(1U << 20);
    receiver.keys.deliver(1U << 20);
    (void)sender.tags.poll();
    (void)receiver.tags.poll();
    TagBurst burst;
    Take why = Take::ok;
    while ((why = sender.tags.take(4096, burst)) == Take::ok) {
      ASSERT_EQ(burst.first >> 20, (burst.first + burst.count - 1) >> 20);
      const std::uint64_t packet = burst.first + burst.count - 1;
      const std::uint8_t* mask = nullptr;
      const kernels::TagKey* key = nullptr;
      ASSERT_EQ(receiver.tags.find(packet, mask, key), Found::ready) << packet;
      Bytes tag(16);
      const kernels::Tagging sending{burst.key, nullptr, 0, burst.masks + 16 * (burst.count - 1)};
      const kernels::Tagging checking{key, nullptr, 0, mask};
      ASSERT_EQ(kernels::tag(implementation(), sending, message.data(), 10, tag.data()), kernels::Status::ok);
      ASSERT_EQ(tag, expected_tag(packet, message));
      ASSERT_EQ(kernels::verify(implementation(), checking, message.data(), 10, tag.data()),
                kernels::Status::ok);
      receiver.tags.accept(packet);
      sender.tags.finish(burst);
      ++checked;
    }
    ASSERT_NE(why, Take::ended);
    receiver.tags.discard_below(sender.tags.next());
    sender.tags.give_back(true);
    receiver.tags.give_back(true);
    ASSERT_TRUE(receiver.tags.audit());
  }
  EXPECT_GT(checked, 512U);
  const KeyAccount& account = receiver.tags.account();
  EXPECT_EQ(account.used, 16 * (checked + 3));  // three hash keys
}

TEST(TagReceiver, MovesItsWindowOnlyForGoodPackets) {
  Receiver receiver(64);
  receiver.keys.deliver(ring_bytes);
  ASSERT_EQ(receiver.tags.poll(), SSN_OK);
  const std::uint8_t* mask = nullptr;
  const kernels::TagKey* key = nullptr;
  EXPECT_EQ(receiver.tags.find(packet_number_end, mask, key), Found::invalid);
  EXPECT_EQ(receiver.tags.find(4095, mask, key), Found::not_yet);  // its mask ends 16 bytes later
  ASSERT_EQ(receiver.tags.find(1000, mask, key), Found::ready);
  EXPECT_EQ(receiver.tags.floor(), 0U);
  ASSERT_EQ(receiver.tags.find(0, mask, key), Found::ready);
  receiver.tags.accept(1000);
  EXPECT_EQ(receiver.tags.floor(), 1001U - 64);
  EXPECT_EQ(receiver.tags.find(936, mask, key), Found::pad_gone);
  EXPECT_EQ(receiver.tags.find(937, mask, key), Found::ready);
  EXPECT_EQ(receiver.tags.seen(), 1001U);
  receiver.tags.give_back(true);
  EXPECT_EQ(receiver.tags.released(), mask_offset(937));
  EXPECT_EQ(receiver.tags.credit(), packet_at(mask_offset(937) + ring_bytes));
}

TEST(TagReceiver, FindsRunsOfOneBlockThatAreFresh) {
  Receiver receiver(64);
  receiver.keys.deliver(16 + 16 * 10);
  ASSERT_EQ(receiver.tags.poll(), SSN_OK);
  const std::uint8_t* masks = nullptr;
  const kernels::TagKey* key = nullptr;
  EXPECT_EQ(receiver.tags.find_run(0, 4, masks, key), 4U);
  EXPECT_EQ(receiver.tags.find_run(7, 8, masks, key), 3U);  // as far as delivered
  EXPECT_EQ(receiver.tags.find_run(10, 8, masks, key), 0U);
  EXPECT_EQ(receiver.tags.find_run(packet_number_end, 8, masks, key), 0U);
  receiver.tags.accept(5);
  ASSERT_EQ(receiver.tags.find_run(2, 8, masks, key), 3U);
  EXPECT_EQ(receiver.tags.find_run(5, 8, masks, key), 0U);
  const Bytes message(10, 7);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const kernels::Tagging checking{key, nullptr, 0, masks + 16 * i};
    EXPECT_EQ(
        kernels::verify(implementation(), checking, message.data(), 10, expected_tag(2 + i, message).data()),
        kernels::Status::ok);
  }
  receiver.tags.accept_run(2, 3);
  EXPECT_EQ(receiver.tags.seen(), 6U);
  EXPECT_TRUE(std::all_of(masks, masks + 3 * 16, [](auto byte) { return byte == 0; }));
  EXPECT_EQ(receiver.tags.account().used, 16U * 5);
  EXPECT_TRUE(receiver.tags.audit());
  // On to the end of the block.
  receiver.tags.discard_below(block_packets - 3);
  for (int i = 0; i < 300; ++i) {
    receiver.tags.give_back(true);
    receiver.keys.deliver(ring_bytes);
    (void)receiver.tags.poll();
  }
  EXPECT_EQ(receiver.tags.find_run(block_packets - 4, 8, masks, key), 0U);
  ASSERT_EQ(receiver.tags.find_run(block_packets - 3, 8, masks, key), 3U);
  receiver.tags.accept_run(block_packets - 3, 3);
  ASSERT_EQ(receiver.tags.find_run(block_packets, 8, masks, key), 8U);
  const kernels::Tagging checking{key, nullptr, 0, masks + 16 * 7};
  EXPECT_EQ(kernels::verify(implementation(), checking, message.data(), 10,
                            expected_tag(block_packets + 7, message).data()),
            kernels::Status::ok);
  receiver.tags.accept_run(block_packets, 8);
  EXPECT_EQ(receiver.tags.seen(), block_packets + 8);
  EXPECT_TRUE(receiver.tags.audit());
  receiver.tags.end();
  EXPECT_EQ(receiver.tags.find_run(block_packets + 8, 8, masks, key), 0U);
}

// Masks that are delivered after the window has passed them must not hold up the ring.
TEST(TagReceiver, DropsWhatIsDeliveredTooLate) {
  Receiver receiver(64);
  receiver.keys.deliver(160);
  ASSERT_EQ(receiver.tags.poll(), SSN_OK);
  receiver.tags.discard_below(block_packets + 10);
  for (int i = 0; i < 300; ++i) {
    receiver.tags.give_back(true);
    receiver.keys.deliver(ring_bytes);
    (void)receiver.tags.poll();
  }
  const std::uint8_t* mask = nullptr;
  const kernels::TagKey* key = nullptr;
  EXPECT_EQ(receiver.tags.find(block_packets + 9, mask, key), Found::pad_gone);
  ASSERT_EQ(receiver.tags.find(block_packets + 10, mask, key), Found::ready);
  const Bytes message(10, 7);
  const kernels::Tagging checking{key, nullptr, 0, mask};
  EXPECT_EQ(kernels::verify(implementation(), checking, message.data(), 10,
                            expected_tag(block_packets + 10, message).data()),
            kernels::Status::ok);
  EXPECT_TRUE(receiver.tags.audit());
}

TEST(TagSender, WritesAheadAndNeverRepeatsANumber) {
  TestKeyStream keys(ksid(9), SSN_KEY_SENDER, ring_bytes);
  StreamMarks marks;
  hw::SecretBuffer memory = key_memory();
  TagSender tags(keys.stream(), marks, implementation(), memory);
  keys.deliver(ring_bytes);
  ASSERT_EQ(tags.poll(), SSN_OK);
  TagBurst burst;
  EXPECT_EQ(tags.take(8, burst), Take::not_written_ahead);
  marks.grant(16 + 3 * 16 + 15);
  ASSERT_EQ(tags.take(8, burst), Take::ok);
  EXPECT_EQ(burst.count, 3U);
  EXPECT_EQ(marks.progress(), 64U);
  tags.discard(burst);
  EXPECT_EQ(tags.take(8, burst), Take::not_written_ahead);
  marks.grant(ring_bytes);
  ASSERT_EQ(tags.take(8, burst), Take::ok);
  EXPECT_EQ(burst.first, 3U);
  tags.finish(burst);
  EXPECT_EQ(tags.account().discarded, 48U);
  EXPECT_EQ(tags.account().used, 16U + 8 * 16);
  tags.end();
  EXPECT_EQ(tags.take(1, burst), Take::ended);
  EXPECT_TRUE(tags.account().balanced());
  EXPECT_TRUE(
      std::all_of(memory.data(), memory.data() + memory.size(), [](std::uint8_t b) { return b == 0; }));
}

}  // namespace
}  // namespace ssn::protocol
