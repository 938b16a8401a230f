// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/pad_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test_key_stream.h"
#include "test_random.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::TestKeyStream;
using test::TestRandom;

constexpr std::size_t ring_bytes = 64 * 1024;
constexpr std::uint64_t everything = UINT64_MAX / 2;

bool is_zero(const std::uint8_t* data, std::size_t length) {
  return std::all_of(data, data + length, [](std::uint8_t byte) { return byte == 0; });
}

test::Ksid ksid(std::uint8_t name) {
  test::Ksid out{};
  out.fill(name);
  return out;
}

struct Sender {
  explicit Sender(std::uint8_t name = 1, std::size_t ring = ring_bytes)
      : keys(ksid(name), SSN_KEY_SENDER, ring), pads(keys.stream(), marks) {
    marks.grant(everything);
  }
  TestKeyStream keys;
  StreamMarks marks;
  PadSender pads;
};

struct Receiver {
  explicit Receiver(std::uint8_t name = 1, std::size_t ring = ring_bytes)
      : keys(ksid(name), SSN_KEY_RECEIVER, ring), pads(keys.stream(), marks) {}
  TestKeyStream keys;
  StreamMarks marks;
  PadReceiver pads;
};

TEST(PadSender, TakesRangesInOrderAndErasesWhatWasUsed) {
  Sender sender;
  PadRange range;
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::shortage);
  sender.keys.deliver(4096);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  std::uint64_t expected = 0;
  for (const std::uint32_t length : {1344U, 1U, 64U, 65U}) {
    ASSERT_EQ(sender.pads.reserve(length, range), Take::ok);
    EXPECT_EQ(range.offset, expected);
    EXPECT_EQ(Bytes(range.pad, range.pad + length), test::key_bytes(ksid(1), range.offset, length));
    sender.pads.use(range);
    EXPECT_TRUE(is_zero(range.pad, (length + 63) / 64 * 64));
    expected += (length + 63) / 64 * 64;
  }
  const KeyAccount& account = sender.pads.account();
  EXPECT_EQ(account.fetched, 4096U);
  EXPECT_EQ(account.used, 1344U + 1 + 64 + 65);
  EXPECT_EQ(account.discarded, 63U + 63);
  EXPECT_EQ(account.left, 4096U - expected);
  EXPECT_TRUE(account.balanced());
  EXPECT_TRUE(sender.pads.audit());
}

TEST(PadSender, TakesNothingThatTheLedgerHasNotWrittenAhead) {
  TestKeyStream keys(ksid(2), SSN_KEY_SENDER, ring_bytes);
  StreamMarks marks;
  PadSender pads(keys.stream(), marks);
  keys.deliver(ring_bytes);
  ASSERT_EQ(pads.poll(), SSN_OK);
  PadRange range;
  EXPECT_EQ(pads.reserve(64, range), Take::not_written_ahead);
  marks.grant(127);
  ASSERT_EQ(pads.reserve(64, range), Take::ok);
  EXPECT_EQ(pads.reserve(64, range), Take::not_written_ahead);
  EXPECT_EQ(marks.progress(), 64U);
  marks.grant(128);
  EXPECT_EQ(pads.reserve(64, range), Take::ok);
  marks.revoke();
  EXPECT_EQ(pads.reserve(64, range), Take::not_written_ahead);
}

TEST(PadSender, GivesBackOnlyThePrefixThatIsDoneWith) {
  Sender sender;
  sender.keys.deliver(ring_bytes);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  std::array<PadRange, 3> ranges;
  Take why{};
  ASSERT_EQ(sender.pads.reserve_burst(1344, ranges, why), 3U);
  sender.pads.use(ranges[2]);
  sender.pads.discard(ranges[1]);
  sender.pads.give_back(true);
  EXPECT_EQ(sender.pads.released(), 0U);
  sender.pads.use(ranges[0]);
  sender.pads.give_back(true);
  EXPECT_EQ(sender.pads.released(), 3U * 1344);
}

TEST(PadSender, SaysWhyThereIsNoMore) {
  Sender sender;
  sender.keys.deliver(2 * ring_bytes);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  std::vector<PadRange> ranges(ring_bytes / 1344 + 10);
  Take why{};
  const std::size_t taken = sender.pads.reserve_burst(1344, ranges, why);
  EXPECT_EQ(taken, ring_bytes / 1344);
  EXPECT_EQ(why, Take::busy);  // the device cannot deliver: the ring is full of ranges that are held
  for (std::size_t i = 0; i < taken; ++i) sender.pads.use(ranges[i]);
  PadRange range;
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::busy);
  sender.pads.give_back();
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::busy);  // nobody has asked the device since
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::ok);
  sender.keys.fail();
  while (sender.pads.poll() != SSN_FAILED) {
  }
  while (sender.pads.available() >= 1344) ASSERT_EQ(sender.pads.reserve(1344, range), Take::ok);
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::ended);
}

// Room that was given back a moment ago is no shortage, or what waits would be given up for it (policy
// refuse).
TEST(PadSender, IsShortOnceTheDeviceHadRoomAndDeliveredNothing) {
  Sender sender;
  sender.keys.deliver(ring_bytes);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  std::vector<PadRange> ranges(ring_bytes / 1344);
  Take why{};
  ASSERT_EQ(sender.pads.reserve_burst(1344, ranges, why), ranges.size());
  PadRange range;
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::busy);
  EXPECT_EQ(sender.pads.poll(), SSN_AGAIN);
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::busy);  // all of the ring is held
  for (const PadRange& each : ranges) sender.pads.use(each);
  sender.pads.give_back();
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::busy);
  EXPECT_EQ(sender.pads.poll(), SSN_AGAIN);
  EXPECT_EQ(sender.pads.reserve(1344, range), Take::shortage);
}

TEST(PadStreams, OpenWhatWasSealedInAnyOrder) {
  TestRandom random = TestRandom::labelled("PadStreams.OpenWhatWasSealedInAnyOrder");
  Sender sender(3);
  Receiver receiver(3);
  std::vector<PadRange> held;
  std::vector<Bytes> pads;
  for (int round = 0; round < 400; ++round) {
    sender.keys.deliver(random.below(20000));
    (void)sender.pads.poll();
    PadRange range;
    while (held.size() < 16 &&
           sender.pads.reserve(1 + static_cast<std::uint32_t>(random.below(1500)), range) == Take::ok) {
      held.push_back(range);
      pads.emplace_back(range.pad, range.pad + range.length);
      sender.pads.use(range);
    }
    sender.pads.give_back();
    receiver.keys.deliver(random.below(20000));
    (void)receiver.pads.poll();
    while (!held.empty()) {
      const std::size_t i = random.below(held.size());
      std::uint8_t* pad = nullptr;
      const Found found = receiver.pads.find(held[i].offset, held[i].length, pad);
      if (found == Found::not_yet) break;
      ASSERT_EQ(found, Found::ready);
      ASSERT_EQ(Bytes(pad, pad + held[i].length), pads[i]);
      receiver.pads.open(held[i].offset, held[i].length);
      ASSERT_TRUE(is_zero(pad, held[i].length));
      ASSERT_EQ(receiver.pads.find(held[i].offset, held[i].length, pad), Found::already_opened);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
      pads.erase(pads.begin() + static_cast<std::ptrdiff_t>(i));
    }
    receiver.pads.give_back();
    ASSERT_TRUE(sender.pads.audit());
    ASSERT_TRUE(receiver.pads.audit());
  }
  EXPECT_GT(receiver.pads.account().used, 4U * ring_bytes);
}

TEST(PadReceiver, TellsApartWhyARangeIsNotOpened) {
  Receiver receiver;
  receiver.keys.deliver(8192);
  ASSERT_EQ(receiver.pads.poll(), SSN_OK);
  std::uint8_t* pad = nullptr;
  EXPECT_EQ(receiver.pads.find(0, 0, pad), Found::invalid);
  EXPECT_EQ(receiver.pads.find(1, 64, pad), Found::invalid);
  EXPECT_EQ(receiver.pads.find(0, receiver.pads.longest() + 1, pad), Found::invalid);
  EXPECT_EQ(receiver.pads.find(~std::uint64_t{63}, 64, pad), Found::invalid);
  EXPECT_EQ(receiver.pads.find(8192, 64, pad), Found::not_yet);
  EXPECT_EQ(receiver.pads.find(8128, 65, pad), Found::not_yet);
  EXPECT_EQ(receiver.pads.find(64, 128, pad), Found::ready);
  receiver.pads.open(64, 128);
  EXPECT_EQ(receiver.pads.seen(), 192U);
  EXPECT_EQ(receiver.marks.progress(), 192U);
  EXPECT_EQ(receiver.pads.find(64, 128, pad), Found::already_opened);
  EXPECT_EQ(receiver.pads.find(64, 192, pad), Found::overlap);
  EXPECT_EQ(receiver.pads.discard(192, 64), 64U);
  EXPECT_EQ(receiver.pads.find(192, 64, pad), Found::pad_gone);
  EXPECT_EQ(receiver.pads.find(128, 128, pad), Found::overlap);
  EXPECT_EQ(receiver.pads.discard_below(256), 64U);  // the hole at 0
  receiver.pads.give_back(true);
  EXPECT_EQ(receiver.pads.released(), 256U);
  EXPECT_EQ(receiver.pads.find(0, 64, pad), Found::pad_gone);  // remembered behind the window
  EXPECT_EQ(receiver.pads.find(64, 128, pad), Found::already_opened);
  receiver.keys.fail();
  (void)receiver.pads.poll();
  EXPECT_EQ(receiver.pads.find(8192, 64, pad), Found::pad_gone);
}

TEST(PadReceiver, FindsRunsThatAreOpen) {
  Receiver receiver;
  receiver.keys.deliver(1024);
  ASSERT_EQ(receiver.pads.poll(), SSN_OK);
  std::uint8_t* pads = nullptr;
  EXPECT_EQ(receiver.pads.find_run(0, 100, 4, pads), 4U);
  EXPECT_EQ(receiver.pads.find_run(0, 100, 64, pads), 8U);  // 128 bytes each, as far as delivered
  EXPECT_EQ(receiver.pads.find_run(896, 129, 64, pads), 0U);
  EXPECT_EQ(receiver.pads.find_run(1024, 64, 64, pads), 0U);
  EXPECT_EQ(receiver.pads.find_run(1, 64, 1, pads), 0U);
  EXPECT_EQ(receiver.pads.find_run(0, 0, 1, pads), 0U);
  EXPECT_EQ(receiver.pads.find_run(0, receiver.pads.longest() + 1, 1, pads), 0U);
  EXPECT_EQ(receiver.pads.find_run(~std::uint64_t{63}, 64, 64, pads), 0U);
  receiver.pads.open(448, 64);
  EXPECT_EQ(receiver.pads.find_run(0, 100, 64, pads), 3U);  // the fourth is open in part
  EXPECT_EQ(receiver.pads.find_run(448, 64, 2, pads), 0U);
  ASSERT_EQ(receiver.pads.find_run(128, 100, 2, pads), 2U);
  EXPECT_EQ(Bytes(pads, pads + 256), test::key_bytes(receiver.keys.ksid(), 128, 256));
  for (const std::size_t at : {std::size_t{0}, std::size_t{128}})
    std::fill_n(pads + at, 100, std::uint8_t{0});
  receiver.pads.open_erased(128, 100, 2);
  EXPECT_EQ(Bytes(pads, pads + 256), Bytes(256));  // with what rounding left over
  EXPECT_EQ(receiver.pads.account().used, 64U + 2 * 100);
  EXPECT_EQ(receiver.pads.account().discarded, 2U * 28);
  EXPECT_EQ(receiver.pads.seen(), 512U);
  EXPECT_TRUE(receiver.pads.audit());
  receiver.pads.open(0, 128);
  receiver.pads.give_back(true);
  EXPECT_EQ(receiver.pads.released(), 384U);
  EXPECT_EQ(receiver.pads.find_run(256, 64, 4, pads), 0U);  // behind the window
  receiver.pads.end();
  EXPECT_EQ(receiver.pads.find_run(512, 64, 1, pads), 0U);
}

TEST(PadReceiver, RemembersARingOfHistory) {
  Receiver receiver;
  for (std::uint64_t offset = 0; offset < 3 * ring_bytes; offset += 4096) {
    receiver.keys.deliver(4096);
    ASSERT_EQ(receiver.pads.poll(), SSN_OK);
    receiver.pads.open(offset, 4096);
    receiver.pads.give_back(true);
  }
  std::uint8_t* pad = nullptr;
  EXPECT_EQ(receiver.pads.find(2 * ring_bytes, 4096, pad), Found::already_opened);
  EXPECT_EQ(receiver.pads.find(2 * ring_bytes - 64, 64, pad), Found::too_old);
}

TEST(PadStreams, KeepTheSameBytesAtBothEnds) {
  Sender sender(5);
  Receiver receiver(5);
  for (TestKeyStream* keys : {&sender.keys, &receiver.keys}) keys->deliver(32768);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  ASSERT_EQ(receiver.pads.poll(), SSN_OK);
  PadRange range;
  ASSERT_EQ(sender.pads.reserve(10000, range), Take::ok);
  Bytes ours(10000);
  Bytes theirs(10000);
  sender.pads.keep(range, ours);
  std::uint8_t* pad = nullptr;
  ASSERT_EQ(receiver.pads.find(range.offset, 10000, pad), Found::ready);
  receiver.pads.keep(range.offset, theirs);
  EXPECT_EQ(ours, theirs);
  EXPECT_EQ(ours, test::key_bytes(ksid(5), 0, 10000));
  EXPECT_TRUE(is_zero(range.pad, 10000));
  EXPECT_TRUE(is_zero(pad, 10000));
  for (const KeyAccount* account : {&sender.pads.account(), &receiver.pads.account()}) {
    EXPECT_EQ(account->kept, 10000U);
    EXPECT_EQ(account->used, 0U);
    EXPECT_EQ(account->discarded, 48U);
  }
  ASSERT_EQ(sender.pads.reserve(64, range), Take::ok);
  Bytes mask(64);
  sender.pads.mask(range, mask);
  EXPECT_EQ(mask, test::key_bytes(ksid(5), range.offset, 64));
  EXPECT_EQ(sender.pads.account().used, 64U);
}

TEST(PadStreams, EndErasesEverything) {
  Sender sender(6);
  sender.keys.deliver(10001);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  PadRange range;
  ASSERT_EQ(sender.pads.reserve(1344, range), Take::ok);
  sender.pads.end();
  EXPECT_TRUE(is_zero(sender.keys.stream().ring, ring_bytes));
  EXPECT_EQ(sender.pads.account().left, 0U);
  EXPECT_EQ(sender.pads.account().discarded, 10001U);
  EXPECT_TRUE(sender.pads.audit());
  EXPECT_EQ(sender.pads.reserve(64, range), Take::ended);
  EXPECT_EQ(sender.pads.poll(), SSN_FAILED);
  {
    Receiver receiver(6);
    receiver.keys.deliver(5000);
    ASSERT_EQ(receiver.pads.poll(), SSN_OK);
    receiver.pads.end();
    std::uint8_t* pad = nullptr;
    EXPECT_EQ(receiver.pads.find(0, 64, pad), Found::pad_gone);
    EXPECT_TRUE(is_zero(receiver.keys.stream().ring, ring_bytes));
  }
}

TEST(PadStreams, DoNotTrustADriverThatMovesTheEnd) {
  for (const std::uint64_t end : {std::uint64_t{1000}, std::uint64_t{10 * ring_bytes}}) {
    Sender sender(7);
    sender.keys.deliver(4096);
    ASSERT_EQ(sender.pads.poll(), SSN_OK);
    sender.keys.lie(end);
    EXPECT_EQ(sender.pads.poll(), SSN_FAILED);
    EXPECT_EQ(sender.pads.account().fetched, 4096U);
    PadRange range;
    EXPECT_EQ(sender.pads.reserve(4096, range), Take::ok);  // what was delivered before is good
    EXPECT_EQ(sender.pads.reserve(64, range), Take::ended);
  }
}

TEST(PadStreamsDeathTest, NoRangeIsDoneWithTwice) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  Sender sender(8);
  sender.keys.deliver(4096);
  ASSERT_EQ(sender.pads.poll(), SSN_OK);
  PadRange range;
  ASSERT_EQ(sender.pads.reserve(64, range), Take::ok);
  sender.pads.use(range);
  EXPECT_DEATH(sender.pads.use(range), "balanced");
}

}  // namespace
}  // namespace ssn::protocol
