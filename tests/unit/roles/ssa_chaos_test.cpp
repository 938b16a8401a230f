// SPDX-License-Identifier: BSD-3-Clause
// Whatever happens to holders, by a seed, while objects are written and read. Promise mode: never more than
// n - k of them are damaged at a time; every object that was written reads back. Beyond it: nothing wrong,
// and a reason. SSN_SSA_RUNS: how many seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "ssa_world.h"

namespace ssn::test {
namespace {

using roles::SsaTrouble;

std::uint64_t runs() { return seeds(6); }

SsaWorldOptions options_of(TestRandom& random) {
  SsaWorldOptions options;
  options.layout.cell_bytes = 64;
  options.ssa.window = 64;
  options.ssa.surplus = 2;
  options.channel.sender.packets = 4096;
  options.link.loss_percent = random.between(0, 5);
  options.link.double_percent = random.between(0, 3);
  options.link.mix_percent = random.between(0, 20);
  options.owner_link = options.link;
  if (random.below(4) == 0) {
    options.layout.scheme = random.coin() ? kernels::Scheme::ramp : kernels::Scheme::rs;
    options.layout.secret_blocks = options.layout.scheme == kernels::Scheme::ramp ? 2 : 3;
  }
  return options;
}

/// Damages holders and heals them again, at most `most` of them at a time.
class Havoc {
 public:
  Havoc(SsaWorld& world, unsigned most, bool lies, bool heals = true)
      : world_(world), most_(most), lies_(lies), heals_(heals) {}

  void begin() { plan(); }
  void stop() { stopped_ = true; }
  /// Everybody is well again.
  void heal() {
    for (std::size_t i = 0; i < world_.holders.size(); ++i) heal(i);
  }
  unsigned strikes() const { return strikes_; }

 private:
  void plan() {
    world_.at(world_.random.between(1, 40) * one_ms, [this] {
      if (stopped_) return;
      strike();
      plan();
    });
  }
  void strike() {
    const std::size_t at = world_.random.below(world_.holders.size());
    if (damaged_.contains(at)) {
      if (heals_) heal(at);
      return;
    }
    if (damaged_.size() >= most_) return;
    damaged_.insert(at);
    ++strikes_;
    HolderNode& node = *world_.holders[at];
    switch (world_.random.below(lies_ ? 5 : 4)) {
      case 0:
        world_.kill(at);
        break;
      case 1:
        world_.cut(at, true);
        break;
      case 2:
        world_.disconnect(at);
        break;
      case 3:
        node.store.stall(true);
        break;
      default:
        node.lies_percent = 30;
        break;
    }
  }
  void heal(std::size_t at) {
    if (damaged_.erase(at) == 0) return;
    HolderNode& node = *world_.holders[at];
    world_.cut(at, false);
    node.store.stall(false);
    node.lies_percent = 0;
    if (!node.alive) {
      world_.restart(at);
    } else if (node.tie == nullptr) {
      world_.connect(at);
    }
  }

  SsaWorld& world_;
  unsigned most_;
  bool lies_;
  bool heals_;
  bool stopped_ = false;
  unsigned strikes_ = 0;
  std::set<std::size_t> damaged_;
};

void expect_nothing_wrong(const TestOwner& reader, const Bytes& content, std::uint32_t cell_bytes) {
  for (std::size_t i = 0; i < reader.was_given.size(); ++i) {
    if (!reader.was_given[i]) continue;
    const auto from = static_cast<std::ptrdiff_t>(i * cell_bytes);
    EXPECT_TRUE(std::equal(content.begin() + from, content.begin() + from + cell_bytes,
                           reader.content.begin() + from))
        << "block " << i << " is wrong";
  }
}

TEST(SsaChaos, WithinThePromiseEveryObjectReadsBack) {
  unsigned strikes = 0;
  unsigned complete = 0;
  std::uint64_t again = 0;
  for (std::uint64_t seed = 1; seed <= runs(); ++seed) {
    TestRandom random(seed);
    SsaWorld world(options_of(random), seed);
    const Bytes content = world.random_content(random.between(1, 800));
    const auto blocks = static_cast<std::uint32_t>(content.size() / world.options.layout.cell_bytes);
    Havoc writing(world, 1, false);
    writing.begin();
    const roles::WriteResult written = world.put({seed, 1}, content);
    writing.stop();
    ASSERT_EQ(world.wrong(), "") << "seed " << seed;
    ASSERT_TRUE(written.ended) << "seed " << seed;
    EXPECT_EQ(written.why, SsaTrouble::none) << name(written.why) << " seed " << seed;
    writing.heal();
    // What failed while it was written counts as damage of the object.
    const unsigned spare = written.sealed - world.options.layout.k;
    Havoc reading(world, spare, false);
    reading.begin();
    const TestOwner& reader = world.get({seed, 1}, blocks, written);
    reading.stop();
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_EQ(reader.got_count, blocks) << "seed " << seed;
    EXPECT_TRUE(reader.content == content) << "seed " << seed;
    strikes += writing.strikes() + reading.strikes();
    complete += written.sealed == world.options.layout.n ? 1 : 0;
    again += world.ssa->counters().cells_split_again;
    if (HasFailure()) return;
  }
  std::printf("%u strikes, %u objects of %u at all holders, %u cells split again\n", strikes, complete,
              static_cast<unsigned>(runs()), static_cast<unsigned>(again));
  EXPECT_GT(strikes, runs());
  EXPECT_GT(again, 0U);
}

TEST(SsaChaos, BeyondThePromiseNothingWrongIsGiven) {
  unsigned failed = 0;
  unsigned refused = 0;
  for (std::uint64_t seed = 1; seed <= runs(); ++seed) {
    TestRandom random(1000 + seed);
    SsaWorldOptions options = options_of(random);
    options.layout.scheme = kernels::Scheme::systematic;
    options.layout.secret_blocks = 1;
    SsaWorld world(options, 1000 + seed);
    const Bytes content = world.random_content(random.between(1, 500));
    const auto blocks = static_cast<std::uint32_t>(content.size() / options.layout.cell_bytes);
    const bool heals = seed % 3 == 0;
    Havoc writing(world, heals ? 4 : 3, false, heals);
    writing.begin();
    const roles::WriteResult written = world.put({seed, 1}, content);
    writing.stop();
    writing.heal();
    ASSERT_EQ(world.wrong(), "") << "seed " << seed;
    ASSERT_TRUE(written.ended) << "seed " << seed;
    failed += written.why != SsaTrouble::none ? 1 : 0;
    if (written.why != SsaTrouble::none) {
      EXPECT_NE(written.sealed, 5U) << "seed " << seed;
      continue;
    }
    Havoc reading(world, heals ? 4 : 3, seed % 2 == 0, heals);
    reading.begin();
    const TestOwner& reader = world.get({seed, 1}, blocks, written);
    reading.stop();
    EXPECT_EQ(world.wrong(), "") << "seed " << seed;
    EXPECT_EQ(reader.got_count + reader.refused_count, blocks) << "seed " << seed;
    expect_nothing_wrong(reader, content, options.layout.cell_bytes);
    refused += reader.refused_count != 0 ? 1 : 0;
    if (HasFailure()) {
      ADD_FAILURE() << "seed " << seed;
      return;
    }
  }
  std::printf("%u writes failed, %u reads were not complete\n", failed, refused);
  EXPECT_GT(failed + refused, 0U) << "no seed went beyond the promise";
}

}  // namespace
}  // namespace ssn::test
