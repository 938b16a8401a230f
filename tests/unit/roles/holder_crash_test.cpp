// SPDX-License-Identifier: BSD-3-Clause
// Power goes at any step of a holder's life: what an SSA was told as stored is there afterwards.
#include <gtest/gtest.h>

#include <cstdlib>

#include "holder_world.h"

namespace ssn::roles {
namespace {

using test::CrashMedium;
using test::HolderWorld;
using test::HolderWorldOptions;
using test::one_ms;
using test::one_s;

std::uint64_t lives() {
  const char* const given = std::getenv("SSN_ROLES_RUNS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 40;
}

HolderWorldOptions options() {
  HolderWorldOptions out;
  out.link.bytes_per_second = 20'000'000;  // so that the store does not get all of it at once
  out.link.loss_percent = 3;
  out.link.double_percent = 3;
  out.link.mix_percent = 20;
  out.store.store = test::small_options();
  out.store.store.flush_ns = one_ms;
  out.store.store.partial_ns = 2 * one_ms;
  out.store.store.batch_bytes = 4096;  // many of them
  return out;
}

// Two SSAs that write all that there is: cells, keep orders, further attempts, seals.
class Life {
 public:
  explicit Life(std::uint64_t seed) : world(options(), seed) {
    world.verify_stored = false;
    for (std::uint64_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(world.connect());
      test::TestSsa& ssa = world.ssa(i);
      const store::ShareId share{10 + i, 1, 1};
      ssa.fill(share, 150);
      ssa.keep(share, 0, 150, 60);
      for (std::uint32_t cell = 300; cell < 310; ++cell) ssa.put(share, 2, cell);
      ssa.fill({20 + i, 1, 2}, 70);
      ssa.seal({20 + i, 1, 2}, 70, 1);
    }
  }
  bool finished() { return world.ssa(0).all_stored() && world.ssa(1).all_stored(); }
  std::size_t told() { return world.ssa(0).count_stored() + world.ssa(1).count_stored(); }
  void expect_all(const std::string& when) {
    std::string which;
    EXPECT_TRUE(world.has_all_stored(&which)) << which << " is not there " << when;
    EXPECT_EQ(world.wrong(), "") << when;
  }

  HolderWorld world;
};

TEST(HolderCrash, KeepsWhatItToldWhenPowerGoesAtAnyStep) {
  const std::uint64_t seed = test::test_seed();
  Life whole(seed);
  std::uint64_t first = 0;  // step after which something is told
  ASSERT_TRUE(whole.world.run(20 * one_s, [&] {
    if (whole.told() == 0) first = whole.world.steps;
    return whole.finished();
  })) << whole.world.wrong();
  first -= first / 8;
  const std::uint64_t steps = whole.world.steps - first;
  std::size_t some = 0;
  for (std::uint64_t i = 0; i < lives(); ++i) {
    const std::uint64_t at = first + (steps * i + seed % steps) / lives();
    Life life(seed);
    (void)life.world.run(20 * one_s, [&] { return life.world.steps >= at; });
    const std::size_t told = life.told();
    some += told != 0 && !life.finished() ? 1U : 0U;
    life.world.crash();
    life.expect_all("after a crash at step " + std::to_string(at));
  }
  EXPECT_GT(some, lives() / 2) << "most crashes hit nothing";
}

TEST(HolderCrash, KeepsWhatItToldWhenTheDiskFailsAtAnyStep) {
  const std::uint64_t seed = test::test_seed();
  Life whole(seed);
  const std::uint64_t before = whole.world.medium.operations();
  ASSERT_TRUE(whole.world.run(20 * one_s, [&] { return whole.finished(); })) << whole.world.wrong();
  const std::uint64_t operations = whole.world.medium.operations() - before;
  ASSERT_GT(operations, 5U);
  const CrashMedium::Failure failures[] = {CrashMedium::Failure::power_off, CrashMedium::Failure::io_error,
                                           CrashMedium::Failure::full};
  std::size_t failed = 0;
  for (std::uint64_t i = 0; i < lives(); ++i) {
    Life life(seed);
    life.world.medium.fail_in(i * operations / lives(), failures[i % 3]);
    (void)life.world.run(60 * one_ms, [&] { return life.finished(); });
    failed += life.world.medium.failed() ? 1U : 0U;
    life.world.crash();
    life.expect_all("after operation " + std::to_string(i * operations / lives()) + " failed");
  }
  EXPECT_GT(failed, lives() / 2);
}

// After a restart SSAs come back with new keys and write the same cells again: what was there is again
// acknowledged.
TEST(HolderCrash, TakesTheSameCellsAgainAfterARestart) {
  Life life(test::test_seed());
  const auto half = [&] { return life.told() > 200; };
  ASSERT_TRUE(life.world.run(20 * one_s, half)) << life.world.wrong();
  HolderWorld& world = life.world;
  world.crash();
  world.restart();
  const std::optional<std::size_t> back = world.connect();
  ASSERT_TRUE(back);
  test::TestSsa& ssa = world.ssa(*back);
  ssa.fill({20, 1, 2}, 70);
  ssa.fill({10, 1, 1}, 150);
  ASSERT_TRUE(world.run(20 * one_s, [&] { return ssa.all_stored(); })) << world.wrong();
  ssa.seal({20, 1, 2}, 70, 1);
  ASSERT_TRUE(world.run(20 * one_s, [&] { return ssa.answer(1) != nullptr; }));
  EXPECT_EQ(ssa.answer(1)->answer.code, protocol::AnswerCode::done);
  world.crash();
  life.expect_all("after a second crash");
}

}  // namespace
}  // namespace ssn::roles
