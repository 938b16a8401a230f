// SPDX-License-Identifier: BSD-3-Clause
// What is wrong in one process now: conditions come and go, alarms are what is left after damping. Raised
// when a condition held for as long as its type says, interruptions not counted; cleared when it did not hold
// for as long as its type says. So one that flaps is raised once, and stays.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "alarm_types.h"

namespace ssn::alarms {

/// Thread-safe. Time is that of any monotonic clock, in milliseconds; one that goes back counts as standing
/// still.
class Monitor {
 public:
  static constexpr std::size_t usual = 256;     ///< conditions at a time
  static constexpr std::size_t text_max = 256;  ///< bytes; what is longer is cut off

  explicit Monitor(std::size_t most = usual) : most_(most) {}

  /// A condition, as it is now. Say it again as often as you like, also when nothing changed.
  void set(std::string_view type, const std::string& resource, const std::string& peer, bool holds,
           const std::string& text, std::uint64_t now_ms);
  /// Something that went wrong once: raised, until it did not happen for as long as its type says.
  void happened(std::string_view type, const std::string& resource, const std::string& peer,
                const std::string& text, std::uint64_t now_ms);
  /// Raised before this process began. `holds`: until set() says otherwise; else as if it just happened.
  void restore(const ActiveAlarm& alarm, bool holds, std::uint64_t now_ms);
  /// Those that are raised, by key. Forgets what is over.
  std::vector<ActiveAlarm> active(std::uint64_t now_ms);
  /// Conditions that found no place.
  std::uint64_t lost() const;

 private:
  struct Condition {
    const AlarmType* type = nullptr;
    bool holds = false;
    bool raised = false;
    std::uint64_t since_ms = 0;  // that it holds, or does not
    std::uint64_t held_ms = 0;   // before, since it was last over
    std::string text;
  };

  void advance(Condition& condition, std::uint64_t now_ms);
  Condition* place(const AlarmKey& key, std::uint64_t now_ms);

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::map<AlarmKey, Condition> conditions_;
  std::uint64_t lost_ = 0;
  std::uint64_t latest_ms_ = 0;
};

}  // namespace ssn::alarms
