// SPDX-License-Identifier: BSD-3-Clause
// The flow, for sites and groups that do not overlap with each other:
//
//   source -> first -> site (1, unless it has one already) -> item (1) -> group (room) -> sink
//   source -> more  -> site (the rest of its room)            item without group ------> sink
//
// `more` lets through what is missing less the sites that must still be new, so that many units take `first`.
#include "matching.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/edmonds_karp_max_flow.hpp>
#include <limits>

namespace ssn::controller {
namespace {

using State = MatchingItem::State;
using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using Graph = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS, boost::no_property,
    boost::property<boost::edge_capacity_t, long,
                    boost::property<boost::edge_residual_capacity_t, long,
                                    boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;
constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

// What is left of room when the picked ones have theirs.
struct Rest {
  std::vector<std::uint32_t> sites, groups;
  std::vector<bool> has;  // sites
  std::uint32_t count = 0, new_sites = 0;
  bool good = true;
};

Rest rest_of(const Matching& matching, std::span<const State> states) {
  Rest rest{{matching.sites.begin(), matching.sites.end()},
            {matching.groups.begin(), matching.groups.end()},
            std::vector<bool>(matching.sites.size(), false),
            matching.count,
            matching.least_sites};
  const auto take = [&](std::uint32_t& room) {
    rest.good = rest.good && room != 0;
    room -= room != 0 ? 1 : 0;
  };
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states[i] != State::picked) {
      continue;
    }
    const MatchingItem& item = matching.items[i];
    take(rest.sites[item.site]);
    take(rest.count);
    for (const std::uint32_t group : item.groups) {
      take(rest.groups[group]);
    }
    if (!rest.has[item.site]) {
      rest.has[item.site] = true;
      rest.new_sites -= rest.new_sites != 0 ? 1 : 0;
    }
  }
  rest.good = rest.good && rest.new_sites <= rest.count;
  return rest;
}

class Search {
 public:
  Search(const Matching& matching, unsigned& flows_left)
      : matching_(matching), group_of_(matching.items.size(), none), flows_left_(flows_left) {
    choose_groups();
  }

  std::optional<bool> run() {
    std::vector<State> states;
    for (const MatchingItem& item : matching_.items) {
      states.push_back(item.state);
    }
    return run(states);
  }

 private:
  // Those that the flow knows: the tightest first, none that overlaps with one before.
  void choose_groups() {
    std::vector<std::vector<std::size_t>> members(matching_.groups.size());
    for (std::size_t i = 0; i < matching_.items.size(); ++i) {
      for (const std::uint32_t group : matching_.items[i].groups) {
        members[group].push_back(i);
      }
    }
    std::vector<std::uint32_t> order;
    for (std::uint32_t group = 0; group < members.size(); ++group) {
      if (members[group].size() > matching_.groups[group]) {
        order.push_back(group);  // others have room for all of theirs
      }
    }
    const auto excess = [&](std::uint32_t group) { return members[group].size() - matching_.groups[group]; };
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return excess(a) != excess(b) ? excess(a) > excess(b) : a < b;
    });
    for (const std::uint32_t group : order) {
      if (std::all_of(members[group].begin(), members[group].end(),
                      [&](std::size_t item) { return group_of_[item] == none; })) {
        for (const std::size_t item : members[group]) {
          group_of_[item] = group;
        }
      } else {
        others_.push_back(group);
      }
    }
  }

  std::optional<bool> run(std::vector<State> states) {
    if (flows_left_ == 0) {
      return std::nullopt;
    }
    --flows_left_;
    const Rest rest = rest_of(matching_, states);
    if (!rest.good) {
      return false;
    }
    const std::optional<std::vector<std::size_t>> found = flow(states, rest);
    if (!found) {
      return false;
    }
    for (const std::uint32_t group : others_) {
      std::vector<std::size_t> members;
      for (const std::size_t item : *found) {
        const std::vector<std::uint32_t>& groups = matching_.items[item].groups;
        if (std::find(groups.begin(), groups.end(), group) != groups.end()) {
          members.push_back(item);
        }
      }
      if (members.size() > rest.groups[group]) {
        return branch(std::move(states), members);
      }
    }
    return true;
  }

  // Not all of the members can be picked together: the first that is not is one of them.
  std::optional<bool> branch(std::vector<State> states, const std::vector<std::size_t>& members) {
    for (const std::size_t item : members) {
      states[item] = State::dropped;
      const std::optional<bool> found = run(states);
      if (!found || *found) {
        return found;
      }
      states[item] = State::picked;
    }
    return false;
  }

  // The open ones that complete the picked ones.
  std::optional<std::vector<std::size_t>> flow(std::span<const State> states, const Rest& rest) const {
    const std::size_t sites = rest.sites.size();
    const std::size_t groups = rest.groups.size();
    const std::size_t items = states.size();
    enum : std::size_t { source, sink, first, more, fixed };
    Graph graph(fixed + sites + groups + items);
    const auto capacity = boost::get(boost::edge_capacity, graph);
    const auto reverse = boost::get(boost::edge_reverse, graph);
    const auto join = [&](std::size_t from, std::size_t to, std::uint32_t room) {
      const Traits::edge_descriptor there = boost::add_edge(from, to, graph).first;
      const Traits::edge_descriptor back = boost::add_edge(to, from, graph).first;
      capacity[there] = room;
      capacity[back] = 0;
      reverse[there] = back;
      reverse[back] = there;
      return there;
    };
    join(source, first, rest.count);
    join(source, more, rest.count - rest.new_sites);
    for (std::size_t site = 0; site < sites; ++site) {
      const std::uint32_t alone = !rest.has[site] && rest.sites[site] != 0 ? 1 : 0;
      join(first, fixed + site, alone);
      join(more, fixed + site, rest.sites[site] - alone);
    }
    for (std::size_t group = 0; group < groups; ++group) {
      join(fixed + sites + group, sink, rest.groups[group]);
    }
    std::vector<std::pair<std::size_t, Traits::edge_descriptor>> open;
    for (std::size_t i = 0; i < items; ++i) {
      if (states[i] == State::open) {
        const std::size_t at = fixed + sites + groups + i;
        open.emplace_back(i, join(fixed + matching_.items[i].site, at, 1));
        join(at, group_of_[i] == none ? sink : fixed + sites + group_of_[i], 1);
      }
    }
    if (boost::edmonds_karp_max_flow(graph, source, sink) < static_cast<long>(rest.count)) {
      return std::nullopt;
    }
    const auto residual = boost::get(boost::edge_residual_capacity, graph);
    std::vector<std::size_t> found;
    for (const auto& [item, edge] : open) {
      if (residual[edge] == 0) {
        found.push_back(item);
      }
    }
    return found;
  }

  const Matching& matching_;
  std::vector<std::uint32_t> group_of_;  // of each item: the one of its groups that the flow knows
  std::vector<std::uint32_t> others_;    // that it does not know
  unsigned& flows_left_;
};

}  // namespace

std::optional<bool> can_match(const Matching& matching, unsigned& flows_left) {
  return Search(matching, flows_left).run();
}

}  // namespace ssn::controller
