// SPDX-License-Identifier: BSD-3-Clause
// One seed of the storage network, from its first write to the last read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "plan.h"

namespace ssn::sim {

struct StorageReport {
  std::uint64_t seed = 0;
  std::uint64_t virtual_ns = 0;
  std::uint64_t digest = 0;                    ///< the same for the same run
  std::map<std::string, std::uint64_t> marks;  ///< what happened how often
  std::vector<std::string> violations;

  std::string text() const;
};

struct StorageTotals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::map<std::string, std::uint64_t> marks;

  void add(const StorageReport& report);
  std::string text() const;
};

/// `trace` gets a line for each thing that happens.
StorageReport run_storage_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace = {});

}  // namespace ssn::sim
