// SPDX-License-Identifier: BSD-3-Clause
// After a stream is closed no pad byte is left in this process: not in its memory, not in memory files that
// it holds open. Driver and device model both run in this process, so this covers both.
#include "memory_scanner.h"
#include "setup.h"

namespace ssn::kmnic_test {
namespace {

using test::Scanner;
using test::Wanted;

// `refill` lets the device deliver more than one ring: until then nothing overwrites what should be erased.
template <typename Refill>
void expect_nothing_left(hw::KeyStream stream, std::uint64_t ring_bytes, Refill refill) {
  const auto scanner = std::make_unique<Scanner>();
  ASSERT_TRUE(eventually([&] {
    (void)stream.poll();
    return stream.end() >= ring_bytes;
  }));
  // Around the ring, so that used, given back and delivered again all occur.
  Wanted used;
  Wanted held;
  const std::uint64_t half = ring_bytes / 2;
  used.add(stream.at(0, half), half);
  EXPECT_GT(scanner->count(used), half / 8 - 2) << "the positive control is not found";
  stream.erase_and_release(half);
  EXPECT_TRUE(eventually([&] { return scanner->count(used) == 0; }))
      << "given back, and still there: " << scanner->where();
  refill();
  ASSERT_TRUE(eventually([&] {
    (void)stream.poll();
    return stream.end() == ring_bytes + half;
  }));
  held.add(stream.at(half, ring_bytes), ring_bytes);
  EXPECT_GT(scanner->count(held), ring_bytes / 8 - 2) << "the positive control is not found";
  EXPECT_GT(scanner->bytes(), ring_bytes);
  stream.close();
  EXPECT_EQ(scanner->count(held), 0U) << "the stream is closed: " << scanner->where();
  EXPECT_EQ(scanner->count(used), 0U) << "the stream is closed: " << scanner->where();
}

TEST_F(KmnicTest, LeavesNoPadInMemory) {
  SKIP_WHERE_INSTRUMENTED();
  valve_->limit = ring_bytes;
  start_model();
  hw::KeyDevice alice = device();
  expect_nothing_left(stream(alice), ring_bytes, [&] { valve_->limit = UINT64_MAX; });
}

TEST_F(KmnicTest, LeavesNoPadInMemoryWhenTheDeviceHasLeft) {
  SKIP_WHERE_INSTRUMENTED();
  start_model();
  hw::KeyDevice alice = device("alice", {{"timeout_ms", "2000"}});
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(eventually([&] {
    (void)sender.poll();
    return sender.end() == ring_bytes;
  }));
  Wanted wanted;
  wanted.add(sender.at(0, ring_bytes), ring_bytes);
  const auto scanner = std::make_unique<Scanner>();
  EXPECT_GT(scanner->count(wanted), 0U);
  model_.inject({FaultKind::vanish});
  EXPECT_TRUE(fails(sender));
  sender.close();
  EXPECT_EQ(scanner->count(wanted), 0U) << scanner->where();
}

TEST(MemoryDriver, LeavesNoPadInMemory) {
  SKIP_WHERE_INSTRUMENTED();
  constexpr std::size_t ring_bytes = 256 << 10;
  Result<hw::KeyDevice> device =
      hw::KeyDevice::open({.driver = "memory", .local_name = "alice", .settings = {{"seed", "scan"}}});
  ASSERT_TRUE(device.ok()) << device.error().why;
  Result<hw::KeyStream> stream = device.value().open_stream(SSN_KEY_SENDER, hw::Ksid{1}, "bob", ring_bytes);
  ASSERT_TRUE(stream.ok()) << stream.error().why;
  expect_nothing_left(std::move(stream.value()), ring_bytes, [] {});
}

}  // namespace
}  // namespace ssn::kmnic_test
