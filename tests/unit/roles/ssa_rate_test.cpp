// SPDX-License-Identifier: BSD-3-Clause
// Limits of rate: the meter by itself, and sessions of owners that share one, in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "ssa_world.h"

namespace ssn::test {
namespace {

using roles::Pacer;
using roles::Rate;
using roles::RateMeter;

constexpr std::uint32_t cell = 128;

SsaWorldOptions small() {
  SsaWorldOptions options;
  options.layout.cell_bytes = cell;
  options.layout.k = 3;
  options.layout.n = 5;
  options.ssa.window = 128;
  options.channel.sender.packets = 4096;
  return options;
}

double seconds_of(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

/// When `count` blocks have moved that are always wanted.
std::uint64_t move(Pacer& pacer, std::uint64_t count, std::uint64_t now) {
  while (count != 0) {
    pacer.refill(1, now);
    if (pacer.balance() <= 0) {
      EXPECT_GT(pacer.due_ns(), now);
      now = pacer.due_ns();
      continue;
    }
    pacer.took(1);
    --count;
  }
  return now;
}

TEST(RateMeter, KeepsTheRateAndTheBurst) {
  RateMeter meter;
  meter.set({1'000'000, 50'000});
  std::uint64_t now = 10 * one_s;
  std::uint64_t at_once = 0;
  while (meter.reserve(1000, now) == now) at_once += 1000;
  EXPECT_EQ(at_once, 50'000U);
  std::uint64_t due = 0;
  for (int i = 0; i < 999; ++i) due = meter.reserve(1000, now);
  EXPECT_EQ(due, now + one_s) << "a thousand of 1000 bytes behind the burst";
  EXPECT_FALSE(meter.is_full(due));
  EXPECT_TRUE(meter.is_full(due + 50'000'000)) << "50 ms are the burst";
  now = due + 5 * one_s;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(meter.reserve(1000, now), now) << "no pause brings more than that";
  EXPECT_GT(meter.reserve(1000, now), now);
}

TEST(RateMeter, WithoutALimitNothingWaits) {
  RateMeter meter;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(meter.reserve(1U << 30, one_s), one_s);
  EXPECT_EQ(meter.reserved_bytes(), 0U);
  Pacer pacer({&meter, nullptr}, cell);
  pacer.refill(1000, one_s);
  EXPECT_FALSE(pacer.limited());
  EXPECT_EQ(pacer.due_ns(), UINT64_MAX);
}

// Whatever rates and blocks there are: over any time no more than rate and burst, and no less than the rate.
TEST(RateMeter, AnyRateIsKept) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const std::uint32_t block = 64 * (1 + static_cast<std::uint32_t>(random() % 255));
    const std::uint64_t rate = (std::uint64_t{1} << 18) << random() % 20;
    RateMeter meter;
    meter.set({rate, random() % 2 == 0 ? 0 : 1 + random() % rate});
    Pacer pacer({&meter, nullptr}, block);
    const std::uint64_t begin = one_s + random() % one_s;
    const std::uint64_t blocks = std::clamp<std::uint64_t>(3 * rate / block, 1, 100'000);
    const std::uint64_t end = move(pacer, blocks, begin);
    const auto moved = static_cast<double>(blocks * block);
    const double allowed = seconds_of(end - begin) * static_cast<double>(rate) +
                           static_cast<double>(meter.burst_bytes()) + Pacer::most_blocks * block;
    EXPECT_LE(moved, allowed) << "seed " << seed;
    EXPECT_GE(moved * 1.01 + 64.0 * block, seconds_of(end - begin) * static_cast<double>(rate))
        << "seed " << seed;
    if (HasFailure()) return;
  }
}

// One meter, several threads with one clock: what they moved together is what one may.
TEST(RateMeter, ThreadsShareIt) {
  RateMeter meter;
  meter.set({1U << 30, 1U << 20});
  std::atomic<std::uint64_t> clock{one_s};
  std::array<std::uint64_t, 3> moved{};
  std::vector<std::thread> threads;
  constexpr std::uint64_t end = 2 * one_s;
  for (std::uint64_t& its : moved) {
    threads.emplace_back([&] {
      Pacer pacer({&meter, nullptr}, 1344);
      for (;;) {
        const std::uint64_t now = clock.fetch_add(500, std::memory_order_relaxed);
        if (now >= end) return;
        pacer.refill(1, now);
        const std::int64_t ready = std::max<std::int64_t>(pacer.balance(), 0);
        pacer.took(static_cast<std::uint32_t>(ready));
        its += static_cast<std::uint64_t>(ready) * 1344;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::uint64_t all = moved[0] + moved[1] + moved[2];
  EXPECT_LE(all, (1U << 30) + (1U << 20));
  EXPECT_LE(all, meter.reserved_bytes());
  EXPECT_GE(all, (1ULL << 30) * 9 / 10) << "nobody who wants more than there is leaves any of it";
}

struct Metered {
  explicit Metered(std::uint64_t seed, const SsaWorldOptions& options = small()) : world(options, seed) {}
  TestOwner& add(const roles::SessionMeters& meters) {
    TestOwner& owner = world.add_owner();
    owner.meters = meters;
    return owner;
  }
  RateMeter meter, other;
  SsaWorld world;
};

TEST(SsaRate, AWriteIsSlowedAndNotFailed) {
  for (std::uint64_t seed = 1; seed <= seeds(3); ++seed) {
    Metered the(seed);
    the.meter.set({256 << 10, 16 << 10});
    TestOwner& owner = the.add({&the.meter, nullptr});
    const Bytes content = the.world.random_content(6000);  // 750 KiB
    const roles::SsaSession session = the.world.open_write(owner, {7, 1}, content);
    ASSERT_NE(session, 0U);
    const std::uint64_t began = the.world.now_ns;
    ASSERT_TRUE(the.world.run(30 * one_s, [&] { return owner.all_stored(); }))
        << "seed " << seed << " " << the.world.wrong() << " " << owner.stored_count;
    const double took = seconds_of(the.world.now_ns - began);
    EXPECT_GE(took, (750.0 - 16) / 256) << "seed " << seed;
    EXPECT_LE(took, 750.0 / 256 * 1.1 + 0.1) << "seed " << seed;
    EXPECT_EQ(the.world.ssa->counters().holders_failed, 0U) << "nobody else pays for it";
    EXPECT_EQ(the.world.ssa->counters().blocks_refused, 0U);
    EXPECT_EQ(the.world.ssa->counters().blocks_paced, 6000U);
    EXPECT_GT(the.meter.waits(), 0U);
    the.world.ssa->finish_write(session, 6000, the.world.now_ns);
    EXPECT_TRUE(the.world.run(30 * one_s, [&] { return the.world.ssa->result(session)->ended; }));
    EXPECT_EQ(the.world.ssa->result(session)->sealed, 5U);
    EXPECT_EQ(the.world.wrong(), "") << "seed " << seed;
    if (HasFailure()) return;
  }
}

TEST(SsaRate, AReadIsSlowedAndNotFailed) {
  for (std::uint64_t seed = 1; seed <= seeds(3); ++seed) {
    Metered the(seed);
    const Bytes content = the.world.random_content(6000);
    const roles::WriteResult written = the.world.put({7, 1}, content);
    the.meter.set({256 << 10, 16 << 10});
    TestOwner& owner = the.add({&the.meter, nullptr});
    ASSERT_NE(the.world.open_read(owner, {7, 1}, written), 0U);
    owner.read({7, 1}, 6000);
    const std::uint64_t began = the.world.now_ns;
    ASSERT_TRUE(the.world.run(30 * one_s, [&] { return owner.read_over(); }))
        << "seed " << seed << " " << the.world.wrong() << " " << owner.got_count;
    const double took = seconds_of(the.world.now_ns - began);
    EXPECT_GE(took, (750.0 - 16) / 256) << "seed " << seed;
    EXPECT_LE(took, 750.0 / 256 * 1.1 + 0.2) << "seed " << seed;
    EXPECT_TRUE(owner.content == content);
    EXPECT_EQ(owner.refused_count, 0U);
    EXPECT_EQ(the.world.wrong(), "") << "seed " << seed;
    if (HasFailure()) return;
  }
}

// Three writes and a read of one owner get a part each; a stranger is not slowed at all.
TEST(SsaRate, SessionsOfOneOwnerShareFairly) {
  Metered the(1);
  const roles::WriteResult written = the.world.put({7, 1}, the.world.random_content(8000));
  the.meter.set({512 << 10, 16 << 10});
  std::vector<TestOwner*> sessions;
  for (std::uint64_t i = 0; i < 3; ++i) {
    sessions.push_back(&the.add({&the.meter, nullptr}));
    ASSERT_NE(the.world.open_write(*sessions.back(), {8 + i, 1}, the.world.random_content(8000)), 0U);
  }
  sessions.push_back(&the.add({&the.meter, nullptr}));
  ASSERT_NE(the.world.open_read(*sessions.back(), {7, 1}, written), 0U);
  sessions.back()->read({7, 1}, 8000);
  TestOwner& stranger = the.add({&the.other, nullptr});
  ASSERT_NE(the.world.open_write(stranger, {20, 1}, the.world.random_content(8000)), 0U);
  const std::uint64_t began = the.world.now_ns;
  EXPECT_TRUE(the.world.run(2 * one_s, [&] { return stranger.all_stored(); })) << stranger.stored_count;
  (void)the.world.run(began + 4 * one_s - the.world.now_ns, [] { return false; });
  const auto moved = [](const TestOwner& each) { return std::max(each.received_count, each.got_count); };
  std::uint32_t all = 0;
  for (const TestOwner* const each : sessions) all += moved(*each);
  EXPECT_GE(all * cell, (512U << 10) * 4 * 9 / 10);
  EXPECT_LE(all * cell, (512U << 10) * 4 + (16U << 10));
  for (const TestOwner* const each : sessions) {
    EXPECT_GE(moved(*each) * 4 * 10, all * 8) << "not four fifths of its part";
    EXPECT_LE(moved(*each) * 4 * 10, all * 12);
  }
  EXPECT_EQ(the.world.wrong(), "");
}

// The smaller of the owner's and the class's rates counts.
TEST(SsaRate, OwnerAndClassBothCount) {
  Metered the(2);
  the.meter.set({1 << 20, 8 << 10});
  the.other.set({256 << 10, 8 << 10});
  TestOwner& owner = the.add({&the.meter, &the.other});
  ASSERT_NE(the.world.open_write(owner, {7, 1}, the.world.random_content(4000)), 0U);
  const std::uint64_t began = the.world.now_ns;
  ASSERT_TRUE(the.world.run(30 * one_s, [&] { return owner.all_stored(); }));
  EXPECT_GE(seconds_of(the.world.now_ns - began), (500.0 - 8) / 256);
  EXPECT_LE(seconds_of(the.world.now_ns - began), 500.0 / 256 * 1.1 + 0.1);
}

// A limit that comes, becomes another and goes while the session is open.
TEST(SsaRate, ChangesMeetOpenSessions) {
  Metered the(3);
  TestOwner& owner = the.add({&the.meter, nullptr});
  ASSERT_NE(the.world.open_write(owner, {7, 1}, the.world.random_content(60000)), 0U);
  ASSERT_TRUE(the.world.run(10 * one_s, [&] { return owner.stored_count >= 5000; }));
  const auto blocks_in = [&](std::uint64_t time) {
    const std::uint32_t before = owner.received_count;
    (void)the.world.run(time, [] { return false; });
    return owner.received_count - before;
  };
  the.meter.set({256 << 10, 8 << 10});  // 2048 blocks a second
  (void)blocks_in(one_s);
  EXPECT_NEAR(blocks_in(2 * one_s), 4096, 410);
  the.meter.set({512 << 10, 8 << 10});
  (void)blocks_in(one_s / 4);
  EXPECT_NEAR(blocks_in(2 * one_s), 8192, 820);
  the.meter.set({});
  ASSERT_TRUE(the.world.run(5 * one_s, [&] { return owner.all_stored(); })) << owner.stored_count;
  EXPECT_EQ(the.world.ssa->counters().blocks_refused, 0U) << "it kept to what it was told";
  EXPECT_EQ(the.world.wrong(), "");
}

// A disk that stands still for longer than a holder may stop its owner: it is the rate that the owner waits
// for, there is room for all that this lets in.
TEST(SsaRate, NoHolderIsChargedForARate) {
  SsaWorldOptions options = small();
  options.ssa.window = 4096;
  Metered the(4, options);
  the.meter.set({256 << 10, 8 << 10});
  TestOwner& owner = the.add({&the.meter, nullptr});
  ASSERT_NE(the.world.open_write(owner, {7, 1}, the.world.random_content(6000)), 0U);
  (void)the.world.run(200 * one_ms, [] { return false; });
  the.world.holders[2]->store.stall(true);
  (void)the.world.run(one_s + 400 * one_ms, [] { return false; });
  the.world.holders[2]->store.stall(false);
  ASSERT_TRUE(the.world.run(30 * one_s, [&] { return owner.all_stored(); })) << owner.stored_count;
  EXPECT_EQ(the.world.ssa->counters().holders_failed, 0U);
}

// Slow, with lost packets both ways: what the owner may send reaches it all the same.
TEST(SsaRate, LostPacketsStopNothing) {
  for (std::uint64_t seed = 1; seed <= seeds(4); ++seed) {
    SsaWorldOptions options = small();
    options.owner_link.loss_percent = 5;
    options.link.loss_percent = 2;
    Metered the(seed, options);
    the.meter.set({256 << 10, 4 << 10});
    TestOwner& owner = the.add({&the.meter, nullptr});
    ASSERT_NE(the.world.open_write(owner, {7, 1}, the.world.random_content(3000)), 0U);
    EXPECT_TRUE(the.world.run(20 * one_s, [&] { return owner.all_stored(); }))
        << "seed " << seed << " " << the.world.wrong() << " " << owner.stored_count;
    EXPECT_EQ(the.world.wrong(), "") << "seed " << seed;
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ssn::test
