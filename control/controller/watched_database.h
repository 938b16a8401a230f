// SPDX-License-Identifier: BSD-3-Clause
// A database as the catalogue sees it: notes whether it can be written, and when alarms and events changed.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <utility>

#include "database.h"
#include "keys.h"

namespace ssn::controller {

class WatchedDatabase final : public Database {
 public:
  explicit WatchedDatabase(Database& below) : below_(below) {}

  Result<std::optional<std::string>> get(std::string_view key) override { return below_.get(key); }
  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override {
    return below_.scan(from, to, limit);
  }
  Outcome commit(const Changes& changes) override {
    Outcome outcome = below_.commit(changes);
    const auto alarm = changes.lower_bound(std::string(keys::all_alarms));
    // Also after an error: it may be there all the same.
    if (alarm != changes.end() && alarm->first.starts_with(keys::all_alarms)) alarms_changed_ = true;
    {
      const std::lock_guard lock(mutex_);
      failure_ = outcome.ok() ? std::string() : outcome.error().what + ": " + outcome.error().why;
    }
    if (outcome.ok()) note_event(changes);
    return outcome;
  }
  std::uint64_t commits() const override { return below_.commits(); }
  Outcome sync(std::uint64_t commits) override { return below_.sync(commits); }
  Outcome adopt() override { return below_.adopt(); }
  std::string trouble() const override { return below_.trouble(); }

  /// Why the latest change was not made; empty: it was.
  std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  /// Since it was asked last.
  bool alarms_changed() { return alarms_changed_.exchange(false); }
  void set_alarms_changed() { alarms_changed_ = true; }
  /// Number of the latest event of this process; any thread.
  std::uint64_t last_event() const noexcept { return last_event_.load(std::memory_order_acquire); }
  void set_last_event(std::uint64_t number) noexcept { last_event_.store(number, std::memory_order_release); }

 private:
  void note_event(const Changes& changes) {
    const std::string prefix(keys::all_events);
    auto end = changes.lower_bound(keys::end_of(prefix));
    if (end == changes.begin()) return;
    --end;  // the last of them; events that are erased are older
    if (end->first.starts_with(prefix) && end->second) {
      last_event_.store(keys::number_at(end->first, prefix.size()), std::memory_order_release);
    }
  }

  Database& below_;
  std::atomic<bool> alarms_changed_{true};
  std::atomic<std::uint64_t> last_event_{0};
  mutable std::mutex mutex_;
  std::string failure_;
};

}  // namespace ssn::controller
