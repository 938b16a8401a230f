// SPDX-License-Identifier: BSD-3-Clause
#include "monitor.h"

#include "cut_text.h"

#include <algorithm>

namespace ssn::alarms {

// What time alone changes.
void Monitor::advance(Condition& condition, std::uint64_t now_ms) {
  const std::uint64_t passed = now_ms - condition.since_ms;
  if (condition.holds) {
    condition.raised = condition.raised || condition.held_ms + passed >= condition.type->raise_after_ms;
  } else if (passed >= condition.type->clear_after_ms) {
    condition.raised = false;
    condition.held_ms = 0;
  }
}

// Null: there is no such type, or no place.
Monitor::Condition* Monitor::place(const AlarmKey& key, std::uint64_t now_ms) {
  const AlarmType* const type = find_type(key.type);
  if (type == nullptr) {
    return nullptr;
  }
  const auto known = conditions_.find(key);
  if (known != conditions_.end()) {
    return &known->second;
  }
  if (conditions_.size() >= most_) {
    ++lost_;
    return nullptr;
  }
  Condition& made = conditions_[key];
  made.type = type;
  made.since_ms = now_ms;
  return &made;
}

void Monitor::set(std::string_view type, const std::string& resource, const std::string& peer, bool holds,
                  const std::string& text, std::uint64_t now_ms) {
  const AlarmKey key{std::string(type), resource, peer};
  const std::lock_guard lock(mutex_);
  latest_ms_ = now_ms = std::max(now_ms, latest_ms_);
  if (!holds && !conditions_.contains(key)) {
    return;
  }
  Condition* const condition = place(key, now_ms);
  if (condition == nullptr) {
    return;
  }
  advance(*condition, now_ms);
  if (condition->holds != holds) {
    if (condition->holds) {
      condition->held_ms += now_ms - condition->since_ms;
    }
    condition->holds = holds;
    condition->since_ms = now_ms;
    advance(*condition, now_ms);
  }
  if (holds) {
    condition->text = cut_text(text, text_max);
  }
}

void Monitor::happened(std::string_view type, const std::string& resource, const std::string& peer,
                       const std::string& text, std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  latest_ms_ = now_ms = std::max(now_ms, latest_ms_);
  Condition* const condition = place({std::string(type), resource, peer}, now_ms);
  if (condition == nullptr) {
    return;
  }
  condition->raised = true;
  condition->holds = false;
  condition->since_ms = now_ms;
  condition->text = cut_text(text, text_max);
}

void Monitor::restore(const ActiveAlarm& alarm, bool holds, std::uint64_t now_ms) {
  happened(alarm.key.type, alarm.key.resource, alarm.key.peer, alarm.text, now_ms);
  const std::lock_guard lock(mutex_);
  if (const auto known = conditions_.find(alarm.key); known != conditions_.end()) {
    known->second.holds = holds;
  }
}

std::vector<ActiveAlarm> Monitor::active(std::uint64_t now_ms) {
  const std::lock_guard lock(mutex_);
  latest_ms_ = now_ms = std::max(now_ms, latest_ms_);
  std::vector<ActiveAlarm> all;
  for (auto at = conditions_.begin(); at != conditions_.end();) {
    Condition& condition = at->second;
    advance(condition, now_ms);
    if (condition.raised) {
      all.push_back({at->first, condition.text});
    }
    const bool over = !condition.holds && !condition.raised && condition.held_ms == 0;
    at = over ? conditions_.erase(at) : std::next(at);
  }
  return all;
}

std::uint64_t Monitor::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace ssn::alarms
