// SPDX-License-Identifier: BSD-3-Clause
// Rotating rows, and pad shares: holders keep pad as their share.
#include <gtest/gtest.h>

#include "ssa_world.h"

namespace ssn::test {
namespace {

using roles::SsaTrouble;

SsaWorldOptions rotating(unsigned k, unsigned n, bool keep) {
  SsaWorldOptions options;
  options.layout.cell_bytes = 128;
  options.layout.k = k;
  options.layout.n = n;
  options.layout.row_rule = roles::RowRule::rotating;
  options.layout.cells_per_turn = 50;
  options.ssa.window = 128;
  options.ssa.pad_shares = keep;
  options.channel.sender.packets = 4096;
  return options;
}

void expect_read_back(SsaWorld& world, const Bytes& content, const roles::WriteResult& written) {
  const auto blocks = static_cast<std::uint32_t>(content.size() / world.options.layout.cell_bytes);
  const TestOwner& reader = world.get({7, 1}, blocks, written);
  EXPECT_EQ(world.wrong(), "") << "seed " << world.seed;
  EXPECT_EQ(reader.got_count, blocks) << "seed " << world.seed;
  EXPECT_TRUE(reader.content == content) << "seed " << world.seed;
}

TEST(SsaPadShares, RowsFallToHoldersInTurn) {
  roles::ObjectLayout layout = rotating(3, 5, false).layout;
  EXPECT_EQ(row_of(layout, 1, 0), 1U);
  EXPECT_EQ(row_of(layout, 1, 49), 1U);
  EXPECT_EQ(row_of(layout, 1, 50), 2U);
  EXPECT_EQ(row_of(layout, 5, 50), 1U);
  for (std::uint32_t cell = 0; cell < 1000; cell += 7) {
    for (unsigned share = 1; share <= 5; ++share) {
      EXPECT_EQ(share_of(layout, row_of(layout, share, cell), cell), share);
    }
  }
  layout.row_rule = roles::RowRule::fixed;
  EXPECT_EQ(row_of(layout, 4, 777), 4U);
  EXPECT_EQ(share_of(layout, 4, 777), 4U);
}

TEST(SsaPadShares, RotatingRowsReadBackWithAndWithoutPadShares) {
  for (const bool keep : {false, true}) {
    for (const unsigned k : {2U, 3U, 4U}) {
      SsaWorld world(rotating(k, 5, keep), k);
      const Bytes content = world.random_content(700);
      const roles::WriteResult written = world.put({7, 1}, content);
      EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " " << world.wrong();
      EXPECT_EQ(written.sealed, 5U);
      const roles::SsaCounters& counters = world.ssa->counters();
      if (keep) {
        EXPECT_GT(counters.shares_kept, 700U * (k - 1) * 9 / 10) << "nearly all random blocks are pad";
        EXPECT_LT(world.counted.bytes, 700U * 128 / 2) << "and hardly any are drawn";
        std::uint64_t kept = 0;
        for (const auto& node : world.holders) kept += node->tie->there.pads_out.account().kept;
        EXPECT_EQ(kept, counters.shares_kept * 128) << "what holders keep leaves the pads' account as kept";
      } else {
        EXPECT_EQ(counters.shares_kept, 0U);
        EXPECT_EQ(world.counted.bytes, 700U * 128 * (k - 1));
      }
      world.kill(k);
      world.kill((k + 2) % 5);
      if (k <= 3) expect_read_back(world, content, written);
    }
  }
}

// Where key managers would learn too much of all rows: some of them, or none.
TEST(SsaPadShares, KeepsTheRowsThatItMay) {
  for (const unsigned rows : {0U, 1U, 2U}) {
    SsaWorldOptions options = rotating(4, 6, true);
    options.layout.kept_rows = rows;
    SsaWorld world(options, 7 + rows);
    const Bytes content = world.random_content(700);
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.sealed, 6U) << world.wrong();
    const roles::SsaCounters& counters = world.ssa->counters();
    EXPECT_LE(counters.shares_kept, 700U * rows);
    EXPECT_GE(counters.shares_kept, 700U * rows * 9 / 10);
    EXPECT_GE(world.counted.bytes, 700U * 128 * (3 - rows)) << "the other random blocks are drawn";
    expect_read_back(world, content, written);
  }
}

TEST(SsaPadShares, EveryScheme) {
  struct Case {
    kernels::Scheme scheme;
    unsigned k, n, blocks, random;
  };
  for (const Case each :
       {Case{kernels::Scheme::classic, 3, 5, 1, 2}, Case{kernels::Scheme::ramp, 4, 6, 2, 2},
        Case{kernels::Scheme::rs, 3, 5, 3, 0}, Case{kernels::Scheme::systematic, 2, 2, 1, 1}}) {
    SsaWorldOptions options = rotating(each.k, each.n, true);
    options.layout.scheme = each.scheme;
    options.layout.secret_blocks = each.blocks;
    SsaWorld world(options, each.k);
    const Bytes content = world.random_content(301);
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.sealed, each.n) << name(written.why) << " " << world.wrong();
    EXPECT_EQ(world.ssa->counters().shares_kept != 0, each.random != 0);
    EXPECT_LE(world.ssa->counters().shares_kept, written.cells * each.random);
    expect_read_back(world, content, written);
  }
}

// Orders that are lost on their way, holders that start again in the middle of a turn.
TEST(SsaPadShares, SplitsAgainWithFreshPads) {
  for (std::uint64_t seed = 1; seed <= seeds(6); ++seed) {
    SsaWorldOptions options = rotating(3, 5, true);
    options.link.loss_percent = static_cast<unsigned>(seed % 4);
    SsaWorld world(options, seed);
    const Bytes content = world.random_content(1500);
    for (std::uint64_t i = 0; i < 2; ++i) {
      const std::size_t holder = (seed + i) % 5;
      const std::uint64_t when = 3 + seed * 5 + i * 40;
      world.at(one_ms * when, [&world, holder] { world.kill(holder); });
      world.at(one_ms * (when + 30), [&world, holder] { world.restart(holder); });
    }
    const roles::WriteResult written = world.put({7, 1}, content);
    EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
    EXPECT_EQ(written.sealed, 5U) << "seed " << seed;
    EXPECT_GT(world.ssa->counters().shares_kept, 1500U) << "seed " << seed;
    expect_read_back(world, content, written);
    for (std::size_t i = 0; i < 5; ++i) world.disconnect(i);
    EXPECT_EQ(world.pool.out(), 0U) << "seed " << seed;
    if (HasFailure()) return;
  }
}

// Where pads run short, the share is made of drawn random bytes and sent.
TEST(SsaPadShares, WithoutPadsSharesAreSent) {
  SsaWorldOptions options = rotating(3, 5, true);
  options.gcm = true;
  options.pad_bytes = 100'000;
  SsaWorld world(options, 3);
  const Bytes content = world.random_content(2000);
  const roles::WriteResult written = world.put({7, 1}, content);
  EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " " << world.wrong();
  EXPECT_GT(world.ssa->counters().shares_kept, 0U);
  EXPECT_LT(world.ssa->counters().shares_kept, 4000U);
  EXPECT_EQ(written.protection, roles::Protection::computational);
  expect_read_back(world, content, written);
}

TEST(SsaPadShares, ALiarIsNamedByItsShareNotItsRow) {
  for (std::uint64_t seed = 1; seed <= seeds(4); ++seed) {
    SsaWorld world(rotating(3, 5, true), seed);
    const Bytes content = world.random_content(400);
    const roles::WriteResult written = world.put({7, 1}, content);
    world.holders[seed % 5]->lies_percent = 100;
    expect_read_back(world, content, written);
    for (const roles::SsaEvent& event : world.events) {
      if (event.kind != roles::SsaEvent::Kind::holder_lies) continue;
      EXPECT_EQ(event.holder, seed % 5);
    }
  }
}

}  // namespace
}  // namespace ssn::test
