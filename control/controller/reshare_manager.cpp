// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_manager.h"

#include <fmt/core.h>

#include <algorithm>

namespace ssn::controller {
namespace {

// A node is looked at soon after an order, then less and less often: small objects are done at once.
constexpr std::uint64_t first_poll_ms = 40;
constexpr std::uint64_t poll_ms = 500;
constexpr std::uint64_t look_each_ms = 1'000;
constexpr unsigned decisions_max = 16;  // in a row for one job: none ends in a circle
constexpr std::size_t polls_max = 1024;

bool works(const ReshareJob& job) { return job.step < ReshareStep::erase || job.step == ReshareStep::undo; }

}  // namespace

Result<std::unique_ptr<ReshareManager>> ReshareManager::open(Catalogue& catalogue, ReshareNodes& nodes,
                                                             Now now) {
  std::unique_ptr<ReshareManager> manager(new ReshareManager(catalogue, nodes));
  manager->follow_policy();
  const Result<std::uint64_t> term = catalogue.begin_term();
  if (!term.ok()) return term.error();
  manager->term_ = term.value();
  manager->ready_ms_ = now.monotonic_ms + 3 * std::uint64_t{manager->policy_.report_ms};
  Result<std::vector<ReshareJob>> jobs = catalogue.running_reshares();
  if (!jobs.ok()) return jobs.error();
  for (ReshareJob& job : jobs.value()) manager->add(std::move(job), now);
  return manager;
}

void ReshareManager::follow_policy() {
  std::optional<Policy> policy = catalogue_.policy_after(configuration_);
  if (!policy) return;
  policy_ = std::move(*policy);
  for (const auto& [id, machine] : machines_) machine->set_timing(policy_.reshare);
}

void ReshareManager::add(ReshareJob job, Now now) {
  const std::uint64_t id = job.id;
  machines_[id] = std::make_unique<ReshareMachine>(std::move(job), policy_.reshare, now.monotonic_ms);
}

Result<ReshareJob> ReshareManager::start(Now now, const ReshareRequest& request) {
  const std::lock_guard lock(mutex_);
  Result<ReshareJob> job = catalogue_.start_reshare(now, request);
  if (job.ok() && !machines_.contains(job.value().id)) add(job.value(), now);
  return job;
}

Result<ReshareJob> ReshareManager::cancel(Now now, std::uint64_t job, const std::string& who) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(job);
  if (found == machines_.end()) return catalogue_.reshare(job);  // over, or never was
  if (found->second->job().step == ReshareStep::erase) {
    return Error{Exit::refused, "cannot cancel the job", "it is committed", fmt::format("job {:016x}", job),
                 "wait until old shares are erased"};
  }
  found->second->cancel(now.monotonic_ms, fmt::format("cancelled by {}", who));
  const Outcome driven = drive(now, *found->second);
  return driven.ok() ? Result<ReshareJob>(found->second->job()) : driven.error();
}

bool ReshareManager::is_busy() {
  const std::lock_guard lock(mutex_);
  return !machines_.empty();
}

std::uint64_t ReshareManager::through(const ReshareJob& job) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(job.id);
  if (found != machines_.end()) return found->second->through();
  return job.step == ReshareStep::done ? job.cells : 0;
}

void ReshareManager::take(Now now, const NodeReply& reply) {
  const std::uint64_t time = now.monotonic_ms;
  if (reply.call == NodeCall::list) {
    polls_[reply.node].in_flight = false;
    for (const auto& [id, machine] : machines_) {
      const std::vector<std::string> watched = machine->watched();
      if (std::find(watched.begin(), watched.end(), reply.node) == watched.end()) continue;
      if (!reply.reached) {
        machine->unheard(reply.node);
        continue;
      }
      const auto status = std::find_if(reply.jobs.begin(), reply.jobs.end(),
                                       [&](const ReshareStatus& each) { return each.job == id; });
      machine->told(time, reply.node, status == reply.jobs.end() ? nullptr : &*status);
    }
    return;
  }
  const auto found = machines_.find(reply.job);
  if (found == machines_.end()) return;
  const bool old_term = reply.term > term_;
  if (!reply.reached || (old_term && reply.call == NodeCall::cancel)) {
    found->second->unreachable(time, reply.node, reply.round);
  } else if (reply.call == NodeCall::cancel) {
    found->second->cancelled(reply.node);
  } else {
    found->second->answered(time, reply.node, reply.round, reply.answer);
  }
}

Outcome ReshareManager::grant(Now now, ReshareMachine& machine, ReshareWish wish) {
  const ReshareJob& job = machine.job();
  if (wish == ReshareWish::save) {
    const Outcome saved = catalogue_.save_reshare(job);
    if (saved.ok()) {
      machine.saved();
    } else if (saved.error().code == Exit::refused) {
      machine.cancel(now.monotonic_ms, saved.error().why);
      return done;
    }
    return saved;
  }
  // A share is repaired because its holder is away: to wait for that would only hold up the next repair.
  const bool give_up = job.operation == ReshareOperation::repair || machine.gives_up(now.monotonic_ms);
  Result<ReshareJob> changed = wish == ReshareWish::commit  ? catalogue_.commit_reshare(now, job)
                               : wish == ReshareWish::clean ? catalogue_.clean_reshare(now, job, give_up)
                                                            : catalogue_.abandon_reshare(now, job);
  if (!changed.ok()) return changed.error();
  if (changed.value().step != job.step) machine.replace(std::move(changed.value()), now.monotonic_ms);
  return done;
}

Outcome ReshareManager::drive(Now now, ReshareMachine& machine) {
  const auto is_up = [this](const std::string& node) { return up_.contains(node); };
  for (unsigned i = 0; i < decisions_max; ++i) {
    const ReshareStep before = machine.job().step;
    const ReshareWish wish = machine.decide(now.monotonic_ms, is_up);
    if (wish == ReshareWish::nothing) break;
    if (Outcome granted = grant(now, machine, wish); !granted.ok()) return granted;
    if (wish == ReshareWish::clean && machine.job().step == before) break;
  }
  return done;
}

void ReshareManager::ask(Now now, ReshareMachine& machine) {
  for (ReshareAsk& ask : machine.asks(now.monotonic_ms)) {
    const std::uint64_t job = ask.order.job;
    Poll& poll = polls_[ask.node];
    poll.wait_ms = first_poll_ms;
    poll.next_ms = std::min(poll.next_ms, now.monotonic_ms + first_poll_ms);
    nodes_.ask({ask.cancel ? NodeCall::cancel : NodeCall::order, ask.node, agents_[ask.node], term_, job,
                std::move(ask.order)});
  }
}

void ReshareManager::poll(Now now) {
  std::set<std::string> watched;
  for (const auto& [id, machine] : machines_) {
    for (std::string& node : machine->watched()) watched.insert(std::move(node));
  }
  if (polls_.size() > polls_max) {
    std::erase_if(polls_, [](const auto& each) { return !each.second.in_flight; });
  }
  for (const std::string& node : watched) {
    Poll& poll = polls_[node];
    if (poll.in_flight || now.monotonic_ms < poll.next_ms) continue;
    poll.in_flight = true;
    poll.next_ms = now.monotonic_ms + poll.wait_ms;
    poll.wait_ms = std::clamp(2 * poll.wait_ms, first_poll_ms, poll_ms);
    nodes_.ask({NodeCall::list, node, agents_[node], term_, 0, {}});
  }
}

// Replacements, repairs, and where none of these is under way, renewals.
Outcome ReshareManager::begin_by_itself(Now now) {
  std::size_t busy = 0;
  bool repairs = false;
  for (const auto& [id, machine] : machines_) {
    busy += works(machine->job()) ? 1 : 0;
    repairs = repairs || machine->job().same_generation();
  }
  const bool idle = more_ && busy < policy_.reshare_jobs;
  if (now.monotonic_ms < look_ms_ && !idle) return done;
  look_ms_ = now.monotonic_ms + look_each_ms;
  // Some that wait keep those busy that run; all at once would only lock objects.
  const std::size_t most = 2 * std::size_t{policy_.reshare_jobs};
  const Catalogue::UpkeepRoom room{
      most - std::min(most, busy),
      repairs ? 0 : policy_.reshare_jobs - std::min<std::size_t>(policy_.reshare_jobs, busy)};
  Result<std::vector<ReshareJob>> upkeep = catalogue_.step_upkeep(now, room);
  if (!upkeep.ok()) return upkeep.error();
  more_ = !upkeep.value().empty();
  busy += upkeep.value().size();
  for (ReshareJob& job : upkeep.value()) add(std::move(job), now);
  Result<std::vector<ReshareJob>> started = catalogue_.step_replacements(now, most - std::min(most, busy));
  if (!started.ok()) return started.error();
  more_ = more_ || !started.value().empty();
  for (ReshareJob& job : started.value()) add(std::move(job), now);
  return done;
}

// Rounds that fail and begin again are no progress; jobs that wait for their turn stand still rightly.
void ReshareManager::watch_progress(Now now) {
  std::erase_if(stood_, [this](const auto& each) { return !machines_.contains(each.first); });
  std::size_t stalled = 0;
  std::string first;
  for (const auto& [id, machine] : machines_) {
    const ReshareJob& job = machine->job();
    const Stand stand{job.step, job.check, machine->through()};
    Stood& known = stood_.try_emplace(id, Stood{stand, now.monotonic_ms}).first->second;
    if (known.stand != stand || (works(job) && job.round == 0)) known = {stand, now.monotonic_ms};
    if (now.since_ms(known.since_ms) < policy_.reshare.alarm_ms || stalled++ != 0) continue;
    first = fmt::format("job {:016x} of {}'s {}: {}", id, job.owner, job.name,
                        job.trouble.empty() ? name(job.step) : job.trouble);
  }
  catalogue_.tell_stalled(now, stalled == 0 ? "" : fmt::format("{} jobs; {}", stalled, first));
}

Outcome ReshareManager::step(Now now) {
  const std::lock_guard lock(mutex_);
  follow_policy();
  for (const NodeReply& reply : nodes_.replies()) take(now, reply);
  if (now.monotonic_ms < ready_ms_) return done;
  up_.clear();
  for (NodeAddress& node : catalogue_.nodes_up(now)) {
    up_.insert(node.node);
    agents_[node.node] = std::move(node.agent);
  }
  Outcome outcome = begin_by_itself(now);
  std::size_t running = 0;
  for (auto at = machines_.begin(); at != machines_.end();) {
    ReshareMachine& machine = *at->second;
    const bool turn = !works(machine.job()) || running < policy_.reshare_jobs;
    running += works(machine.job()) && turn ? 1 : 0;
    if (turn) {
      if (Outcome driven = drive(now, machine); !driven.ok()) outcome = driven;
      ask(now, machine);
    }
    at = machine.job().is_over() ? machines_.erase(at) : std::next(at);
  }
  poll(now);
  watch_progress(now);
  return outcome;
}

}  // namespace ssn::controller
