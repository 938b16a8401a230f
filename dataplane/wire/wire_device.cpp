// SPDX-License-Identifier: BSD-3-Clause
// What becomes of a device that does not keep its deadlines, and of queues when wire mode stops. A worker
// hands its queue over and goes on without; a control thread closes it, which may take its time; then the
// worker takes back what the device had.
#include <fmt/core.h>

#include <utility>

#include "wire_member.h"

namespace ssn::dataplane {
namespace {

// How often jobs are looked at, and when there is no hope left: so many that were forgotten, or one that has
// been late for so long. Key rings cannot move on behind it.
constexpr std::uint64_t watch_ns = 1'000'000;
constexpr std::uint64_t patience_ns = 100'000'000;
constexpr std::chrono::milliseconds worker_patience{5000};

Error no_answer(const Worker& worker, const char* what) {
  return {Exit::failed, what, fmt::format("worker {} has not finished a walk for 5 s", worker.index()),
          fmt::format("CPU {}", worker.cpu()), "restart the process; report this with its trace"};
}

void run_hand_over(void* argument) {
  WireWorker& worker = *static_cast<WireMember*>(argument)->wire;
  if (worker.offload.queue.is_open()) worker.hand_queue_over({});
}
void run_device_closed(void* argument) {
  WireMember& member = *static_cast<WireMember*>(argument);
  member.wire->device_closed(member.thread->now_ns());
}
void run_open(void* argument) {
  OffloadWorker& offload = static_cast<WireMember*>(argument)->wire->offload;
  offload.queue = std::move(offload.handed);
  offload.state.store(QueueState::open, std::memory_order_release);
}

// Posts a command and waits for it.
Outcome run_on(WireMember& member, void (*run)(void*), const char* what) {
  Ticket ticket = 0;
  if (!member.thread->post({run, &member}, &ticket) || !member.thread->wait(ticket, worker_patience)) {
    return no_answer(*member.thread, what);
  }
  return done;
}

}  // namespace

// ---- The worker's side ----------------------------------------------------------------------------------

void WireWorker::watch_device() noexcept {
  const std::uint64_t asked = offload.asked_ns;
  if (offload.in_flight == 0 || asked < offload.watch_at || !offload.queue.is_open()) return;
  if (asked <= offload.deadline_ns) return;  // never yet
  offload.watch_at = asked + watch_ns;
  const std::uint64_t before = asked - offload.deadline_ns;
  protocol::OverdueJobs owed;
  for (WireSession* const session : sessions) {
    for (const std::unique_ptr<StreamSession>& each : session->streams) {
      if (each->splitter.take_as_lost(before) != 0) each->stream->waits = true;
      if (each->collector.take_as_lost(before, asked) != 0) each->stream->starved = true;
      owed.add(each->splitter.overdue());
      owed.add(each->collector.overdue());
    }
  }
  if (owed.jobs == 0) return;
  dirty = true;
  if (owed.lost < offload.lost_max && owed.since + patience_ns > asked) return;
  ++offload.given_up;
  hand_queue_over(owed);
  if (offload.call_control != nullptr) (*offload.call_control)();
}

void WireWorker::hand_queue_over(const protocol::OverdueJobs& owed) noexcept {
  offload.owed = owed;
  offload.handed = std::move(offload.queue);
  offload.state.store(QueueState::handed_over, std::memory_order_release);
}

// The device touches nothing any more.
void WireWorker::device_closed(std::uint64_t now) noexcept {
  offload.backlog.clear();
  offload.in_flight = 0;
  for (WireSession* const session : sessions) {
    for (const std::unique_ptr<StreamSession>& each : session->streams) {
      each->splitter.device_closed();
      each->collector.device_closed(now);
      each->stream->waits = each->stream->starved = true;  // wire_timer sends them on
    }
  }
  dirty = true;
  offload.state.store(QueueState::closed, std::memory_order_release);
}

// ---- The control side -----------------------------------------------------------------------------------

void WireMode::close_given_up() {
  for (const std::unique_ptr<WireMember>& member : members_) {
    OffloadWorker& offload = member->wire->offload;
    if (offload.state.load(std::memory_order_acquire) != QueueState::handed_over) continue;
    const protocol::OverdueJobs owed = offload.owed;
    offload.handed.close();
    // Before the command, which sets the next one.
    offload.state.store(QueueState::closing, std::memory_order_relaxed);
    if (!member->thread->post({run_device_closed, member.get()})) {
      offload.state.store(QueueState::handed_over, std::memory_order_relaxed);
      continue;
    }
    const std::string text = fmt::format(
        "worker {} has given up the device {}: {} jobs were late, and of {} of them it did not even say so. "
        "The CPU does all of its work until the configuration is swapped or the process restarted",
        member->wire->index, setup_.configuration->offload.driver, owed.jobs, owed.lost);
    if (setup_.report) setup_.report("offload: " + text);
    const std::lock_guard lock(mutex_);
    device_trouble_ = text;
  }
}

void WireMode::tend() {
  close_given_up();
  reap();
}

Outcome WireMode::stop_device() {
  constexpr const char* what = "cannot take work back from the offload device";
  if (setup_.device == nullptr) return done;
  for (const std::unique_ptr<WireMember>& member : members_) {
    OffloadWorker& offload = member->wire->offload;
    if (member->thread == nullptr) continue;  // its graph was never built
    if (Outcome outcome = run_on(*member, run_hand_over, what); !outcome.ok()) return outcome;
    if (offload.state.load(std::memory_order_acquire) != QueueState::handed_over) continue;
    offload.handed.close();
    offload.state.store(QueueState::closing, std::memory_order_relaxed);
    if (Outcome outcome = run_on(*member, run_device_closed, what); !outcome.ok()) return outcome;
  }
  return done;
}

Outcome WireMode::start_device() {
  for (const std::unique_ptr<WireMember>& member : members_) {
    OffloadWorker& offload = member->wire->offload;
    if (offload.state.load(std::memory_order_acquire) != QueueState::closed) continue;
    Result<hw::OffloadQueue> queue = open_queue(*member);
    if (!queue.ok()) return queue.error();
    offload.handed = std::move(queue.value());
    if (Outcome outcome = run_on(*member, run_open, "cannot begin to use the offload device");
        !outcome.ok()) {
      return outcome;
    }
  }
  const std::lock_guard lock(mutex_);
  device_trouble_.clear();
  return done;
}

std::string WireMode::device_trouble() const {
  const std::lock_guard lock(mutex_);
  return device_trouble_;
}

}  // namespace ssn::dataplane
