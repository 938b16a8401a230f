// SPDX-License-Identifier: BSD-3-Clause
#include "control_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <utility>

namespace ssn::dataplane {

struct ControlLoop::Call {
  const std::function<void()>* function = nullptr;  // the caller waits, so it lives
  std::mutex mutex;
  std::condition_variable over;
  bool is_over = false;
  bool has_run = false;

  void end(bool ran) {
    const std::lock_guard lock(mutex);
    is_over = true;
    has_run = ran;
    over.notify_one();
  }
};

Result<std::unique_ptr<ControlLoop>> ControlLoop::make(const sigset_t& signals) {
  std::unique_ptr<ControlLoop> loop(new ControlLoop);
  loop->signals_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  loop->event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->signals_ < 0 || loop->event_ < 0) {
    return system_error(errno, "cannot make the control loop", "signalfd, eventfd");
  }
  return loop;
}

ControlLoop::~ControlLoop() {
  close();
  ::close(signals_);
  ::close(event_);
}

bool ControlLoop::call(const std::function<void()>& function) {
  const auto mine = std::make_shared<Call>();
  mine->function = &function;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || calls_.size() == waiting_max) {
      return false;
    }
    calls_.push_back(mine);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);  // full: readable anyway
  }
  std::unique_lock lock(mine->mutex);
  mine->over.wait(lock, [&] { return mine->is_over; });
  return mine->has_run;
}

void ControlLoop::run_calls() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event_, &count, sizeof count);
  for (;;) {
    std::shared_ptr<Call> next;
    {
      const std::lock_guard lock(mutex_);
      if (calls_.empty()) {
        return;
      }
      next = std::move(calls_.front());
      calls_.pop_front();
    }
    (*next->function)();
    next->end(true);
  }
}

bool ControlLoop::take_signal(int& number) const {
  signalfd_siginfo info{};
  if (::read(signals_, &info, sizeof info) != sizeof info) {
    return false;
  }
  number = static_cast<int>(info.ssi_signo);
  return true;
}

void ControlLoop::run(const std::function<bool(int signal)>& on_signal, std::chrono::milliseconds interval,
                      const std::function<void()>& on_tick) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point tick = Clock::now() + interval;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(tick - Clock::now());
    pollfd fds[2] = {{signals_, POLLIN, 0}, {event_, POLLIN, 0}};
    ::poll(fds, 2, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    for (int number = 0; take_signal(number);) {
      if (!on_signal(number)) {
        return;
      }
    }
    run_calls();
    if (hurried_.exchange(false, std::memory_order_acquire) || Clock::now() >= tick) {
      on_tick();
      tick = Clock::now() + interval;
    }
  }
}

void ControlLoop::hurry() noexcept {
  hurried_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
}

void ControlLoop::close() {
  std::deque<std::shared_ptr<Call>> waiting;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting.swap(calls_);
  }
  for (const std::shared_ptr<Call>& call : waiting) {
    call->end(false);
  }
}

}  // namespace ssn::dataplane
