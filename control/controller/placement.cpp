// SPDX-License-Identifier: BSD-3-Clause
#include "placement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace ssn::controller {
namespace {

struct Scored {
  const Candidate* candidate;
  double score;  // lower is better
};

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

// Weighted rendezvous hashing: a node gets objects in proportion to its free room, and one more node moves
// few.
double score(std::uint64_t object, const Candidate& candidate) {
  return -std::log(draw(object, candidate.node)) /
         static_cast<double>(std::max<std::uint64_t>(candidate.free_bytes, 1));
}

std::string domain_of(const Candidate& candidate) {
  return candidate.domain.empty() ? fmt::format("node {}", candidate.node)
                                  : fmt::format("domain {}", candidate.domain);
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

}  // namespace

Result<Placement> place(const Layout& layout, std::uint64_t object, std::uint64_t share_bytes,
                        std::span<const Candidate> candidates) {
  std::map<std::string, std::vector<Scored>> domains;
  LeftOut left_out;
  for (const Candidate& candidate : candidates) {
    if (!candidate.excluded.empty()) {
      left_out.add(candidate.node, candidate.excluded);
    } else if (candidate.free_bytes < share_bytes) {
      left_out.add(candidate.node, "full");
    } else {
      domains[domain_of(candidate)].push_back({&candidate, score(object, candidate)});
    }
  }
  const auto better = [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score < b.score : a.candidate->node < b.candidate->node;
  };
  for (auto& [name, nodes] : domains) {
    std::sort(nodes.begin(), nodes.end(), better);
  }
  const bool secret = layout.scheme != Scheme::rs;
  const std::size_t most = secret ? secrecy_threshold(layout) : layout.n;
  std::vector<Scored> picked;
  std::size_t rounds = 0;
  for (; rounds < most && picked.size() < layout.n; ++rounds) {
    std::vector<Scored> round;
    for (const auto& [name, nodes] : domains) {
      if (rounds < nodes.size()) {
        round.push_back(nodes[rounds]);
      }
    }
    if (round.empty()) {
      break;
    }
    std::sort(round.begin(), round.end(), better);
    round.resize(std::min<std::size_t>(round.size(), layout.n - picked.size()));
    picked.insert(picked.end(), round.begin(), round.end());
  }
  if (picked.size() < layout.n) {
    return Error{Exit::temporary, "cannot place the shares",
                 fmt::format("{} holders are needed, at most {} in a domain; there are {} in {} domains; {}",
                             layout.n, most, picked.size(), domains.size(), left_out.text()),
                 "", "start or add shareholders, or ask for fewer shares"};
  }
  Placement placement;
  for (const Scored& scored : picked) {
    Holder holder;
    holder.node = scored.candidate->node;
    holder.domain = scored.candidate->domain;
    placement.holders.push_back(std::move(holder));
  }
  placement.reason = fmt::format("{} of {} nodes, at most {} in each of {} domains, by free room; {}",
                                 layout.n, candidates.size(), rounds, domains.size(), left_out.text());
  placement.reason.resize(std::min(placement.reason.size(), text_max));
  return placement;
}

}  // namespace ssn::controller
