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

}  // namespace
}  // namespace ssn::controller
