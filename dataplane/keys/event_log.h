// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "ssn/dataplane/key_report.h"

namespace ssn::dataplane {

/// The newest events. One thread.
class EventLog {
 public:
  explicit EventLog(std::function<void(const KeyEvent&)> observer) : observer_(std::move(observer)) {}

  void add(KeyEvent::Kind kind, std::string peer, std::uint64_t epoch, std::string text);
  const std::deque<KeyEvent>& events() const noexcept { return events_; }

 private:
  std::function<void(const KeyEvent&)> observer_;
  std::deque<KeyEvent> events_;
};

}  // namespace ssn::dataplane
