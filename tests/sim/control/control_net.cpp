// SPDX-License-Identifier: BSD-3-Clause
#include "control_net.h"

#include <memory>

namespace ssn::sim {

using test::one_ms;

namespace {

constexpr std::uint64_t patience_ns = 250 * one_ms;
constexpr std::uint64_t most_late_ns = 2000 * one_ms;

std::uint64_t way(test::TestRandom& random) { return one_ms / 5 + random.below(3 * one_ms); }

}  // namespace

bool ControlNet::loses(const std::string& node) {
  const bool loses = cut_.contains(node) || random_.below(100) < loss_.lost_percent;
  lost_ += loses ? 1 : 0;
  return loses;
}

void ControlNet::call(const std::string& node, There there, Back back) {
  const auto waits = std::make_shared<bool>(true);
  const auto answer = std::make_shared<Back>(std::move(back));
  const auto end = [waits, answer](bool reached) {
    if (!*waits) return;
    *waits = false;
    (*answer)(reached);
  };
  world_.at(patience_ns, [end] { end(false); });
  if (loses(node)) return;
  const bool late = random_.below(100) < loss_.late_percent;
  const std::uint64_t after_ns = late ? random_.below(most_late_ns) : way(random_);
  world_.at(after_ns, [this, node, there = std::move(there), end] {
    if (cut_.contains(node) || !there() || loses(node)) return;
    world_.at(way(random_), [this, node, end] {
      if (!cut_.contains(node)) end(true);
    });
  });
}

void ControlNet::cut(const std::string& node, bool cut) {
  if (cut) {
    cut_.insert(node);
  } else {
    cut_.erase(node);
  }
}

void ControlNet::heal() {
  cut_.clear();
  loss_ = {};
}

}  // namespace ssn::sim
