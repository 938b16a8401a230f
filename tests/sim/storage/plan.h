// SPDX-License-Identifier: BSD-3-Clause
// What a seed decides about a storage network and its troubles.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ssa_world.h"

namespace ssn::sim {

struct StorageTrouble {
  enum class Kind : std::uint8_t {
    kill,         ///< power goes at a holder, and comes back after `lasts_ns`
    cut,          ///< its links carry nothing
    disk_full,    ///< its disk takes nothing new
    disk_fails,   ///< an operation of its disk fails; it starts again after `lasts_ns`
    stall,        ///< its disk hangs
    slow,         ///< its link becomes narrow
    rot,          ///< a record on its disk changes
    ssa_restart,  ///< the SSA stops and starts: whatever was being written or read is over
    read,         ///< an owner reads an object
  };
  Kind kind = Kind::kill;
  std::uint64_t at_ns = 0;  ///< after the beginning
  std::uint64_t lasts_ns = 0;
  std::size_t holder = 0;
};
const char* name(StorageTrouble::Kind kind);

struct StorageObject {
  std::uint64_t at_ns = 0;
  std::uint32_t blocks = 0;
};

struct StoragePlan {
  std::uint64_t seed = 0;
  bool beyond = false;  ///< more damage than the layout can bear
  test::SsaWorldOptions world;
  std::vector<StorageObject> objects;
  std::vector<StorageTrouble> troubles;
  std::vector<std::size_t> rotten;  ///< holders whose records rot
  std::vector<std::size_t> liars;

  std::string text() const;
};

StoragePlan make_storage_plan(std::uint64_t seed);

}  // namespace ssn::sim
