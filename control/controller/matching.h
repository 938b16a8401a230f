// SPDX-License-Identifier: BSD-3-Clause
// Can enough be picked, when groups that overlap each have room for some? The question behind placement,
// where picking the best first may end in a corner. Pure; the only user of Boost.Graph.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ssn::controller {

struct MatchingItem {
  enum class State : std::uint8_t { open, picked, dropped };
  std::uint32_t site = 0;
  std::vector<std::uint32_t> groups;  ///< numbers of others that it is in
  State state = State::open;
};

struct Matching {
  std::span<const MatchingItem> items;
  std::span<const std::uint32_t> sites;   ///< how many each has room for, what is picked already included
  std::span<const std::uint32_t> groups;  ///< likewise
  std::uint32_t count = 0;                ///< to be picked in all
  std::uint32_t least_sites = 0;          ///< that those picked are in at least
};

/// Whether the picked ones can be completed from the open ones. Exact for sites and any groups that do not
/// overlap with each other, by a flow; for others by branching over flows. Each takes one of `flows_left`;
/// where these are used up nothing is known.
std::optional<bool> can_match(const Matching& matching, unsigned& flows_left);

}  // namespace ssn::controller
