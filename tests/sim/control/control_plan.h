// SPDX-License-Identifier: BSD-3-Clause
// What a seed decides about a storage network with its controller, and about its troubles.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control_net.h"
#include "request.h"
#include "ssn/roles/resharer.h"

namespace ssn::sim {

struct ControlTrouble {
  enum class Kind : std::uint8_t {
    kill_controller,  ///< it starts again after `lasts_ns`
    kill_in_commit,   ///< the same, in the middle of a transaction soon
    kill,             ///< power goes at a holder, and comes back after `lasts_ns`
    cut,              ///< a holder's links to the SSA carry nothing
    cut_control,      ///< the controller and a node do not hear each other
    disk_full,        ///< a holder's disk takes nothing new
    disk_fails,       ///< an operation of its disk fails; it starts again after `lasts_ns`
    stall,            ///< its disk hangs
    rot,              ///< a record on its disk changes
    clock_jumps,      ///< the controller's clock of the day
    ssa_restart,
    read,     ///< an owner reads an object
    reshare,  ///< an operator has an object's shares made anew
    cancel,   ///< an operator has that undone
    lie,      ///< what a holder gives, takes or masks when shares are made anew is wrong
    part,     ///< some holders hear neither the others, nor the SSA, nor the controller
  };
  Kind kind = Kind::kill;
  std::uint64_t at_ns = 0;  ///< after the beginning
  std::uint64_t lasts_ns = 0;
  std::size_t holder = 0;
  std::uint64_t chance = 0;  ///< whatever else has to be drawn
};
const char* name(ControlTrouble::Kind kind);

/// A promise that is broken on purpose, somewhere in the simulated world.
enum class ControlFault : std::uint8_t {
  none,
  commits_early,     ///< nodes say that they are done, and have stored nothing
  skips_check,       ///< a masked check that failed is told as passed
  erases_early,      ///< those that have old shares erase them with the check, before the commit
  takes_old_terms,   ///< nodes do what a controller says that has been replaced
  forgets_jobs,      ///< a controller that starts does not see the jobs that run
  loses_commit,      ///< one commit of the database is not there, though it was told as durable
  endless_leases,    ///< a write that nobody goes on with stays open
  forgets_removals,  ///< orders to erase what is over are not written
};

struct ControlObject {
  std::uint64_t at_ns = 0;
  std::uint32_t blocks = 0;
  std::uint64_t vanish_ns = 0;  ///< the owner does, so long after it began; 0: never
  std::uint64_t remove_ns = 0;  ///< after the beginning; 0: never
};

struct ControlPlan {
  std::uint64_t seed = 0;
  test::SsaWorldOptions world;
  ControlLoss loss;
  roles::ResharerOptions resharer;
  controller::Policy policy;
  std::vector<ControlObject> objects;
  std::vector<ControlTrouble> troubles;
  std::size_t rotten = 0;  ///< the one holder whose records rot
  ControlFault fault = ControlFault::none;

  std::string text() const;
};

ControlPlan make_control_plan(std::uint64_t seed);

}  // namespace ssn::sim
