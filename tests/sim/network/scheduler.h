// SPDX-License-Identifier: BSD-3-Clause
// Virtual time: events in the order of their time, those of one time in the order in which they were made.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace ssn::sim {

class Scheduler {
 public:
  std::uint64_t now() const noexcept { return now_; }
  std::uint64_t steps() const noexcept { return steps_; }

  void at(std::uint64_t delay, std::function<void()> action) {
    events_.push({now_ + delay, ++order_, std::move(action)});
  }
  /// Runs the next event, and moves time to it. False: there is none.
  bool step() {
    if (events_.empty()) return false;
    const Event event = events_.top();
    events_.pop();
    now_ = event.time;
    ++steps_;
    event.action();
    return true;
  }

 private:
  struct Event {
    std::uint64_t time;
    std::uint64_t order;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t now_ = 1'000'000;
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace ssn::sim
