// SPDX-License-Identifier: BSD-3-Clause
#include "event_log.h"

#include <chrono>
#include <utility>

namespace ssn::dataplane {

void EventLog::add(KeyEvent::Kind kind, std::string peer, std::uint64_t epoch, std::string text) {
  KeyEvent event{.kind = kind, .peer = std::move(peer), .epoch = epoch, .text = std::move(text)};
  event.time_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                 std::chrono::system_clock::now().time_since_epoch())
                                                 .count());
  if (observer_) observer_(event);
  events_.push_back(std::move(event));
  if (events_.size() > key_events_max) events_.pop_front();
}

}  // namespace ssn::dataplane
