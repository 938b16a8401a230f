// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "ssa_world.h"

namespace ssn::test {
namespace {

using protocol::AnswerCode;
using roles::SsaEvent;
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

struct Stored {
  Stored(const SsaWorldOptions& options, std::uint64_t seed, std::size_t blocks)
      : world(options, seed), content(world.random_content(blocks)), written(world.put(key, content)) {
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_EQ(written.sealed, options.layout.n) << "seed " << seed;
  }
  std::uint32_t blocks() const {
    return static_cast<std::uint32_t>(content.size() / world.options.layout.cell_bytes);
  }
  TestOwner& get() { return world.get(key, blocks(), written); }
  /// Whether every block that was given is right.
  bool nothing_wrong(const TestOwner& reader) const {
    const std::size_t bytes = world.options.layout.cell_bytes;
    for (std::size_t i = 0; i < blocks(); ++i) {
      const auto from = static_cast<std::ptrdiff_t>(i * bytes);
      const auto to = static_cast<std::ptrdiff_t>((i + 1) * bytes);
      if (reader.was_given[i] &&
          !std::equal(content.begin() + from, content.begin() + to, reader.content.begin() + from)) {
        return false;
      }
    }
    return true;
  }
  roles::ObjectKey key{7, 1};
  SsaWorld world;
  Bytes content;
  roles::WriteResult written;
};

TEST(SsaRead, WithoutTwoOfFiveHolders) {
  for (std::uint64_t seed = 1; seed <= seeds(3); ++seed) {
    Stored stored(small(), seed, 500);
    stored.world.kill(seed % 5);
    stored.world.kill((seed + 1 + seed % 3) % 5);
    const std::uint64_t began = stored.world.now_ns;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(reader.content == stored.content) << "seed " << seed;
    EXPECT_LT(stored.world.now_ns - began, one_s) << "silent holders cost little time";
    if (HasFailure()) return;
  }
}

// A window begins with ten packets, and after losses it has two: a cell's blocks go in parts then.
TEST(SsaRead, CellsOfMoreBlocksThanTheWindow) {
  for (const auto& [k, n, loss] :
       {std::tuple(3U, 5U, 10U), std::tuple(12U, 14U, 0U), std::tuple(20U, 21U, 5U)}) {
    SsaWorldOptions options = small();
    options.layout.scheme = kernels::Scheme::rs;
    options.layout.k = k;
    options.layout.n = n;
    options.layout.secret_blocks = k;
    options.owner_link.loss_percent = loss;
    for (std::uint64_t seed = 1; seed <= seeds(2); ++seed) {
      Stored stored(options, seed, std::size_t{k} * 40);
      const TestOwner& reader = stored.get();
      EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
      EXPECT_TRUE(reader.read_over() && reader.content == stored.content)
          << "k = " << k << ", seed " << seed << ": " << reader.got_count << " of " << stored.blocks();
    }
  }
}

// Long after two holders went silent: their channels are suspect by then, and nothing is asked of them.
TEST(SsaRead, LongAfterHoldersDied) {
  for (std::uint64_t seed = 1; seed <= seeds(2); ++seed) {
    Stored stored(small(), seed, 2000);
    stored.world.kill(seed % 5);
    stored.world.kill((seed + 2) % 5);
    EXPECT_TRUE(stored.get().content == stored.content) << "seed " << seed;
    (void)stored.world.run(5 * one_s, [] { return false; });
    const std::uint64_t began = stored.world.now_ns;
    EXPECT_TRUE(stored.get().content == stored.content) << "seed " << seed;
    EXPECT_LT(stored.world.now_ns - began, one_s / 2) << "seed " << seed;
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
  }
}

TEST(SsaRead, HoldersThatDieMeanwhile) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    SsaWorldOptions options = small();
    options.link.loss_percent = static_cast<unsigned>(seed % 4);
    options.owner_link.loss_percent = static_cast<unsigned>(seed % 3);
    Stored stored(options, seed, 2000);
    SsaWorld& world = stored.world;
    for (std::size_t i = 0; i < 2; ++i) {
      world.at(one_ms * (1 + (seed * 7 + i * 5) % 12), [&world, i, seed] { world.kill((seed + i) % 5); });
    }
    if (seed % 2 == 0) world.at(one_ms * 50, [&world, seed] { world.restart(seed % 5); });
    const TestOwner& reader = stored.get();
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(reader.content == stored.content) << "seed " << seed;
    if (HasFailure()) return;
  }
}

// With more than n - k holders gone the answer is typed, and in time.
TEST(SsaRead, TooFewHoldersIsAnAnswer) {
  for (std::uint64_t seed = 1; seed <= seeds(2); ++seed) {
    Stored stored(small(), seed, 300);
    for (std::size_t i = 0; i < 3; ++i) stored.world.kill((seed + i) % 5);
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "");
    EXPECT_EQ(reader.got_count, 0U);
    EXPECT_EQ(reader.refused_count, 300U);
    EXPECT_GT(reader.answers.count(AnswerCode::incomplete), 0U);
  }
}

// One holder of five changes shares: what the owner gets is right, and the holder is named.
TEST(SsaRead, ALiarIsCorrectedAndNamed) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    SsaWorldOptions options = small();
    options.link.loss_percent = static_cast<unsigned>(seed % 3);
    Stored stored(options, seed, 400);
    const std::size_t liar = seed % 5;
    stored.world.holders[liar]->lies_percent = seed % 2 == 0 ? 100 : 10;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(reader.content == stored.content) << "seed " << seed;
    const bool asked = stored.world.holders[liar]->shares_given != 0;
    EXPECT_EQ(stored.world.count_events(SsaEvent::Kind::holder_lies), asked ? 1U : 0U) << "seed " << seed;
    for (const SsaEvent& event : stored.world.events) {
      if (event.kind != SsaEvent::Kind::holder_lies) continue;
      EXPECT_EQ(event.holder, liar) << "seed " << seed;
    }
    if (HasFailure()) return;
  }
}

// One of five is slow, so that four shares contradict each other for a while and nobody can tell which is
// wrong.
TEST(SsaRead, ALiarIsToldByTheShareThatComesLate) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    Stored stored(small(), seed, 200);
    SsaWorld& world = stored.world;
    world.holders[seed % 5]->lies_percent = 100;
    world.holders[(seed + 1 + seed % 4) % 5]->back.options.delay_ns = 300 * one_ms;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_EQ(reader.refused_count, 0U) << "seed " << seed;
    EXPECT_TRUE(reader.content == stored.content) << "seed " << seed;
    EXPECT_EQ(world.count_events(SsaEvent::Kind::contradiction), 0U) << "seed " << seed;
    if (HasFailure()) return;
  }
}

// Slow ones are no reason to believe k shares of which one is wrong.
TEST(SsaRead, ALiarBesideTwoSlowHoldersGetsNothingWrongThrough) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    Stored stored(small(), seed, 200);
    SsaWorld& world = stored.world;
    world.holders[seed % 5]->lies_percent = 100;
    for (std::size_t i = 1; i <= 2; ++i) world.holders[(seed + i) % 5]->back.options.delay_ns = 300 * one_ms;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(stored.nothing_wrong(reader)) << "seed " << seed;
    if (HasFailure()) return;
  }
}

// As many liars as can be noticed, more than can be corrected: nothing wrong is ever given.
TEST(SsaRead, TwoLiarsOfFiveNeverGetAnythingWrongThrough) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    SsaWorldOptions options = small();
    options.ssa.surplus = 2;
    Stored stored(options, seed, 300);
    stored.world.holders[seed % 5]->lies_percent = 50;
    stored.world.holders[(seed + 2) % 5]->lies_percent = 50;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(stored.nothing_wrong(reader)) << "seed " << seed;
    EXPECT_EQ(reader.got_count + reader.refused_count, 300U);
    if (HasFailure()) return;
  }
}

TEST(SsaRead, ALiarAndADeadHolderNeverGetAnythingWrongThrough) {
  for (std::uint64_t seed = 1; seed <= seeds(5); ++seed) {
    Stored stored(small(), seed, 300);
    stored.world.kill((seed + 2) % 5);
    stored.world.holders[seed % 5]->lies_percent = 30;
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(stored.nothing_wrong(reader)) << "seed " << seed;
    if (HasFailure()) return;
  }
}

// Without surplus a liar is not noticed: that is what surplus = 0 means, and why it is not the default.
TEST(SsaRead, WithoutSurplusNothingIsChecked) {
  SsaWorldOptions options = small();
  options.ssa.surplus = 0;
  Stored stored(options, 2, 300);
  const TestOwner& reader = stored.get();
  EXPECT_TRUE(reader.content == stored.content);
  EXPECT_EQ(stored.world.ssa->counters().cells_checked, 0U);
  EXPECT_EQ(stored.world.ssa->counters().cells_unchecked, 300U);
  EXPECT_EQ(stored.world.ssa->counters().shares_asked, 900U);
}

// Records rot at two holders of five: their holders say so, and the others are asked.
TEST(SsaRead, DamagedRecordsAreReadElsewhere) {
  for (std::uint64_t seed = 1; seed <= seeds(2); ++seed) {
    Stored stored(small(), seed, 500);
    for (std::size_t i = 0; i < 2; ++i) {
      HolderNode& node = *stored.world.holders[(seed + i) % 5];
      stored.world.restart((seed + i) % 5);  // nothing is in its memory
      std::vector<CrashMedium::Buffer> stripes;
      for (const auto& [record, value] : node.medium.items()) {
        if (record[0] == 'S') stripes.push_back(record);
      }
      ASSERT_FALSE(stripes.empty());
      for (const CrashMedium::Buffer& record : stripes) {
        CrashMedium::Buffer value = *node.medium.items().at(record);
        value[value.size() / 2] ^= 1;
        node.medium.replace(record, value);
      }
    }
    const TestOwner& reader = stored.get();
    EXPECT_EQ(stored.world.wrong(), "") << "seed " << seed;
    EXPECT_TRUE(reader.content == stored.content) << "seed " << seed;
    if (HasFailure()) return;
  }
}

TEST(SsaRead, WhatIsNotThereIsAnswered) {
  Stored stored(small(), 3, 100);
  TestOwner& reader = stored.world.get(stored.key, 150, stored.written);
  EXPECT_EQ(stored.world.wrong(), "");
  EXPECT_EQ(reader.got_count, 100U);
  EXPECT_EQ(reader.refused_count, 50U);
  EXPECT_EQ(reader.answers.count(AnswerCode::not_found), 1U);
}

// An owner gets blocks of the object of its session, and of no other.
TEST(SsaRead, OtherObjectsAreRefused) {
  Stored stored(small(), 4, 10);
  TestOwner& reader = stored.world.add_owner();
  reader.read(stored.key, 10);
  ASSERT_TRUE(stored.world.run(10 * one_s, [&] { return reader.read_over(); })) << stored.world.wrong();
  EXPECT_EQ(reader.got_count, 0U);
  EXPECT_GT(reader.answers.count(AnswerCode::refused), 0U);
}

// A slow holder is asked at first, then no more.
TEST(SsaRead, ASlowHolderIsLeftOut) {
  SsaWorldOptions options = small();
  Stored stored(options, 8, 3000);
  stored.world.holders[0]->back.options.delay_ns = 300 * one_ms;
  const std::uint64_t began = stored.world.now_ns;
  const TestOwner& reader = stored.get();
  EXPECT_TRUE(reader.content == stored.content);
  EXPECT_LT(stored.world.now_ns - began, one_s);
  EXPECT_GT(stored.world.ssa->counters().holders_late, 0U);
}

}  // namespace
}  // namespace ssn::test
