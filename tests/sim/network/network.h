// SPDX-License-Identifier: BSD-3-Clause
// What links do to packets, and what an attacker on them adds.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "marks.h"
#include "plan.h"
#include "scheduler.h"

namespace ssn::sim {

using test::Bytes;
using test::TestRandom;

class Network {
 public:
  /// Link `link` of the pair, in one direction.
  struct Link {
    std::size_t from = 0;
    std::size_t to = 0;
    unsigned link = 0;
    auto operator<=>(const Link&) const = default;
  };
  using Arrive = std::function<void(std::size_t node, const Bytes& packet)>;

  Network(Scheduler& scheduler, TestRandom& random, Marks& marks, const LinkFaults& faults, Arrive arrive);

  void send(const Link& link, const Bytes& packet);
  void set_faults(const LinkFaults& faults) { faults_ = faults; }
  const LinkFaults& faults() const { return faults_; }
  /// Both directions.
  void cut(std::size_t a, std::size_t b, unsigned link);
  void partition(std::size_t a, std::size_t b, bool parted);
  bool parted(std::size_t a, std::size_t b) const { return parted_.contains({a, b}); }
  void mend() {
    cut_.clear();
    parted_.clear();
  }

 private:
  bool chance(unsigned per_mille) { return per_mille != 0 && random_.below(1000) < per_mille; }
  void deliver(const Link& link, Bytes packet, std::uint64_t extra);
  Bytes forge(const Bytes& packet);
  void corrupt(Bytes& packet);

  Scheduler& scheduler_;
  TestRandom& random_;
  Marks& marks_;
  LinkFaults faults_;
  Arrive arrive_;
  std::set<Link> cut_;
  std::set<std::pair<std::size_t, std::size_t>> parted_;
  std::deque<std::pair<Link, Bytes>> seen_;  // by the attacker, of late
};

}  // namespace ssn::sim
