// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/worker.h"

#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <thread>

namespace ssn::dataplane {
namespace {

// After so many commands the graph is walked again.
constexpr unsigned commands_between_walks = 16;

void relax() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

Worker::Worker(unsigned index, unsigned cpu, Idle idle, Counters& counters)
    : index_(index),
      cpu_(cpu),
      policy_(idle),
      counters_{counters.get(index, "worker.walks"), counters.get(index, "worker.busy_walks"),
                counters.get(index, "worker.sleeps"), counters.get(index, "worker.naps"),
                counters.get(index, "worker.commands")} {}

Worker::~Worker() {
  if (event_ >= 0) {
    ::close(event_);
  }
}

Result<std::unique_ptr<Worker>> Worker::make(unsigned index, unsigned cpu, Idle idle, Counters& counters) {
  std::unique_ptr<Worker> worker(new Worker(index, cpu, idle, counters));
  if (Outcome outcome = worker->open_event(); !outcome.ok()) {
    return outcome.error();
  }
  return worker;
}

Outcome Worker::open_event() {
  event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ < 0) {
    return system_error(errno, fmt::format("cannot make worker {}", index_), "eventfd");
  }
  return done;
}

bool Worker::post(Command command, Ticket* ticket) noexcept {
  const Ticket place = inbox_.post(command);
  if (place == 0) {
    return false;
  }
  if (ticket != nullptr) {
    *ticket = place;
  }
  wake();
  return true;
}

bool Worker::wait(Ticket ticket, std::chrono::milliseconds patience) const {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (unsigned round = 0; !is_done(ticket); ++round) {
    if (std::chrono::steady_clock::now() >= end) {
      return is_done(ticket);
    }
    if (round < 16) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  return true;
}

void Worker::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  wake();
}

// Against going to sleep, which is sleeping_ = true and then a last look: whichever of the two writes comes
// first in the one order of all such operations, the other side sees it. (An exchange instead of a fence and
// a load, because the thread sanitizer does not know fences.)
void Worker::wake() noexcept {
  if (sleeping_.exchange(false, std::memory_order_seq_cst)) {
    const std::uint64_t one = 1;
    // Fails only where the counter is full, and then it is readable anyway.
    [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
  }
}

void Worker::walk() noexcept { walk_at(clock_.read()); }

Worker::Walked Worker::walk_at(std::uint64_t now_ns) noexcept {
  now_ns_ = now_ns;
  worked_ = false;
  awake_ = false;
  wake_ns_ = UINT64_MAX;
  if (graph_ != nullptr && graph_->walk != nullptr) {
    graph_->walk(graph_->argument);
  }
  counters_.walks.add(1);
  if (worked_) {
    counters_.busy_walks.add(1);
  }
  return {worked_, awake_, wake_ns_};
}

bool Worker::run_commands() noexcept {
  Command command;
  unsigned ran = 0;
  while (ran < commands_between_walks && inbox_.take(command)) {
    command.run(command.argument);
    inbox_.done();
    ++ran;
  }
  if (ran != 0) {
    counters_.commands.add(ran);
  }
  return ran != 0;
}

void Worker::run() noexcept {
  unsigned idle_walks = 0;
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool commanded = !inbox_.is_empty() && run_commands();
    walk();
    if (worked_ || commanded) {
      idle_walks = 0;
      nap_ns_ = shortest_nap_ns;
    } else {
      rest(idle_walks++);
    }
  }
  while (run_commands()) {
  }
}

void Worker::rest(unsigned idle_walks) noexcept {
  switch (policy_.rest(idle_walks, awake_, now_ns_)) {
    case IdlePolicy::Rest::spin:
      return relax();
    case IdlePolicy::Rest::yield:
      return yield();
    case IdlePolicy::Rest::nap:
      return nap();
    case IdlePolicy::Rest::sleep:
      return sleep();
  }
}

void Worker::yield() noexcept {
  const std::uint64_t begin = clock_.read();
  ::sched_yield();
  const std::uint64_t end = clock_.read();
  policy_.yielded(end - begin, end);
}

// Commands, and whoever leaves something for a node, end it; packets do not.
void Worker::nap() noexcept {
  sleeping_.exchange(true, std::memory_order_seq_cst);
  if (inbox_.is_empty() && !stopping_.load(std::memory_order_acquire)) {
    counters_.naps.add(1);
    wait_for_event(nullptr, IdlePolicy::nap_ns(awake_, now_ns_, wake_ns_));
  }
  sleeping_.exchange(false, std::memory_order_seq_cst);
}

// How long nothing needs this worker as far as it knows.
std::uint64_t Worker::sleep_limit() noexcept {
  std::uint64_t limit = longest_sleep_ns;
  if (wake_ns_ != UINT64_MAX) {
    limit = std::min(limit, wake_ns_ > now_ns_ ? wake_ns_ - now_ns_ : 0);
  }
  if (graph_ != nullptr && graph_->needs_naps) {
    limit = std::min(limit, nap_ns_);
    nap_ns_ = std::min(nap_ns_ * 2, longest_nap_ns);
  }
  return limit;
}

void Worker::sleep() noexcept {
  const std::vector<WakeSource>* const sources = graph_ != nullptr ? &graph_->wake_sources : nullptr;
  for (std::size_t i = 0; sources != nullptr && i < sources->size(); ++i) {
    if ((*sources)[i].arm != nullptr) {
      (*sources)[i].arm((*sources)[i].argument);
    }
  }
  sleeping_.exchange(true, std::memory_order_seq_cst);
  // The last look: whoever leaves something from now on wakes us.
  walk();
  if (!worked_ && !awake_ && inbox_.is_empty() && !stopping_.load(std::memory_order_acquire)) {
    counters_.sleeps.add(1);
    wait_for_event(graph_, sleep_limit());
  }
  sleeping_.exchange(false, std::memory_order_seq_cst);
  for (std::size_t i = 0; sources != nullptr && i < sources->size(); ++i) {
    if ((*sources)[i].disarm != nullptr) {
      (*sources)[i].disarm((*sources)[i].argument);
    }
  }
}

void Worker::wait_for_event(const WorkerGraph* graph, std::uint64_t timeout_ns) noexcept {
  nfds_t count = 1;
  pollfd entries[1 + WorkerGraph::wake_sources_max];
  entries[0] = {event_, POLLIN, 0};
  if (graph != nullptr) {
    for (const WakeSource& source : graph->wake_sources) {
      assert(count <= WorkerGraph::wake_sources_max);
      entries[count++] = {source.fd, POLLIN, 0};
    }
  }
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000U),
                         static_cast<long>(timeout_ns % 1'000'000'000U)};
  const int ready = ::ppoll(entries, count, &timeout, nullptr);
  if (ready > 0 && (entries[0].revents & POLLIN) != 0) {
    std::uint64_t events = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_, &events, sizeof events);
  }
}

}  // namespace ssn::dataplane
