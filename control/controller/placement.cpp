// SPDX-License-Identifier: BSD-3-Clause
#include "placement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "matching.h"

namespace ssn::controller {
namespace {

// Of one placement: each takes milliseconds with hundreds of nodes, and all others wait meanwhile.
constexpr unsigned flows_max = 500;

// A number in (0, 1) that follows from object and node: FNV-1a, then the finalizer of SplitMix64.
double draw(std::uint64_t object, const std::string& node) {
  std::uint64_t hash = 14695981039346656037ULL ^ object;
  for (const char c : node) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  hash = (hash ^ (hash >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  hash = (hash ^ (hash >> 27U)) * 0x94D049BB133111EBULL;
  hash ^= hash >> 31U;
  return (static_cast<double>(hash >> 11U) + 0.5) / 9007199254740992.0;
}

// Keys and distance leave a node at least that part of its weight.
constexpr double least_part = 1.0 / 16;
// Keys that come within that time count like those that are there.
constexpr double supply_seconds = 10;
// Differences below that are noise.
constexpr double trip_noise_us = 1000;

double supply(const PeerReport& path) {
  return static_cast<double>(path.pad_bytes) +
         supply_seconds * static_cast<double>(path.pad_bytes_per_second);
}

// Nothing can be sent to it now; or nothing under pads.
bool is_last_resort(const PeerReport& path) {
  return !path.peer.empty() && (!path.connected || supply(path) <= 0);
}

// What the paths of all candidates are compared with.
struct BestPath {
  double supply = 0;
  double trip_us = 0;  // 0: none is known

  explicit BestPath(std::span<const Candidate> candidates) {
    for (const Candidate& each : candidates) {
      if (each.path.peer.empty() || !each.path.connected || !each.excluded.empty()) continue;
      supply = std::max(supply, controller::supply(each.path));
      const auto trip = static_cast<double>(each.path.round_trip_us);
      if (trip > 0 && (trip_us <= 0 || trip < trip_us)) trip_us = trip;
    }
  }
  // In (0, 1]: of its free room.
  double weight(const PeerReport& path) const {
    double part = 1;
    if (!path.peer.empty() && supply > 0) {
      part *= std::clamp(controller::supply(path) / supply, least_part, 1.0);
    }
    if (path.round_trip_us != 0 && trip_us > 0) {
      part *=
          std::clamp((trip_us + trip_noise_us) / (static_cast<double>(path.round_trip_us) + trip_noise_us),
                     least_part, 1.0);
    }
    return part;
  }
};

// Weighted rendezvous hashing: a node gets objects in proportion to its free room times its weight, and one
// more node moves few.
double score(std::uint64_t object, const Candidate& candidate, double weight) {
  return -std::log(draw(object, candidate.node)) /
         (static_cast<double>(std::max<std::uint64_t>(candidate.free_bytes, 1)) * weight);
}

// "a is down, b is full"; a few of them.
class LeftOut {
 public:
  void add(const std::string& node, const std::string& why) {
    if (++count_ <= 8) {
      text_ += fmt::format("{}{} is {}", count_ == 1 ? "" : ", ", node, why);
    }
  }
  std::string text() const {
    return count_ == 0  ? "none was left out"
           : count_ > 8 ? fmt::format("{} and {} more", text_, count_ - 8)
                        : text_;
  }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

// One placement: who may, how much room each domain has, who was picked.
class Placer {
 public:
  Placer(const Layout& layout, const PlacementQuestion& question, std::span<const Candidate> candidates);

  Result<Placement> run();
  std::vector<NodeChoice> choices() const;

 private:
  using State = MatchingItem::State;
  std::uint32_t number(std::map<Domain, std::uint32_t>& known, Domain domain,
                       std::vector<std::uint32_t>& counts) const {
    const auto [at, fresh] = known.try_emplace(std::move(domain), static_cast<std::uint32_t>(known.size()));
    if (fresh) {
      counts.push_back(0);
    }
    return at->second;
  }
  bool has_room(const MatchingItem& item) const {
    return site_counts_[item.site] < most_ &&
           std::all_of(
               item.groups.begin(), item.groups.end(),
               [&](std::uint32_t group) { return group_counts_[group] < most_; });
  }
  std::optional<bool> can_go_on();
  std::size_t best() const;
  void count(const MatchingItem& item, std::uint32_t by);
  bool pick(bool careful);
  void reset();
  std::size_t sites_used() const {
    return static_cast<std::size_t>(std::count_if(site_counts_.begin(), site_counts_.end(),
                                                  [](std::uint32_t count) { return count != 0; }));
  }
  Error refusal(bool known) const;
  std::string left_out() const;
  std::string full_domain(const MatchingItem& item) const;

  const Layout& layout_;
  const PlacementQuestion& question_;
  const std::span<const Candidate> candidates_;
  const BestPath best_path_;
  const std::uint32_t most_;  // shares in a domain
  std::map<Domain, std::uint32_t> sites_, groups_;
  std::vector<std::uint32_t> site_counts_, group_counts_;  // shares that are there
  std::vector<MatchingItem> items_;                        // of who may
  std::vector<std::size_t> whose_;                         // candidate of each item
  std::vector<double> scores_;
  std::vector<std::size_t> picked_;  // items, by share
  unsigned flows_left_ = flows_max;
};

Placer::Placer(const Layout& layout, const PlacementQuestion& question, std::span<const Candidate> candidates)
    : layout_(layout),
      question_(question),
      candidates_(candidates),
      best_path_(candidates),
      most_(layout.scheme != Scheme::rs ? secrecy_threshold(layout) : layout.n) {
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (!candidate.excluded.empty() || candidate.free_bytes < question.share_bytes) {
      continue;
    }
    MatchingItem item;
    item.site = number(
        sites_, candidate.site.empty() ? Domain{"node", candidate.node} : Domain{"site", candidate.site},
        site_counts_);
    for (const Domain& domain : std::set<Domain>(candidate.domains.begin(), candidate.domains.end())) {
      item.groups.push_back(number(groups_, domain, group_counts_));
    }
    items_.push_back(std::move(item));
    whose_.push_back(i);
    scores_.push_back(score(question.object, candidate, best_path_.weight(candidate.path)));
  }
}

std::optional<bool> Placer::can_go_on() {
  const std::vector<std::uint32_t> sites(sites_.size(), most_);
  const std::vector<std::uint32_t> groups(groups_.size(), most_);
  return can_match({items_, sites, groups, layout_.n, question_.sites}, flows_left_);
}

void Placer::count(const MatchingItem& item, std::uint32_t by) {
  site_counts_[item.site] += by;
  for (const std::uint32_t group : item.groups) {
    group_counts_[group] += by;
  }
}

// Of those for whom there is room: who can be reached, then in the site with the fewest shares, then in other
// domains with the fewest, then by score.
std::size_t Placer::best() const {
  std::size_t found = items_.size();
  std::tuple<bool, std::uint32_t, std::uint32_t, double> least;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const MatchingItem& item = items_[i];
    if (item.state != State::open || !has_room(item)) {
      continue;
    }
    std::uint32_t others = 0;
    for (const std::uint32_t group : item.groups) {
      others += group_counts_[group];
    }
    const std::tuple its{is_last_resort(candidates_[whose_[i]].path), site_counts_[item.site], others,
                         scores_[i]};
    if (found == items_.size() || its < least ||
        (its == least && candidates_[whose_[i]].node < candidates_[whose_[found]].node)) {
      found = i;
      least = its;
    }
  }
  return found;
}

// The best first. Careful: only those with whom it can be completed, as long as that can be found out.
bool Placer::pick(bool careful) {
  reset();
  while (picked_.size() < layout_.n) {
    const std::size_t next = best();
    if (next == items_.size()) {
      return false;
    }
    items_[next].state = State::picked;
    if (careful) {
      const std::optional<bool> possible = can_go_on();
      if (!possible) {
        return false;
      }
      if (!*possible) {
        items_[next].state = State::dropped;
        continue;
      }
    }
    picked_.push_back(next);
    count(items_[next], 1);
  }
  return sites_used() >= question_.sites;
}

void Placer::reset() {
  picked_.clear();
  std::fill(site_counts_.begin(), site_counts_.end(), 0);
  std::fill(group_counts_.begin(), group_counts_.end(), 0);
  for (MatchingItem& item : items_) {
    item.state = State::open;
  }
}

std::string Placer::full_domain(const MatchingItem& item) const {
  const auto named = [](const std::map<Domain, std::uint32_t>& known, std::uint32_t wanted) {
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const auto& each) { return each.second == wanted; });
    return fmt::format("{} {}", found->first.kind, found->first.name);
  };
  if (site_counts_[item.site] >= most_) {
    return named(sites_, item.site);
  }
  for (const std::uint32_t group : item.groups) {
    if (group_counts_[group] >= most_) {
      return named(groups_, group);
    }
  }
  return "";
}

std::vector<NodeChoice> Placer::choices() const {
  std::vector<NodeChoice> all;
  for (const Candidate& candidate : candidates_) {
    NodeChoice& choice = all.emplace_back();
    choice.node = candidate.node;
    choice.rule = candidate.excluded.empty() ? PlacementRule::full : PlacementRule::excluded;
    choice.subject = candidate.excluded;
    choice.site = candidate.site;
    choice.free_bytes = candidate.free_bytes;
    choice.path = candidate.path;
    choice.weight = static_cast<std::uint32_t>(std::lround(1000 * best_path_.weight(candidate.path)));
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    NodeChoice& choice = all[whose_[i]];
    choice.subject = items_[i].state == State::picked ? "" : full_domain(items_[i]);
    choice.rule = items_[i].state == State::picked                               ? PlacementRule::chosen
                  : items_[i].state == State::dropped || !choice.subject.empty() ? PlacementRule::domain_full
                                                                                 : PlacementRule::not_needed;
  }
  for (std::size_t share = 0; share < picked_.size(); ++share) {
    all[whose_[picked_[share]]].share = static_cast<std::uint32_t>(share + 1);
  }
  return all;
}

std::string Placer::left_out() const {
  LeftOut out;
  for (const Candidate& candidate : candidates_) {
    if (!candidate.excluded.empty()) {
      out.add(candidate.node, candidate.excluded);
    } else if (candidate.free_bytes < question_.share_bytes) {
      out.add(candidate.node, "full");
    }
  }
  return out.text();
}

Error Placer::refusal(bool known) const {
  std::string why = fmt::format("{} holders are needed, at most {} in a domain, in {} sites at least; ",
                                layout_.n, most_, std::max<std::uint32_t>(question_.sites, 1));
  why += known ? fmt::format("{} may, in {} sites and {} other domains", items_.size(), sites_.size(),
                             groups_.size())
               : "domains overlap so much that no choice was found in time";
  return {Exit::temporary, "cannot place the shares", fmt::format("{}; {}", why, left_out()), "",
          "start or add shareholders, or ask for fewer shares; see `ssn explain --dry-run`"};
}

Result<Placement> Placer::run() {
  if (!pick(false)) {
    reset();
    const std::optional<bool> possible = items_.size() < layout_.n ? false : can_go_on();
    if (!possible.value_or(false) || !pick(true)) {
      pick(false);  // what it came to, for choices()
      return refusal(possible.has_value() && !*possible);
    }
  }
  Placement placement;
  for (const std::size_t item : picked_) {
    Holder holder;
    holder.node = candidates_[whose_[item]].node;
    holder.domain = candidates_[whose_[item]].site;
    placement.holders.push_back(std::move(holder));
  }
  placement.reason =
      fmt::format("{} of {} nodes, at most {} in each of {} sites, by free room, keys and distance; {}",
                  layout_.n, candidates_.size(), *std::max_element(site_counts_.begin(), site_counts_.end()),
                  sites_.size(), left_out());
  placement.reason.resize(std::min(placement.reason.size(), text_max));
  return placement;
}

}  // namespace

Result<Placement> place(const Layout& layout, const PlacementQuestion& question,
                        std::span<const Candidate> candidates, std::vector<NodeChoice>* choices) {
  Placer placer(layout, question, candidates);
  Result<Placement> placed = placer.run();
  if (choices != nullptr) {
    *choices = placer.choices();
  }
  return placed;
}

}  // namespace ssn::controller
