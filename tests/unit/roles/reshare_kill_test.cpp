// SPDX-License-Identifier: BSD-3-Clause
// Anything is killed at any step of any operation: at every instant the committed generation is readable, and
// afterwards the job is finished, or undone. SSN_SSA_RUNS seeds.
#include <gtest/gtest.h>

#include "reshare_orders.h"

namespace ssn::test {
namespace {

const std::uint64_t first_seed = test_seed();

using roles::ReshareAnswer;
using roles::ReshareOperation;
using roles::ReshareOrder;
using roles::ReshareState;
using roles::ReshareStatus;

/// The control side: one job from its first order to its commit, with as many rounds as it takes.
class Control {
 public:
  enum class Step : std::uint8_t { making, sealing, checking, committed, refused };

  Control(ReshareWorld& world, ReshareOrder order) : world_(world), order_(std::move(order)) {
    source_ = order_.source;
    begin_round();
  }

  void work() {
    if (step_ >= Step::committed) return;
    bool over = true;
    bool broken = false;
    std::uint64_t damaged = 0;
    for (const std::uint64_t id : part()) {
      ReshareStatus status;
      const ReshareNode& node = *world_.by_id(id);
      const bool known =
          node.alive && node.resharer->status(order_.job, status) && status.round == order_.round;
      if (known && step_ == Step::making) told_[id] = std::max(told_[id], status.through);
      broken = broken || !known || status.state == ReshareState::failed;
      if (known && status.trouble == roles::ReshareTrouble::damaged) damaged = id;
      over = over && known && status.state == ReshareState::done;
    }
    if (over) return next_step();
    if (damaged != 0 && step_ == Step::making) undo(damaged);
    if (broken && world_.now_ns >= retry_ns_) begin_round();
  }
  Step step() const { return step_; }
  unsigned rounds() const { return order_.round + undone_; }
  const roles::ReshareGeneration& target() const { return order_.target; }

 private:
  bool renews() const { return order_.source.generation != order_.target.generation; }
  bool is_alive(const roles::ReshareLayout& layout, std::uint8_t share) const {
    return world_.by_id(layout.nodes[share - 1U])->alive;
  }
  std::vector<std::uint64_t> part() const {
    std::vector<std::uint64_t> out;
    for (const std::uint8_t share : order_.from) out.push_back(order_.source.layout.nodes[share - 1U]);
    for (const std::uint8_t share : order_.to) out.push_back(order_.target.layout.nodes[share - 1U]);
    return out;
  }
  // With those that are alive, from where all takers are.
  void begin_round() {
    retry_ns_ = world_.now_ns + 30 * one_ms;
    const bool takers = std::all_of(order_.to.begin(), order_.to.end(), [&](std::uint8_t share) {
      return is_alive(order_.target.layout, share);
    });
    if (!takers) return;
    if (step_ == Step::making && !choose()) return;
    if (step_ == Step::checking && !choose_checked()) return;
    ++order_.round;
    told_.clear();
    if (step_ == Step::making && renews()) {
      while (!runs_.empty() && runs_.back().first >= order_.first) runs_.pop_back();
      runs_.push_back({order_.first, order_.round});
    }
    for (const ReshareAnswer answer : world_.order(order_)) {
      if (answer != ReshareAnswer::taken && answer != ReshareAnswer::busy) step_ = Step::refused;
    }
  }
  // What a crash damaged of the new share cannot be written again: another generation, or another node.
  void undo(std::uint64_t damaged) {
    for (unsigned i = 0; i < world_.nodes.size(); ++i) {
      if (!world_.node(i).alive) continue;
      (void)world_.node(i).resharer->cancel(order_.job);
      if (renews() || world_.node(i).id == damaged) world_.remove(order_.object, order_.target.generation, i);
    }
    ++order_.job;
    ++undone_;
    order_.round = 0;
    order_.first = 0;
    runs_.clear();
    told_.clear();
    if (renews()) {
      ++order_.target.generation;
    } else {
      std::uint64_t& taker = order_.target.layout.nodes[order_.to[0] - 1U];
      taker = taker == world_.node(6).id ? world_.node(5).id : world_.node(6).id;
    }
  }
  bool choose() {
    std::uint32_t least = order_.end;
    for (const std::uint8_t share : order_.to) {
      const auto found = told_.find(order_.target.layout.nodes[share - 1U]);
      least = std::min(least, found == told_.end() ? order_.first : found->second);
    }
    if (least == order_.end) {  // only the givers did not hear of it
      least = (order_.end - 1) / order_.unit_cells * order_.unit_cells;
    }
    const std::size_t k = source_.layout.k;
    std::vector<std::uint8_t> from;
    for (std::uint8_t share = 1; share <= source_.layout.n; ++share) {
      const bool lost = !renews() && share == order_.to[0];
      if (!lost && is_alive(source_.layout, share)) from.push_back(share);
    }
    if (order_.operation == ReshareOperation::exchange) return is_alive(source_.layout, order_.from[0]);
    if (from.size() < k) return false;
    if (order_.operation != ReshareOperation::refresh) from.resize(k);
    order_.from = from;
    order_.first = std::max(order_.first, least);
    return true;
  }
  bool choose_checked() {
    order_.from.clear();
    for (std::uint8_t share = 1; share <= source_.layout.n; ++share) {
      const bool lost = !renews() && share == order_.to[0];
      if (!lost && is_alive(source_.layout, share)) order_.from.push_back(share);
    }
    order_.checker = order_.target.layout.nodes[order_.to[0] - 1U];
    return order_.from.size() > source_.layout.k;
  }
  void next_step() {
    if (step_ == Step::making) {
      step_ = Step::sealing;
      order_ = test::sealing(order_, renews() ? runs_ : source_.runs);
      --order_.round;
    } else if (step_ == Step::sealing) {
      step_ = Step::checking;
      order_.operation = ReshareOperation::check;
    } else {
      ReshareStatus status;
      (void)world_.by_id(order_.checker)->resharer->status(order_.job, status);
      step_ = status.verdict == roles::CheckVerdict::passed ? Step::committed : Step::refused;
      return;
    }
    begin_round();
  }

  ReshareWorld& world_;
  ReshareOrder order_;
  roles::ReshareGeneration source_;
  std::vector<store::AttemptRun> runs_;
  std::map<std::uint64_t, std::uint32_t> told_;
  std::uint64_t retry_ns_ = 0;
  unsigned undone_ = 0;
  Step step_ = Step::making;
};

ReshareOrder some_order(ReshareWorld& world, const SharedObject& object, unsigned which) {
  ReshareOrder order;
  switch (which) {
    case 0:
      order = replacement(world, object, ReshareOperation::repair, 4, 6);
      order.from = {1, 2, 3};
      break;
    case 1:
      order = renewal(object, ReshareOperation::refresh, object.at.layout, {1, 2, 3, 4, 5});
      break;
    default:
      order = renewal(object, ReshareOperation::redistribute, world.layout(2, {5, 6, 0, 3}), {1, 2, 3});
  }
  order.round = 0;  // counted up by whoever begins a round
  order.unit_cells = 4;
  order.window = 2;
  order.stall_ns = 2 * one_s;
  return order;
}

TEST(ReshareKill, WhateverDiesTheDataIsReadableAndTheJobIsFinished) {
  const std::uint64_t runs = seeds(24);
  unsigned with_rounds = 0;
  for (std::uint64_t run = 0; run < runs; ++run) {
    const std::uint64_t seed = first_seed + run;
    SCOPED_TRACE("seed " + std::to_string(seed));
    ReshareWorldOptions options;
    options.nodes = 7;
    options.base.link.delay_ns = 2 * one_ms;
    ReshareWorld world(options, seed);
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 64, {{0, 1}, {30, 2}});
    Control control(world, some_order(world, object, static_cast<unsigned>(run % 3)));
    TestRandom chance(seed);
    std::uint64_t next_ns = world.now_ns + chance.below(60 * one_ms);
    unsigned strikes = 4;
    int dead = -1;
    const auto strike = [&] {
      if (world.now_ns < next_ns || (strikes == 0 && dead < 0)) return;
      next_ns = world.now_ns + 5 * one_ms + chance.below(120 * one_ms);
      if (dead >= 0) {
        world.restart(static_cast<unsigned>(dead));
        dead = -1;
      } else {
        --strikes;
        dead = static_cast<int>(chance.below(7));
        world.kill(static_cast<unsigned>(dead));
      }
      ASSERT_EQ(world.recover(object, object.at, true), object.data) << "the committed generation";
    };
    const bool over = world.run(120 * one_s, [&] {
      strike();
      control.work();
      return control.step() >= Control::Step::committed || testing::Test::HasFatalFailure();
    });
    ASSERT_TRUE(over) << world.describe(77);
    ASSERT_EQ(control.step(), Control::Step::committed);
    if (dead >= 0) world.restart(static_cast<unsigned>(dead));
    ASSERT_EQ(world.recover(object, control.target()), object.data) << "what is committed now";
    ASSERT_EQ(world.wrong(), "");
    for (unsigned i = 0; i < 7; ++i) {  // nothing in memory, and old shares can go
      EXPECT_TRUE(world.node(i).resharer->is_erased());
      if (run % 3 != 0) world.remove(object.object, object.at.generation, i);
    }
    ASSERT_EQ(world.recover(object, control.target()), object.data);
    with_rounds += control.rounds() > 3 ? 1 : 0;
  }
  EXPECT_GT(with_rounds, runs / 4) << "hardly anything was struck";
}

// cancel() at any moment: nothing is left but what is on disks, and that can be removed.
TEST(ReshareKill, ACancelledJobLeavesNothing) {
  const std::uint64_t runs = seeds(12);
  for (std::uint64_t run = 0; run < runs; ++run) {
    const std::uint64_t seed = first_seed + run;
    SCOPED_TRACE("seed " + std::to_string(seed));
    ReshareWorldOptions options;
    options.nodes = 7;
    ReshareWorld world(options, seed);
    const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 64);
    ReshareOrder order = some_order(world, object, static_cast<unsigned>(run % 3));
    order.round = 1;
    (void)world.order(order);
    TestRandom chance(seed);
    (void)world.run(chance.below(6 * one_ms), [] { return false; });
    for (const auto& node : world.nodes) (void)node->resharer->cancel(order.job);
    ASSERT_TRUE(world.run(10 * one_s, [&] {
      return std::all_of(world.nodes.begin(), world.nodes.end(),
                         [](const auto& node) { return node->resharer->idle(); });
    }));
    for (unsigned i = 0; i < 7; ++i) {
      EXPECT_TRUE(world.node(i).resharer->is_erased()) << i;
      if (order.target.generation != object.at.generation) world.remove(5, order.target.generation, i);
    }
    for (const ReshareAnswer answer : world.order(order)) EXPECT_EQ(answer, ReshareAnswer::superseded);
    EXPECT_EQ(world.recover(object, object.at), object.data);
    (void)world.run(3 * one_s, [] { return false; });
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace ssn::test
