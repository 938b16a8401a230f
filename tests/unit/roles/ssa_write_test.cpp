// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "ssa_world.h"

namespace ssn::test {
namespace {

using protocol::AnswerCode;
using roles::SsaTrouble;

SsaWorldOptions small() {
  SsaWorldOptions options;
  options.layout.cell_bytes = 128;
  options.layout.k = 3;
  options.layout.n = 5;
  options.ssa.window = 128;
  options.channel.sender.packets = 4096;
  return options;
}

void expect_read_back(SsaWorld& world, const roles::ObjectKey& key, const Bytes& content,
                      const roles::WriteResult& written) {
  const auto blocks = static_cast<std::uint32_t>(content.size() / world.options.layout.cell_bytes);
  const TestOwner& reader = world.get(key, blocks, written);
  EXPECT_EQ(world.wrong(), "") << "seed " << world.seed;
  EXPECT_EQ(reader.got_count, blocks) << "seed " << world.seed;
  EXPECT_TRUE(reader.content == content) << "seed " << world.seed;
}

/// What holds whatever happened: nothing is lost, and nothing was said that is not so.
void expect_clean(SsaWorld& world) {
  EXPECT_EQ(world.wrong(), "") << "seed " << world.seed;
  for (std::size_t i = 0; i < world.holders.size(); ++i) world.disconnect(i);
  EXPECT_EQ(world.pool.out(), 0U) << "packets of the SSA are lost, seed " << world.seed;
  EXPECT_EQ(world.ssa->counters().events_lost, 0U);
}

void write_and_read(const SsaWorldOptions& options, std::uint64_t seed, std::size_t blocks) {
  SsaWorld world(options, seed);
  const Bytes content = world.random_content(blocks);
  const roles::WriteResult written = world.put({7, 1}, content);
  ASSERT_TRUE(written.ended) << "seed " << seed << " " << world.wrong();
  EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
  EXPECT_EQ(written.sealed, options.layout.n) << "seed " << seed;
  expect_read_back(world, {7, 1}, content, written);
  expect_clean(world);
}

TEST(SsaWrite, StoresAtAllHoldersAndReadsBack) {
  SsaWorld world(small(), 1);
  const Bytes content = world.random_content(1000);
  const roles::WriteResult written = world.put({7, 1}, content);
  EXPECT_EQ(world.wrong(), "");
  ASSERT_TRUE(written.ended);
  EXPECT_EQ(written.why, SsaTrouble::none);
  EXPECT_EQ(written.sealed, 5U);
  EXPECT_EQ(written.cells, 1000U);
  EXPECT_EQ(written.attempts, (std::vector<roles::AttemptRun>{{0, 0}}));
  EXPECT_EQ(written.protection, roles::Protection::computational);
  EXPECT_EQ(world.ssa->counters().blocks_refused, 0U) << "an honest owner never goes beyond its credit";
  expect_read_back(world, {7, 1}, content, written);
  EXPECT_EQ(world.ssa->counters().cells_checked, 1000U);
  EXPECT_EQ(world.ssa->counters().cells_unchecked, 0U);
  expect_clean(world);
}

// Two of five disks stand still: three holders have it, the quorum is four.
TEST(SsaWrite, NothingIsToldBeforeTheQuorumHasIt) {
  SsaWorld world(small(), 14);
  world.verify_stored = 4;
  TestOwner& owner = world.add_owner();
  ASSERT_NE(world.open_write(owner, {7, 1}, world.random_content(300)), 0U);
  for (std::size_t i = 0; i < 2; ++i) world.holders[i]->store.stall(true);
  EXPECT_FALSE(world.run(400 * one_ms, [&] { return owner.stored_count != 0; })) << "told at three holders";
  EXPECT_EQ(world.ssa->counters().holders_failed, 0U);
  world.holders[1]->store.stall(false);
  EXPECT_TRUE(world.run(400 * one_ms, [&] { return owner.stored_count != 0; })) << world.wrong();
  world.holders[0]->store.stall(false);
  EXPECT_TRUE(world.run(one_s, [&] { return owner.all_stored(); })) << world.wrong();
  EXPECT_EQ(world.wrong(), "");
}

// Each split takes random blocks of its own, k - 1 of them, also when it is the second one of a cell.
TEST(SsaWrite, RandomBlocksServeOnce) {
  SsaWorld world(small(), 9);
  world.at(20 * one_ms, [&world] { world.kill(2); });
  world.at(50 * one_ms, [&world] { world.restart(2); });
  const roles::WriteResult written = world.put({7, 1}, world.random_content(1000));
  EXPECT_EQ(written.sealed, 5U);
  EXPECT_GT(world.ssa->counters().cells_split, 1000U);
  EXPECT_EQ(world.counted.bytes, world.ssa->counters().cells_split * 2 * 128);
}

TEST(SsaWrite, WaitsForRandomBlocksAndPackets) {
  SsaWorldOptions options = small();
  SsaWorld world(options, 10);
  world.counted.dry = true;
  world.pool.set_limit(1000);
  world.at(500 * one_ms, [&world] { world.counted.dry = false; });
  const Bytes content = world.random_content(600);
  const roles::WriteResult written = world.put({7, 1}, content);
  EXPECT_EQ(written.sealed, 5U) << name(written.why) << " " << world.wrong();
  EXPECT_GT(world.ssa->counters().short_of_random, 0U);
  world.pool.set_limit(options.pool_cells);
  expect_read_back(world, {7, 1}, content, written);
  expect_clean(world);
}

TEST(SsaWrite, SaysHowWellAnObjectIsProtected) {
  SsaWorldOptions options = small();
  SsaWorld world(options, 11);
  world.counted.qrng = true;
  EXPECT_EQ(world.put({7, 1}, world.random_content(20)).protection, roles::Protection::computational)
      << "its owner's blocks travel under a cipher";
  options.layout.scheme = kernels::Scheme::rs;
  options.layout.secret_blocks = 3;
  SsaWorld open(options, 12);
  EXPECT_EQ(open.put({7, 1}, open.random_content(20)).protection, roles::Protection::none);
}

TEST(SsaWrite, OverLossyLinks) {
  for (std::uint64_t seed = 1; seed <= seeds(6); ++seed) {
    SsaWorldOptions options = small();
    options.link.loss_percent = static_cast<unsigned>(seed % 8);
    options.link.double_percent = 3;
    options.link.mix_percent = 10;
    options.owner_link = options.link;
    write_and_read(options, seed, 300);
    if (HasFailure()) return;
  }
}

TEST(SsaWrite, EverySchemeAndSize) {
  struct Case {
    kernels::Scheme scheme;
    unsigned k, n, blocks;
  };
  for (const Case each : {Case{kernels::Scheme::systematic, 2, 3, 1}, Case{kernels::Scheme::classic, 3, 5, 1},
                          Case{kernels::Scheme::ramp, 4, 6, 2}, Case{kernels::Scheme::rs, 3, 5, 3},
                          Case{kernels::Scheme::rs, 1, 2, 1}, Case{kernels::Scheme::systematic, 2, 2, 1},
                          Case{kernels::Scheme::systematic, 5, 9, 1}}) {
    for (const std::size_t blocks : {0U, 1U, 65U, 200U}) {
      SsaWorldOptions options = small();
      options.layout.scheme = each.scheme;
      options.layout.k = each.k;
      options.layout.n = each.n;
      options.layout.secret_blocks = each.blocks;
      write_and_read(options, 100 * each.k + blocks, blocks);
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << kernels::name(each.scheme) << " k " << each.k << " n " << each.n << " blocks "
                      << blocks;
        return;
      }
    }
  }
}

TEST(SsaWrite, UnderACipher) {
  SsaWorldOptions options = small();
  options.gcm = true;
  options.pad_bytes = 1 << 16;
  options.link.loss_percent = 3;
  write_and_read(options, 5, 300);
}

// Of n = 5 holders one or two go for good while an object is written: it takes no longer than the patience
// with them, they are named, and the object can be read without them.
TEST(SsaWrite, GoesOnWithoutDeadHolders) {
  for (std::uint64_t seed = 1; seed <= seeds(3); ++seed) {
    SsaWorldOptions options = small();
    options.link.loss_percent = static_cast<unsigned>(seed % 3);
    SsaWorld world(options, seed);
    const Bytes content = world.random_content(1500);
    const std::size_t dead = 1 + seed % 2;
    const std::size_t first = seed % 5;
    for (std::size_t i = 0; i < dead; ++i) {
      world.at(one_ms * (1 + seed * i), [&world, first, i] { world.kill((first + i) % 5); });
    }
    const std::uint64_t began = world.now_ns;
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
    EXPECT_EQ(written.sealed, 5 - dead) << "seed " << seed;
    EXPECT_LT(world.now_ns - began, 5 * one_s) << "seed " << seed;
    EXPECT_EQ(world.count_events(roles::SsaEvent::Kind::holder_failed), dead) << "seed " << seed;
    for (const roles::HolderResult& each : written.holders) {
      const bool is_dead = (each.holder + 5 - first) % 5 < dead;
      EXPECT_EQ(each.sealed, !is_dead) << "seed " << seed;
      EXPECT_EQ(each.trouble != SsaTrouble::none, is_dead) << "seed " << seed;
    }
    expect_read_back(world, {7, 1}, content, written);
    expect_clean(world);
    if (HasFailure()) return;
  }
}

TEST(SsaWrite, EndsWithAReasonWhereTooFewHoldersAreLeft) {
  for (std::uint64_t seed = 1; seed <= seeds(2); ++seed) {
    SsaWorld world(small(), seed);
    for (std::size_t i = 0; i < 3; ++i) world.at(one_ms * (1 + seed), [&world, i] { world.kill(i); });
    const roles::WriteResult written = world.put({7, 1}, world.random_content(1500));
    ASSERT_TRUE(written.ended) << "seed " << seed;
    EXPECT_EQ(written.why, SsaTrouble::too_few_holders) << name(written.why);
    expect_clean(world);
  }
}

// The owner is told at once that its write has failed, over links that lose, and why.
TEST(SsaWrite, TellsItsOwnerThatAWriteIsOver) {
  for (std::uint64_t seed = 1; seed <= seeds(4); ++seed) {
    SsaWorldOptions options = small();
    options.owner_link.loss_percent = 20;
    SsaWorld world(options, seed);
    const bool full = seed % 2 == 0;
    for (std::size_t i = 0; i < 3; ++i) {
      HolderNode& node = *world.holders[i];
      if (full) {
        node.medium.set_capacity(100'000);
      } else {
        world.at(one_ms * (1 + seed), [&world, i] { world.kill(i); });
      }
    }
    TestOwner& owner = world.add_owner();
    const roles::SsaSession session = world.open_write(owner, {7, 1}, world.random_content(1500));
    ASSERT_TRUE(world.run(60 * one_s, [&] { return world.ssa->result(session)->ended; })) << "seed " << seed;
    EXPECT_EQ(world.ssa->result(session)->why, SsaTrouble::too_few_holders) << "seed " << seed;
    EXPECT_TRUE(world.run(one_s, [&] { return owner.write_over; })) << "seed " << seed;
    EXPECT_GT(owner.answers[full ? AnswerCode::disk_full : AnswerCode::incomplete], 0U) << "seed " << seed;
    EXPECT_FALSE(owner.all_stored());
    (void)world.ssa->close_write(session, world.now_ns);
    world.remove_owner(owner);
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    expect_clean(world);
    if (HasFailure()) return;
  }
}

// A holder that starts again has lost what it had not stored: that is split again, in a new attempt.
TEST(SsaWrite, SplitsAgainWhenAHolderComesBack) {
  std::uint64_t again = 0;
  for (std::uint64_t seed = 1; seed <= seeds(6); ++seed) {
    SsaWorldOptions options = small();
    options.link.loss_percent = static_cast<unsigned>(seed % 4);
    SsaWorld world(options, seed);
    const Bytes content = world.random_content(1500);
    for (std::uint64_t i = 0; i < 1 + seed % 3; ++i) {
      const std::size_t holder = (seed + i) % 5;
      const std::uint64_t when = 3 + seed * 4 + i * 30;
      world.at(one_ms * when, [&world, holder] { world.kill(holder); });
      world.at(one_ms * (when + 40), [&world, holder] { world.restart(holder); });
    }
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
    EXPECT_EQ(written.sealed, 5U) << "seed " << seed;
    again += world.ssa->counters().cells_split_again != 0 ? 1 : 0;
    expect_read_back(world, {7, 1}, content, written);
    expect_clean(world);
    if (HasFailure()) return;
  }
  EXPECT_GT(again, 0U) << "too few of the seeds split anything again";
}

TEST(SsaWrite, PartitionedHoldersComeBack) {
  for (std::uint64_t seed = 1; seed <= seeds(3); ++seed) {
    SsaWorld world(small(), seed);
    const Bytes content = world.random_content(1500);
    const std::size_t holder = seed % 5;
    world.at(one_ms * 5, [&world, holder] { world.cut(holder, true); });
    world.at(one_ms * 300, [&world, holder] { world.cut(holder, false); });
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.why, SsaTrouble::none) << "seed " << seed;
    EXPECT_EQ(written.sealed, 5U) << "seed " << seed;
    EXPECT_EQ(written.attempts.size(), 1U) << "the same packets, sent again";
    expect_read_back(world, {7, 1}, content, written);
    expect_clean(world);
    if (HasFailure()) return;
  }
}

// Two holders fall silent, and the patience with them is longer than shares are tried to be sent:
// what is split again when that is over gets its own time, and the others, slow by then, do not fail for it.
TEST(SsaWrite, SilentHoldersCostNobodyElseHisPlace) {
  for (std::uint64_t seed = 1; seed <= seeds(6); ++seed) {
    SsaWorldOptions options = small();
    options.ssa.window = 512;
    options.ssa.cell_ns = 2 * one_s;
    options.ssa.stall_ns = 3 * one_s;
    SsaWorld world(options, seed);
    const Bytes content = world.random_content(3000);
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t holder = (seed + i) % 5;
      world.at(one_ms * (10 + 3 * seed), [&world, holder] { world.cut(holder, true); });
    }
    world.at(one_s, [&world] {
      for (const auto& each : world.holders) each->there.options.delay_ns = 200 * one_ms;
    });
    const std::uint64_t began = world.now_ns;
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
    EXPECT_EQ(written.sealed, 3U) << "seed " << seed;
    EXPECT_LT(world.now_ns - began, 7 * one_s) << "seed " << seed;
    expect_read_back(world, {7, 1}, content, written);
    expect_clean(world);
    if (HasFailure()) return;
  }
}

// Its link carries a hundredth of the others': it fails, and the object is written at the speed of the rest.
TEST(SsaWrite, ASlowHolderDoesNotStopAnOwner) {
  SsaWorldOptions options = small();
  options.layout.cell_bytes = 1344;
  SsaWorld world(options, 3);
  world.holders[2]->there.options.bytes_per_second = 100'000;
  const Bytes content = world.random_content(4000);
  const std::uint64_t began = world.now_ns;
  const roles::WriteResult written = world.put({7, 1}, content);
  EXPECT_EQ(written.why, SsaTrouble::none);
  EXPECT_EQ(written.sealed, 4U);
  EXPECT_EQ(written.holders[2].trouble, SsaTrouble::slow) << name(written.holders[2].trouble);
  EXPECT_LT(world.now_ns - began, 5 * one_s) << "4000 cells of 1344 bytes at 100 kB/s are 54 s";
  expect_read_back(world, {7, 1}, content, written);
  expect_clean(world);
}

TEST(SsaWrite, AFullDiskIsNamed) {
  SsaWorld world(small(), 4);
  world.holders[1]->medium.set_capacity(200'000);
  const Bytes content = world.random_content(3000);
  const roles::WriteResult written = world.put({7, 1}, content);
  EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why);
  EXPECT_EQ(written.sealed, 4U);
  EXPECT_EQ(written.holders[1].trouble, SsaTrouble::disk_full) << name(written.holders[1].trouble);
  expect_read_back(world, {7, 1}, content, written);
  expect_clean(world);
}

TEST(SsaWrite, SeveralOwnersAtOnceAndOneThatGoes) {
  SsaWorld world(small(), 6);
  std::vector<TestOwner*> writers;
  std::vector<roles::SsaSession> sessions;
  std::vector<Bytes> contents;
  for (std::uint64_t i = 0; i < 4; ++i) {
    writers.push_back(&world.add_owner());
    contents.push_back(world.random_content(400));
    sessions.push_back(world.open_write(*writers[i], {10 + i, 1}, contents[i]));
  }
  world.at(2 * one_ms, [&] { world.remove_owner(*writers[3]); });
  ASSERT_TRUE(world.run(10 * one_s, [&] {
    return writers[0]->all_stored() && writers[1]->all_stored() && writers[2]->all_stored();
  })) << world.wrong();
  EXPECT_EQ(world.ssa->result(sessions[3])->why, SsaTrouble::owner_gone);
  for (std::size_t i = 0; i < 3; ++i) world.ssa->finish_write(sessions[i], 400, world.now_ns);
  ASSERT_TRUE(world.run(10 * one_s, [&] {
    return world.ssa->result(sessions[0])->ended && world.ssa->result(sessions[1])->ended &&
           world.ssa->result(sessions[2])->ended;
  }));
  for (std::uint64_t i = 0; i < 3; ++i) {
    const roles::WriteResult written = *world.ssa->result(sessions[i]);
    EXPECT_EQ(written.sealed, 5U);
    expect_read_back(world, {10 + i, 1}, contents[i], written);
  }
}

// However many write at once, what they hold together is bounded, and each goes on.
TEST(SsaWrite, ManyWritersShareTheBlocksThatMayBeHeld) {
  SsaWorldOptions options = small();
  options.layout.k = 2;
  options.layout.n = 3;
  options.ssa.blocks = 120;
  options.channel.sender.initial_credit = 4;
  SsaWorld world(options, 13);
  std::vector<roles::SsaSession> sessions;
  for (std::uint64_t i = 0; i < 6; ++i) {
    sessions.push_back(world.open_write(world.add_owner(), {20 + i, 1}, world.random_content(150)));
  }
  std::uint64_t most = 0;
  ASSERT_TRUE(world.run(20 * one_s, [&] {
    std::uint64_t held = world.ssa->counters().blocks_in;
    for (const auto& owner : world.owners) held -= std::min<std::uint64_t>(held, owner->stored_count);
    most = std::max(most, held);
    return std::all_of(world.owners.begin(), world.owners.end(),
                       [](const auto& owner) { return owner->all_stored(); });
  })) << world.wrong();
  EXPECT_LE(most, 2U * 120U) << "twice, because what is stored is told later";
  EXPECT_EQ(world.ssa->counters().blocks_refused, 0U);
}

TEST(SsaWrite, BlocksThatNeverArriveAreNamed) {
  SsaWorldOptions options = small();
  options.ssa.finish_ns = 2 * one_s;
  SsaWorld world(options, 7);
  TestOwner& owner = world.add_owner();
  const roles::SsaSession session = world.open_write(owner, {7, 1}, world.random_content(10));
  ASSERT_TRUE(world.run(10 * one_s, [&] { return owner.all_stored(); })) << world.wrong();
  world.ssa->finish_write(session, 11, world.now_ns);
  ASSERT_TRUE(world.run(100 * one_s, [&] { return world.ssa->result(session)->ended; }));
  EXPECT_EQ(world.ssa->result(session)->why, SsaTrouble::blocks_missing);
}

TEST(SsaWrite, OrdersThatCannotBeAreRefused) {
  const roles::SsaOptions options;
  roles::WriteOrder order;
  order.layout.holders = {0, 1, 2, 3, 4};
  EXPECT_TRUE(roles::make_write(order, options).ok());
  roles::WriteOrder rotating = order;
  rotating.layout.row_rule = roles::RowRule::rotating;
  auto refused = roles::make_write(rotating, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::usage) << "no turns";
  rotating.layout.cells_per_turn = 64;
  EXPECT_TRUE(roles::make_write(rotating, options).ok());
  roles::WriteOrder twice = order;
  twice.layout.holders = {0, 1, 2, 3, 3};
  EXPECT_FALSE(roles::make_write(twice, options).ok());
  roles::WriteOrder low = order;
  low.layout.minimum = 2;
  EXPECT_FALSE(roles::make_write(low, options).ok());
  roles::WriteOrder odd = order;
  odd.layout.cell_bytes = 1345;
  EXPECT_FALSE(roles::make_write(odd, options).ok());
  roles::ReadOrder read;
  read.layout = order.layout;
  read.cells = 5;
  EXPECT_FALSE(roles::make_read(read, options).ok()) << "cells without attempts";
  read.attempts = {{0, 0}};
  read.shares = {1, 6};
  EXPECT_FALSE(roles::make_read(read, options).ok()) << "a share that is none";
}

}  // namespace
}  // namespace ssn::test
