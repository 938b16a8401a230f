// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_machine.h"
#include "cut_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>

namespace ssn::controller {
namespace {

constexpr std::size_t trouble_max = 256;
// A list of jobs that was asked for before the order may come after the answer to it; the second one cannot.
constexpr unsigned misses_max = 2;
// For what the others still have to say when a round is done.
constexpr std::uint64_t settle_ms = 5'000;

bool has(const std::vector<std::uint32_t>& shares, std::uint32_t share) {
  return std::find(shares.begin(), shares.end(), share) != shares.end();
}

// What a node that refuses an order is asked again for.
bool may_pass(ReshareAnswer answer) {
  return answer == ReshareAnswer::busy || answer == ReshareAnswer::old_term ||
         answer == ReshareAnswer::unknown;
}

ReshareGeneration generation_of(std::uint64_t number, const Layout& layout) {
  ReshareGeneration generation{number, layout, {}};
  for (Holder& holder : generation.layout.holders) {
    if (holder.state != ShareState::sealed) holder.node.clear();
  }
  return generation;
}

}  // namespace

ReshareMachine::ReshareMachine(ReshareJob job, const ReshareTiming& timing, std::uint64_t now_ms)
    : job_(std::move(job)), timing_(timing) {
  replace(std::move(job_), now_ms);
  resuming_ = works() && job_.round != 0;
}

void ReshareMachine::replace(ReshareJob job, std::uint64_t now_ms) {
  job_ = std::move(job);
  dirty_ = over_ = committing_ = resuming_ = false;
  set_parts(now_ms);
}

bool ReshareMachine::works() const noexcept {
  return job_.step == ReshareStep::transfer || job_.step == ReshareStep::seal ||
         job_.step == ReshareStep::check;
}

void ReshareMachine::set_parts(std::uint64_t now_ms) {
  parts_.clear();
  done_ms_ = 0;
  progress(now_ms);
  const auto add = [&](const Layout& layout, std::uint32_t share) {
    const std::string& node = layout.holders[share - 1].node;
    if (!node.empty()) parts_[node].through = job_.first;
  };
  if (works()) {
    for (const std::uint32_t share : job_.from) add(job_.source, share);
    for (const std::uint32_t share : job_.to) add(job_.target, share);
  } else if (job_.step == ReshareStep::undo) {  // whoever may have had a part in any round
    for (std::uint32_t share = 1; share <= job_.source.n; ++share) add(job_.source, share);
    for (std::uint32_t share = 1; share <= job_.target.n; ++share) add(job_.target, share);
  }
}

std::vector<std::string> ReshareMachine::watched() const {
  std::vector<std::string> nodes;
  if (!works() || dirty_ || (over_ && !resuming_)) return nodes;
  for (const auto& [node, part] : parts_) {
    if (resuming_ ? !part.heard : part.asked || part.ordered) nodes.push_back(node);
  }
  return nodes;
}

std::uint64_t ReshareMachine::least_through() const noexcept {
  if (job_.step != ReshareStep::transfer) return job_.first;
  std::uint64_t least = parts_.empty() ? job_.first : job_.cells;
  for (const auto& [node, part] : parts_) least = std::min(least, part.through);
  least -= least == job_.cells ? 0 : least % std::max(job_.unit_cells, 1U);
  return std::max(least, job_.first);
}

std::uint64_t ReshareMachine::through() const noexcept {
  return job_.step == ReshareStep::transfer                                   ? least_through()
         : job_.step == ReshareStep::undo || job_.step == ReshareStep::undone ? 0
                                                                              : job_.cells;
}

// Of nodes that may have sent something and never told how.
void ReshareMachine::assume_the_worst() {
  if (job_.step == ReshareStep::seal) return;
  for (const auto& [node, part] : parts_) {
    if (part.asked && !part.known) job_.computational = true;
  }
}

// The round is over.
void ReshareMachine::fail(std::uint64_t now_ms, const std::string& suspect, std::string why) {
  if (over_ || !works()) return;
  over_ = true;
  if (!suspect.empty()) ++suspicion_[suspect];
  assume_the_worst();
  job_.trouble = alarms::cut_text(why, trouble_max);
  job_.failures = least_through() > job_.first ? 0 : job_.failures + 1;
  begin_at_ms_ = now_ms + std::min(timing_.back_off_ms, timing_.retry_ms << std::min(job_.failures, 16U)) -
                 timing_.retry_ms;
  dirty_ = true;
  if (job_.failures > timing_.failures_max || job_.round >= rounds_max) {
    undo(now_ms, fmt::format("too many rounds failed; the last one: {}", why));
  }
}

void ReshareMachine::undo(std::uint64_t now_ms, const std::string& why) {
  if (!works()) return;
  job_.step = ReshareStep::undo;
  job_.trouble = alarms::cut_text(why, trouble_max);
  dirty_ = true;
  over_ = committing_ = resuming_ = false;
  set_parts(now_ms);
}

void ReshareMachine::cancel(std::uint64_t now_ms, const std::string& why) {
  if (works() && !job_.cancel) {
    job_.cancel = true;
    undo(now_ms, why);
  }
}

void ReshareMachine::shrink(std::uint64_t now_ms) {
  if (job_.window > 1) {
    job_.window /= 2;
  } else if (job_.unit_cells > 1) {
    job_.unit_cells /= 2;
  } else {
    undo(now_ms, "a node has too little locked memory for one cell at a time");
    return;
  }
  fail(now_ms, "", "a node needs smaller units or a smaller window");
  begin_at_ms_ = now_ms;
}

void ReshareMachine::answered(std::uint64_t now_ms, const std::string& node, std::uint32_t round,
                              ReshareAnswer answer) {
  const auto found = parts_.find(node);
  if (found == parts_.end() || !works() || round != job_.round || over_) return;
  Part& part = found->second;
  part.in_flight = false;
  if (answer == ReshareAnswer::taken || answer == ReshareAnswer::again) {
    part.ordered = true;
    part.misses = 0;
    progress(now_ms);
  } else if (answer == ReshareAnswer::superseded) {
    fail(now_ms, "", fmt::format("{} knows a later round", node));
  } else if (answer == ReshareAnswer::too_large) {
    shrink(now_ms);
  } else if (may_pass(answer)) {
    part.asked = false;
    part.retry_at_ms = now_ms + timing_.retry_ms;
    job_.trouble = fmt::format("{} says {}", node, name(answer));
  } else {
    undo(now_ms, fmt::format("{} refuses: {}", node, name(answer)));
  }
}

void ReshareMachine::unreachable(std::uint64_t now_ms, const std::string& node, std::uint32_t round) {
  const auto found = parts_.find(node);
  if (found == parts_.end() || (works() && round != job_.round)) return;
  found->second.in_flight = false;
  found->second.retry_at_ms = now_ms + timing_.retry_ms;
}

void ReshareMachine::unheard(const std::string& node) {
  const auto found = parts_.find(node);
  if (found != parts_.end()) found->second.heard = true;
}

void ReshareMachine::cancelled(const std::string& node) {
  const auto found = parts_.find(node);
  if (found != parts_.end() && job_.step == ReshareStep::undo) {
    found->second.in_flight = false;
    found->second.done = true;
  }
}

void ReshareMachine::told(std::uint64_t now_ms, const std::string& node, const ReshareStatus* status) {
  const auto found = parts_.find(node);
  // A round that failed may still be asked about: until all have been heard nobody knows how it ended.
  if (found == parts_.end() || !works() || dirty_ || (over_ && !resuming_)) return;
  Part& part = found->second;
  part.heard = true;
  if (status != nullptr && status->round == job_.round && status->state != ReshareState::none) {
    judge(now_ms, node, *status);
    return;
  }
  if (status != nullptr && status->round > job_.round) {  // the database is an old copy
    job_.round = std::min(status->round, rounds_max);
    dirty_ = true;
    fail(now_ms, "", fmt::format("{} knows a later round", node));
    return;
  }
  if (part.ordered && !resuming_ && ++part.misses >= misses_max) {
    if (job_.step != ReshareStep::seal) job_.computational = true;
    fail(now_ms, node, fmt::format("{} lost it: it was started again", node));
  }
}

void ReshareMachine::judge(std::uint64_t now_ms, const std::string& node, const ReshareStatus& status) {
  Part& part = parts_[node];
  part.known = part.asked = part.ordered = true;
  part.misses = 0;
  if (part.state != status.state || status.through > part.through) progress(now_ms);
  part.state = status.state;
  part.verdict = status.verdict;
  if (job_.step == ReshareStep::transfer) {
    part.through = std::max(part.through, std::min(status.through, job_.cells));
  }
  if (status.computational && !job_.computational) {
    job_.computational = true;
    dirty_ = true;
  }
  if (status.state == ReshareState::done) {
    part.done = true;
    if (job_.step == ReshareStep::transfer) part.through = job_.cells;
  } else if (status.state == ReshareState::cancelled) {
    undo(now_ms, fmt::format("it was cancelled at {}", node));
  } else if (status.state == ReshareState::failed) {
    const std::string& about = status.node.empty() ? node : status.node;
    const std::string why =
        fmt::format("{}: {}{}", node, name(status.trouble), status.node.empty() ? "" : ", " + status.node);
    if (status.trouble == ReshareTrouble::conflict || status.trouble == ReshareTrouble::damaged ||
        status.trouble == ReshareTrouble::incomplete) {
      undo(now_ms, why);
      return;
    }
    if (status.trouble == ReshareTrouble::not_there) lost(now_ms, node, why);
    fail(now_ms, about, why);
  }
}

// A share is not there any more, and will not be: one that it gives is not asked for again. A refresh
// adds to what each taker had, so it needs them all. In a check a node that gives nothing has lost its new
// one.
void ReshareMachine::lost(std::uint64_t now_ms, const std::string& node, const std::string& why) {
  bool gives = false;
  for (const std::uint32_t share : job_.from) {
    if (job_.source.holders[share - 1].node != node) continue;
    gives = true;
    if (!has(job_.bad, share)) job_.bad.push_back(share);
  }
  const bool adds = job_.step == ReshareStep::transfer && job_.operation == ReshareOperation::refresh;
  if (adds || (!gives && job_.step == ReshareStep::check)) undo(now_ms, why);
}

// Those that can give, least suspected first.
std::vector<std::uint32_t> ReshareMachine::givers(const IsUp& is_up) const {
  std::vector<std::uint32_t> shares;
  for (std::uint32_t share = 1; share <= job_.source.n; ++share) {
    const Holder& holder = job_.source.holders[share - 1];
    const bool made = job_.operation == ReshareOperation::repair && share == job_.share;
    if (!made && holder.state == ShareState::sealed && !has(job_.bad, share) && is_up(holder.node)) {
      shares.push_back(share);
    }
  }
  const auto suspected = [&](std::uint32_t share) {
    const auto found = suspicion_.find(job_.source.holders[share - 1].node);
    return found == suspicion_.end() ? 0U : found->second;
  };
  std::sort(shares.begin(), shares.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(suspected(a), a) < std::pair(suspected(b), b);
  });
  return shares;
}

// Shares of the source that take part in the next round, if enough are up.
std::optional<std::vector<std::uint32_t>> ReshareMachine::chosen(const IsUp& is_up) const {
  std::vector<std::uint32_t> shares;
  if (job_.step == ReshareStep::seal) return shares;
  shares = givers(is_up);
  std::size_t needed = job_.source.k;
  std::size_t most = needed;
  if (job_.step == ReshareStep::check) {
    // With exchange the share that moves is the same as the one that was made.
    std::erase_if(shares, [&](std::uint32_t share) { return share == job_.share; });
    most = check_nodes_max - std::min(check_nodes_max, job_.to.size());
  } else if (job_.operation == ReshareOperation::refresh) {
    needed = most = secrecy_threshold(job_.source) + 1;
  } else if (job_.operation == ReshareOperation::exchange) {
    std::erase_if(shares, [&](std::uint32_t share) { return share != job_.share; });
    needed = most = 1;
  }
  if (shares.size() < needed || most < needed) return std::nullopt;
  shares.resize(std::min(shares.size(), most));
  std::sort(shares.begin(), shares.end());
  return shares;
}

// Who takes part in the next round. False: too few are up.
bool ReshareMachine::choose(const IsUp& is_up) {
  job_.to.clear();
  for (std::uint32_t share = 1; share <= job_.target.n; ++share) {
    if (job_.concerns(share)) job_.to.push_back(share);
  }
  std::optional<std::vector<std::uint32_t>> shares = chosen(is_up);
  job_.from = shares ? std::move(*shares) : std::vector<std::uint32_t>();
  return shares.has_value();
}

// Counts the round up in any case: what nodes know of the present one must not be taken for the next.
bool ReshareMachine::next_round(std::uint64_t now_ms, const IsUp& is_up) {
  job_.first = least_through();
  ++job_.round;
  dirty_ = true;
  over_ = false;
  const bool enough = choose(is_up);
  set_parts(now_ms);
  if (!enough) {
    const bool ever = chosen([](const std::string&) { return true; }).has_value();
    if (ever) {
      fail(now_ms, "", "too few of those that have shares are up");
    } else {
      undo(now_ms, fmt::format("too few shares are left to make others from{}{}",
                               job_.trouble.empty() ? "" : "; the last round: ", job_.trouble));
    }
    return false;
  }
  if (job_.step == ReshareStep::transfer && !job_.same_generation()) {
    while (!job_.runs.empty() && job_.runs.back().first >= job_.first) job_.runs.pop_back();
    job_.runs.push_back({job_.first, job_.round});
  }
  return true;
}

// Whether the round that ran when the controller ended goes on. Until that is known nothing is done.
bool ReshareMachine::resumed(std::uint64_t now_ms) {
  bool all_known = !parts_.empty();
  for (const auto& [node, part] : parts_) {
    if (!part.heard) return false;
    all_known = all_known && part.known;
  }
  resuming_ = false;
  if (!all_known) {
    for (auto& [node, part] : parts_) part.asked = true;  // for all that is known
    if (over_) {
      assume_the_worst();
      dirty_ = true;
    } else {
      fail(now_ms, "", "the controller was started again");
    }
    begin_at_ms_ = now_ms;
    job_.failures = 0;
  }
  return true;
}

const std::string& ReshareMachine::checker() const {
  return job_.target.holders[job_.to[job_.check % job_.to.size()] - 1].node;
}

bool ReshareMachine::is_round_done() const {
  const auto part_of = [&](std::uint32_t share) -> const Part* {
    const auto found = parts_.find(job_.target.holders[share - 1].node);
    return found == parts_.end() ? nullptr : &found->second;
  };
  if (job_.to.empty()) return false;
  if (job_.step == ReshareStep::check) {
    const auto found = parts_.find(checker());
    return found != parts_.end() && found->second.done && found->second.verdict != CheckVerdict::none;
  }
  // All that takers said of the transfer is durable there: givers may have missed it.
  return std::all_of(job_.to.begin(), job_.to.end(), [&](std::uint32_t share) {
    const Part* const part = part_of(share);
    return part != nullptr &&
           (part->done || (job_.step == ReshareStep::transfer && part->through >= job_.cells));
  });
}

// All have said how it went, or have not for a while.
bool ReshareMachine::is_settled(std::uint64_t now_ms) {
  if (done_ms_ == 0) done_ms_ = std::max<std::uint64_t>(now_ms, 1);
  return now_ms - done_ms_ > settle_ms ||
         std::all_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.second.known; });
}

ReshareWish ReshareMachine::after_check(std::uint64_t now_ms) {
  const CheckVerdict verdict = parts_[checker()].verdict;
  if (verdict == CheckVerdict::failed) {
    undo(now_ms, "the masked check failed: a share, a giver or a taker is wrong");
    return ReshareWish::save;
  }
  if (verdict == CheckVerdict::unverified) {
    if (!job_.same_generation()) {
      undo(now_ms, "there is no surplus share to check the new ones with");
      return ReshareWish::save;
    }
    job_.unverified = true;
  }
  ++job_.check;
  const std::uint32_t checkers = job_.same_generation() ? 1 : secrecy_threshold(job_.target) + 1;
  if (job_.check >= std::min<std::size_t>(checkers, job_.to.size())) {
    committing_ = true;
    return ReshareWish::commit;
  }
  return ReshareWish::nothing;
}

void ReshareMachine::advance(std::uint64_t now_ms, const IsUp& is_up) {
  if (job_.step == ReshareStep::check && after_check(now_ms) != ReshareWish::nothing) return;
  assume_the_worst();
  if (job_.step != ReshareStep::check) {
    job_.step = job_.step == ReshareStep::transfer ? ReshareStep::seal : ReshareStep::check;
  }
  job_.failures = 0;
  next_round(now_ms, is_up);
}

ReshareWish ReshareMachine::decide_round(std::uint64_t now_ms, const IsUp& is_up) {
  if (committing_) return ReshareWish::commit;
  if (job_.cancel) {
    undo(now_ms, "it was cancelled");
  } else if (job_.cells == 0) {  // of an empty object there is nothing to make
    committing_ = true;
  } else if (job_.round == 0) {
    next_round(now_ms, is_up);
  } else if (resuming_ && !resumed(now_ms)) {
    return ReshareWish::nothing;
  } else if (is_round_done()) {  // also one that failed after that: what is done is durable
    if (over_ || is_settled(now_ms)) advance(now_ms, is_up);
  } else if (over_) {
    if (now_ms >= begin_at_ms_) next_round(now_ms, is_up);
  } else if (now_ms - progress_ms_ > timing_.patience_ms) {
    std::string suspect;
    for (const auto& [node, part] : parts_) {
      if (!part.done) suspect = node;
    }
    fail(now_ms, suspect, fmt::format("no progress; {} is waited for", suspect));
  }
  return dirty_ ? ReshareWish::save : committing_ ? ReshareWish::commit : ReshareWish::nothing;
}

ReshareWish ReshareMachine::decide(std::uint64_t now_ms, const IsUp& is_up) {
  if (dirty_) return ReshareWish::save;
  if (works()) return decide_round(now_ms, is_up);
  if (job_.step == ReshareStep::erase) return ReshareWish::clean;
  if (job_.step != ReshareStep::undo) return ReshareWish::nothing;
  const bool all =
      std::all_of(parts_.begin(), parts_.end(), [&](const auto& part) { return part.second.done; });
  return all || gives_up(now_ms) ? ReshareWish::abandon : ReshareWish::nothing;
}

std::vector<ReshareAsk> ReshareMachine::asks(std::uint64_t now_ms) {
  std::vector<ReshareAsk> asks;
  const bool undoes = job_.step == ReshareStep::undo;
  if (dirty_ || over_ || committing_ || resuming_ || (!works() && !undoes) || (works() && job_.round == 0)) {
    return asks;
  }
  for (auto& [node, part] : parts_) {
    if (part.in_flight || part.ordered || part.done || now_ms < part.retry_at_ms) continue;
    part.in_flight = part.asked = true;
    asks.push_back({node, undoes, undoes ? ReshareOrder() : order()});
    asks.back().order.job = job_.id;
  }
  return asks;
}

ReshareOrder ReshareMachine::order() const {
  ReshareOrder order;
  order.job = job_.id;
  order.round = job_.round;
  order.operation = job_.step == ReshareStep::seal    ? ReshareOperation::seal
                    : job_.step == ReshareStep::check ? ReshareOperation::check
                                                      : job_.operation;
  order.object = job_.object;
  order.cells = job_.cells;
  order.cell_bytes = job_.cell_bytes;
  order.source = generation_of(job_.source_generation, job_.source);
  order.source.attempts = job_.attempts;
  order.target = generation_of(job_.target_generation, job_.same_generation() ? job_.source : job_.target);
  if (job_.same_generation()) {
    order.target.layout.holders[job_.share - 1].node = job_.target.holders[job_.share - 1].node;
    if (job_.operation == ReshareOperation::repair) order.source.layout.holders[job_.share - 1].node.clear();
  }
  if (job_.same_generation() || job_.step != ReshareStep::transfer) {
    order.target.attempts = attempts_of_target(job_);
  }
  order.from = job_.from;
  order.to = job_.to;
  if (job_.step == ReshareStep::check) {
    order.checker = checker();
  }
  order.first = job_.step == ReshareStep::transfer ? job_.first : 0;
  order.end = job_.cells;
  order.unit_cells = job_.unit_cells;
  order.window = job_.window;
  order.bytes_per_second = timing_.bytes_per_second;
  order.stall_ms = timing_.stall_ms;
  return order;
}

}  // namespace ssn::controller
