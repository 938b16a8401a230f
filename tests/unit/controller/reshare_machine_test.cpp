// SPDX-License-Identifier: BSD-3-Clause
// One job of re-sharing, by what nodes say and when: no catalogue, no network.
#include <gtest/gtest.h>

#include <string>

#include "reshare_machine.h"

namespace ssn::controller {
namespace {

const auto all_up = [](const std::string&) { return true; };

// A job of a database: a refresh over three nodes whose first round was ordered.
ReshareJob ordered_job() {
  ReshareJob job;
  job.id = 7;
  job.object = 5;
  job.operation = ReshareOperation::refresh;
  job.source_generation = 1;
  job.target_generation = 2;
  job.cells = 64;
  job.cell_bytes = 1344;
  job.source.k = 2;
  job.source.n = 3;
  job.source.scheme = Scheme::shamir;
  for (const char* const node : {"h1", "h2", "h3"}) {
    Holder holder;
    holder.node = node;
    holder.state = ShareState::sealed;
    job.source.holders.push_back(holder);
  }
  job.target = job.source;
  job.round = 1;
  job.unit_cells = 16;
  job.window = 4;
  job.from = {1, 2};
  job.to = {1, 2, 3};
  job.runs = {{0, 1}};
  return job;
}

ReshareStatus status_of(const ReshareJob& job, ReshareState state) {
  ReshareStatus status;
  status.job = job.id;
  status.round = job.round;
  status.state = state;
  return status;
}

// As a manager does; whether an order of another round went out.
bool goes_on(ReshareMachine& machine, std::uint32_t round, std::uint64_t now_ms) {
  for (int i = 0; i < 4; ++i) {
    if (machine.decide(now_ms, all_up) == ReshareWish::save) machine.saved();
  }
  const std::vector<ReshareAsk> asks = machine.asks(now_ms);
  return !asks.empty() && asks.front().order.round > round;
}

// Whoever is heard first after a restart of the controller: that the round failed there is no reason not to
// hear the others, without whom nothing is decided.
TEST(ReshareMachine, GoesOnWhereARoundFailedWhileTheControllerWasAway) {
  const ReshareJob job = ordered_job();
  ReshareMachine machine(job, {}, 1'000);
  ReshareStatus failed = status_of(job, ReshareState::failed);
  failed.trouble = ReshareTrouble::peer_lost;
  failed.node = "h3";
  machine.told(1'100, "h1", &failed);
  EXPECT_FALSE(goes_on(machine, 1, 1'100)) << "the others were not heard yet";
  EXPECT_EQ(machine.watched(), (std::vector<std::string>{"h2", "h3"}));
  const ReshareStatus running = status_of(job, ReshareState::running);
  machine.told(1'200, "h2", &running);
  EXPECT_FALSE(goes_on(machine, 1, 1'200));
  EXPECT_EQ(machine.watched(), std::vector<std::string>{"h3"});
  machine.told(1'300, "h3", nullptr);  // it was started again, too
  EXPECT_TRUE(goes_on(machine, 1, 60'000));
  EXPECT_TRUE(machine.job().computational) << "nobody knows what h3 did before";
}

// The same where all of them know the round, or cannot be reached.
TEST(ReshareMachine, GoesOnWhereAllKnowThatTheRoundFailed) {
  const ReshareJob job = ordered_job();
  for (const bool reached : {false, true}) {
    ReshareMachine machine(job, {}, 1'000);
    ReshareStatus failed = status_of(job, ReshareState::failed);
    failed.trouble = ReshareTrouble::stalled;
    for (const char* const node : {"h1", "h2"}) {
      machine.told(1'100, node, &failed);
      EXPECT_FALSE(goes_on(machine, 1, 1'100));
    }
    if (reached) {
      machine.told(1'200, "h3", &failed);
    } else {
      machine.unheard("h3");
    }
    EXPECT_TRUE(goes_on(machine, 1, 60'000));
    EXPECT_EQ(machine.job().computational, !reached);
  }
}

// What a node says of the round that the machine is in.
void tell(ReshareMachine& machine, std::uint64_t now_ms, const char* node, ReshareState state,
          ReshareTrouble trouble = ReshareTrouble::none) {
  ReshareStatus status = status_of(machine.job(), state);
  status.trouble = trouble;
  machine.told(now_ms, node, &status);
}

// A share that a giver has lost does not come back: where the others are too few nothing is waited for.
TEST(ReshareMachine, UndoesAtOnceWhatTooFewSharesAreLeftFor) {
  ReshareJob job = ordered_job();
  job.operation = ReshareOperation::redistribute;
  job.round = 0;
  ReshareMachine machine(job, {}, 1'000);
  std::uint64_t now_ms = 1'000;
  EXPECT_TRUE(goes_on(machine, 0, now_ms));
  tell(machine, now_ms, "h1", ReshareState::failed, ReshareTrouble::not_there);
  now_ms += 60'000;
  EXPECT_TRUE(goes_on(machine, 1, now_ms)) << "h2 and h3 are enough";
  EXPECT_EQ(machine.job().from, (std::vector<std::uint32_t>{2, 3}));
  tell(machine, now_ms, "h3", ReshareState::failed, ReshareTrouble::not_there);
  now_ms += 60'000;
  (void)goes_on(machine, 2, now_ms);
  EXPECT_EQ(machine.job().step, ReshareStep::undo);
  EXPECT_NE(machine.job().trouble.find("too few shares are left"), std::string::npos)
      << machine.job().trouble;
  EXPECT_NE(machine.job().trouble.find("h3: not-there"), std::string::npos) << machine.job().trouble;
}

// Nodes that are only down come back: those are waited for.
TEST(ReshareMachine, WaitsForNodesThatAreDown) {
  ReshareJob job = ordered_job();
  job.round = 0;
  ReshareMachine machine(job, {}, 1'000);
  const auto one_up = [](const std::string& node) { return node == "h1"; };
  EXPECT_EQ(machine.decide(1'000, one_up), ReshareWish::save);
  machine.saved();
  EXPECT_EQ(machine.job().step, ReshareStep::transfer);
  EXPECT_TRUE(goes_on(machine, 1, 60'000));
  EXPECT_EQ(machine.job().from, (std::vector<std::uint32_t>{1, 2}));
}

// A refresh adds to the old share of each node: nobody can do without.
TEST(ReshareMachine, UndoesARefreshAtOnceWhereAnOldShareIsLost) {
  for (const char* const node : {"h1", "h3"}) {  // gives and takes, only takes
    ReshareJob job = ordered_job();
    job.round = 0;
    ReshareMachine machine(job, {}, 1'000);
    EXPECT_TRUE(goes_on(machine, 0, 1'000));
    tell(machine, 1'100, node, ReshareState::failed, ReshareTrouble::not_there);
    EXPECT_EQ(machine.job().step, ReshareStep::undo) << node;
  }
}

// A new share that is lost before it was checked fails every check to come.
TEST(ReshareMachine, UndoesAtOnceWhereATakerLostItsShare) {
  ReshareJob job = ordered_job();
  job.step = ReshareStep::check;
  job.from = {1, 2};  // h3 only takes
  ReshareMachine machine(job, {}, 1'000);
  tell(machine, 1'100, "h3", ReshareState::failed, ReshareTrouble::not_there);
  EXPECT_EQ(machine.job().step, ReshareStep::undo);
  EXPECT_EQ(machine.job().trouble, "h3: not-there");
}

// Of one that gives and takes nobody knows which of the two it lost: it gives no more, and is asked once
// more.
TEST(ReshareMachine, AsksATakerAgainThatGaveToo) {
  ReshareJob job = ordered_job();
  job.step = ReshareStep::check;
  job.from = {1, 2, 3};
  ReshareMachine machine(job, {}, 1'000);
  for (const char* const node : {"h1", "h2"}) tell(machine, 1'050, node, ReshareState::running);
  tell(machine, 1'100, "h3", ReshareState::failed, ReshareTrouble::not_there);
  EXPECT_TRUE(goes_on(machine, 1, 60'000));
  EXPECT_EQ(machine.job().step, ReshareStep::check);
  EXPECT_EQ(machine.job().from, (std::vector<std::uint32_t>{1, 2}));
  tell(machine, 60'100, "h3", ReshareState::failed, ReshareTrouble::not_there);
  EXPECT_EQ(machine.job().step, ReshareStep::undo);
}

}  // namespace
}  // namespace ssn::controller
