// SPDX-License-Identifier: BSD-3-Clause
// Plain numbers of objects that know no counters, shown as counters now and then.
#pragma once

#include <cstdint>
#include <vector>

#include "ssn/dataplane/counters.h"

namespace ssn::dataplane {

/// Plain numbers of the protocol's objects, shown as counters.
class CounterMirror {
 public:
  void add(const std::uint64_t& from, Counter& to) { pairs_.push_back({&from, &to}); }
  void clear() noexcept { pairs_.clear(); }
  void publish() noexcept {
    for (const Pair& each : pairs_) each.to->set(*each.from);
  }

 private:
  struct Pair {
    const std::uint64_t* from;
    Counter* to;
  };
  std::vector<Pair> pairs_;
};

}  // namespace ssn::dataplane
