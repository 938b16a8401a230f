// SPDX-License-Identifier: BSD-3-Clause
// The control thread: DPDK's main thread, which alone builds graphs and asks devices. Others have it run what
// they need. It sleeps until there is something, or a signal.
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "ssn/hw/result.h"

namespace ssn::dataplane {

class ControlLoop {
 public:
  static constexpr std::size_t waiting_max = 64;

  /// `signals` are blocked already, in all threads.
  static Result<std::unique_ptr<ControlLoop>> make(const sigset_t& signals);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  /// Any other thread: runs `function` on the control thread and waits for its end. False: the loop has
  /// ended, or too many wait; then it is not run.
  bool call(const std::function<void()>& function);

  /// Runs what comes until `on_signal` returns false. `on_tick` is called about every `interval`.
  void run(const std::function<bool(int signal)>& on_signal, std::chrono::milliseconds interval,
           const std::function<void()>& on_tick);
  /// Any thread: on_tick is called soon. One system call; never waits.
  void hurry() noexcept;
  /// No call is taken any more; those that wait are told so.
  void close();

 private:
  struct Call;
  ControlLoop() = default;
  void run_calls();
  bool take_signal(int& number) const;

  int signals_ = -1;
  int event_ = -1;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Call>> calls_;
  bool closed_ = false;
  std::atomic<bool> hurried_{false};
};

}  // namespace ssn::dataplane
