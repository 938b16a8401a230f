// SPDX-License-Identifier: BSD-3-Clause
// A worker: one thread on one core that walks its graph, and between walks runs the commands that others
// posted. No DPDK: the graph is a function to call.
//
// Other threads reach a worker in two ways only: post(), and wake() after they left something where a node of
// its graph finds it. Whoever posted a command after he changed something, and saw it done, knows that the
// worker has seen the change: that is all the quiescence there is.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/counters.h"
#include "ssn/dataplane/idle_policy.h"
#include "ssn/dataplane/inbox.h"
#include "ssn/dataplane/worker_clock.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

class TraceBuffer;

/// Something with a file descriptor that becomes readable when there are packets.
struct WakeSource {
  int fd = -1;
  void (*arm)(void* argument) = nullptr;  ///< before the worker looks for packets the last time; may be null
  void (*disarm)(void* argument) = nullptr;  ///< after it slept; may be null
  void* argument = nullptr;
};

/// What a worker walks. Does not change while it does.
struct WorkerGraph {
  void (*walk)(void* argument) = nullptr;  ///< null: nothing to do
  void* argument = nullptr;
  static constexpr std::size_t wake_sources_max = 256;
  std::vector<WakeSource> wake_sources;
  /// Of sources without a file descriptor: they are looked at again after a nap.
  bool needs_naps = false;
};

class Worker {
 public:
  using Idle = WorkersConfiguration::Idle;

  static constexpr std::size_t inbox_size = 1024;
  static constexpr std::uint64_t longest_sleep_ns = 250'000'000;
  /// Naps begin so short and get twice as long each time.
  static constexpr std::uint64_t shortest_nap_ns = 20'000;
  static constexpr std::uint64_t longest_nap_ns = 500'000;

  /// `index`: from 0. The counters must outlive the worker.
  static Result<std::unique_ptr<Worker>> make(unsigned index, unsigned cpu, Idle idle, Counters& counters);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  unsigned index() const noexcept { return index_; }
  unsigned cpu() const noexcept { return cpu_; }

  // ---- Any thread that is no worker.
  /// Runs `command` on the worker between two walks. False: the inbox is full; nothing was posted.
  /// `ticket`: for is_done() and wait(). Commands run in the order in which they were posted.
  bool post(Command command, Ticket* ticket = nullptr) noexcept;
  bool is_done(Ticket ticket) const noexcept { return inbox_.is_done(ticket); }
  /// False: it was not done within `patience`.
  bool wait(Ticket ticket, std::chrono::milliseconds patience) const;
  /// Makes run() return after the walk that goes on. Commands that were posted before are run.
  void stop() noexcept;

  // ---- Any thread, other workers too.
  /// Something was left for a node of this worker. Makes a system call only where the worker sleeps.
  void wake() noexcept;

  // ---- Its own thread.
  /// Until stop(). After it: only the commands that were posted.
  void run() noexcept;
  /// What nodes told in one walk.
  struct Walked {
    bool worked = false;
    bool awake = false;
    std::uint64_t wake_ns = UINT64_MAX;
  };
  /// One walk at a time of the caller's, by a thread that is the worker while run() is not: for tests.
  Walked walk_at(std::uint64_t now_ns) noexcept;
  /// From a command only: what is walked from now on. `graph` outlives its use.
  void set_graph(const WorkerGraph* graph) noexcept { graph_ = graph; }
  const WorkerGraph* graph() const noexcept { return graph_; }

  // What nodes ask, and tell.
  /// CLOCK_MONOTONIC, read once a walk.
  std::uint64_t now_ns() const noexcept { return now_ns_; }
  /// There were packets, or anything else that is worth another walk at once.
  void note_work() noexcept { worked_ = true; }
  /// Something is under way that nobody announces: look again soon, do not sleep.
  void keep_awake() noexcept { awake_ = true; }
  /// The worker must not sleep beyond this time (now_ns()'s clock). Forgotten after each walk: say it in
  /// each one.
  void wake_at(std::uint64_t ns) noexcept { wake_ns_ = ns < wake_ns_ ? ns : wake_ns_; }

  /// Null: nothing is traced.
  TraceBuffer* trace() const noexcept { return trace_; }
  /// From a command only.
  void set_trace(TraceBuffer* trace) noexcept { trace_ = trace; }

 private:
  Worker(unsigned index, unsigned cpu, Idle idle, Counters& counters);
  Outcome open_event();
  void walk() noexcept;
  bool run_commands() noexcept;
  void rest(unsigned idle_walks) noexcept;
  void yield() noexcept;
  void nap() noexcept;
  void sleep() noexcept;
  void wait_for_event(const WorkerGraph* graph, std::uint64_t timeout_ns) noexcept;
  std::uint64_t sleep_limit() noexcept;

  const unsigned index_;
  const unsigned cpu_;
  IdlePolicy policy_;

  // The worker's own; the first cache line is what nodes touch.
  alignas(64) std::uint64_t now_ns_ = 0;
  std::uint64_t wake_ns_ = UINT64_MAX;
  TraceBuffer* trace_ = nullptr;
  bool worked_ = false;
  bool awake_ = false;
  const WorkerGraph* graph_ = nullptr;
  WorkerClock clock_;
  std::uint64_t nap_ns_ = shortest_nap_ns;

  struct {
    Counter& walks;
    Counter& busy_walks;
    Counter& sleeps;
    Counter& naps;
    Counter& commands;
  } counters_;

  // Shared with others.
  alignas(64) std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  int event_ = -1;
  Inbox<inbox_size> inbox_;
};

}  // namespace ssn::dataplane
