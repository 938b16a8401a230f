// SPDX-License-Identifier: BSD-3-Clause
// The log of access decisions of one process: docs/audit.md. Who notes one does not wait for a disk: a thread
// of the log writes what is noted, and syncs it once a second. No gRPC.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "audit_file.h"
#include "repeats.h"

namespace ssn::hw {
class ConfigTable;
}

namespace ssn::audit {

struct AuditSettings {
  AuditFileRules file;  ///< path empty: there is no log
  /// While decisions cannot be written nothing is decided that this log is asked about: may_go_on().
  bool refuse = false;
  bool operator==(const AuditSettings& other) const {
    return file.path == other.file.path && file.bytes_max == other.file.bytes_max &&
           file.files == other.file.files && refuse == other.refuse;
  }
};

/// [audit] of a configuration; without the table there is no log.
AuditSettings read_settings(const hw::ConfigTable& table);

/// Thread-safe.
class AuditLog {
 public:
  static constexpr std::size_t waiting_max = 4096;  ///< records that are noted and not yet written

  /// `routine`: methods that go on all the time; of those that are allowed one says enough, others are
  /// counted.
  static Result<std::unique_ptr<AuditLog>> open(AuditSettings settings, std::vector<std::string> routine);
  /// Writes what waits, unless that fails.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  /// Gives it its number and time. Where too many wait it is counted, and a record says so later.
  void note(Decision decision);
  /// temporary: what was decided before cannot be written, and the settings say that nothing else may be.
  Outcome may_go_on() const;
  /// Why records cannot be written; empty: they can.
  std::string trouble() const;
  /// Waits until what was noted before is written, or cannot be.
  void flush();

  /// With what is counted and not yet written left out.
  Result<DecisionPage> read(const DecisionFilter& filter, std::uint64_t after, std::size_t limit) const;

  struct Counts {
    std::uint64_t written = 0;   ///< records
    std::uint64_t counted = 0;   ///< decisions that had no record of their own
    std::uint64_t lost = 0;      ///< decisions that found no room; the log says how many
    std::uint64_t failures = 0;  ///< writes and syncs that failed
  };
  Counts counts() const;

 private:
  AuditLog(AuditSettings settings, std::vector<std::string> routine, AuditFile file);
  void run();
  void enter(Decision decision);
  void enter_counts(bool all);
  bool write_waiting(std::unique_lock<std::mutex>& lock);
  void fail(const Error& error);

  const AuditSettings settings_;
  const std::vector<std::string> routine_;
  AuditFile file_;  // of the thread

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::condition_variable written_;
  std::deque<Decision> waiting_;
  Repeats repeats_;
  std::uint64_t next_ = 1;
  std::string trouble_;
  Counts counts_;
  std::uint64_t lost_untold_ = 0;
  std::uint64_t rounds_ = 0;
  bool flush_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ssn::audit
