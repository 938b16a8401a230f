// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/catch_up.h"

#include <gtest/gtest.h>

#include "implementations.h"
#include "test_key_stream.h"

namespace ssn::protocol {
namespace {

using test::TestKeyStream;

constexpr std::size_t pad_ring = 64 * 1024;
constexpr std::size_t tag_ring = 16 * 1024;
constexpr std::uint64_t one_ms = 1'000'000;

struct Receiver {
  Receiver() {
    // As much as the rings ever take.
    pad_keys.deliver(std::uint64_t{1} << 30);
    tag_keys.deliver(std::uint64_t{1} << 30);
    now_ns = one_ms;
    round();
  }
  void round() {
    EXPECT_EQ(pads.ended() || tags.ended(), false);
    (void)pads.poll();
    (void)tags.poll();
    catch_up.advance(pads, tags, sent_pads, sent_tag_keys, now_ns);
    pads.give_back();
    tags.give_back();
  }
  void pass(std::uint64_t time_ns) {
    const std::uint64_t end = now_ns + time_ns;
    for (; now_ns < end; now_ns += 100'000) round();
  }
  bool can_open(std::uint64_t offset) {
    std::uint8_t* pad = nullptr;
    return pads.find(offset, 64, pad) == Found::ready;
  }
  bool can_check(std::uint64_t packet) {
    const std::uint8_t* mask = nullptr;
    const kernels::TagKey* key = nullptr;
    return tags.find(packet, mask, key) == Found::ready;
  }

  static const kernels::Implementation& implementation() {
    const kernels::Implementation* found = nullptr;
    EXPECT_EQ(kernels::select(found), kernels::Status::ok);
    return *found;
  }
  static hw::SecretBuffer key_memory() {
    return std::move(
        hw::SecretBuffer::make(TagKeys::memory_bytes, hw::SecretBuffer::Locking::required).value());
  }

  TestKeyStream pad_keys{test::Ksid{1}, SSN_KEY_RECEIVER, pad_ring};
  TestKeyStream tag_keys{test::Ksid{2}, SSN_KEY_RECEIVER, tag_ring};
  StreamMarks marks[2];
  hw::SecretBuffer memory = key_memory();
  PadReceiver pads{pad_keys.stream(), marks[0]};
  TagReceiver tags{tag_keys.stream(), marks[1], implementation(), memory, 256};
  CatchUp catch_up;
  std::uint64_t sent_pads = 0;
  std::uint64_t sent_tag_keys = 0;
  std::uint64_t now_ns = 0;
};

TEST(CatchUp, GoesToWhereThePeerIs) {
  Receiver receiver;
  const std::uint64_t packet = 5000;
  receiver.sent_pads = 10 * pad_ring;
  receiver.sent_tag_keys = mask_offset(packet);
  EXPECT_FALSE(receiver.can_open(receiver.sent_pads));
  EXPECT_FALSE(receiver.can_check(packet));
  receiver.pass(CatchUp::after_ns - one_ms);
  EXPECT_EQ(receiver.catch_up.skips(), 0U);
  EXPECT_TRUE(receiver.can_open(0)) << "nothing is given up before its time";
  receiver.pass(4 * one_ms);
  EXPECT_EQ(receiver.catch_up.skips(), 1U);
  EXPECT_TRUE(receiver.can_open(receiver.sent_pads));
  EXPECT_TRUE(receiver.can_check(packet));
  EXPECT_FALSE(receiver.can_open(0));
  EXPECT_TRUE(receiver.pads.account().balanced() && receiver.pads.audit());
  EXPECT_TRUE(receiver.tags.account().balanced());
}

// Of one stream only, where the other one is not behind: few long packets, or many short ones.
TEST(CatchUp, MovesWhatIsBehind) {
  Receiver receiver;
  receiver.sent_tag_keys = mask_offset(5000);
  receiver.sent_pads = pad_ring;
  receiver.pass(CatchUp::after_ns + 4 * one_ms);
  EXPECT_TRUE(receiver.can_check(5000));
  EXPECT_TRUE(receiver.can_open(0));
}

TEST(CatchUp, LeavesAReceiverAloneThatIsNotLost) {
  Receiver receiver;
  // All that was sent fits into the rings.
  receiver.sent_pads = pad_ring;
  receiver.sent_tag_keys = tag_ring;
  receiver.pass(5 * CatchUp::after_ns);
  EXPECT_EQ(receiver.catch_up.skips(), 0U);
  // More than that, and something is opened now and then.
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(receiver.can_open(i * 64));
    receiver.pads.open(i * 64, 64);
    receiver.round();
    receiver.sent_pads = 10 * pad_ring;
    receiver.pass(CatchUp::after_ns - 2 * one_ms);
  }
  EXPECT_EQ(receiver.catch_up.skips(), 0U);
}

}  // namespace
}  // namespace ssn::protocol
