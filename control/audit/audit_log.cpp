// SPDX-License-Identifier: BSD-3-Clause
#include "audit_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "ssn/hw/config.h"

namespace ssn::audit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds each{1};  // synced, counts written, and what failed tried again
constexpr std::uint64_t file_bytes_min = std::uint64_t{64} << 10;
constexpr std::uint64_t file_bytes_max = std::uint64_t{4} << 30;
constexpr std::int64_t files_least = 2;
constexpr std::int64_t files_most = 256;
constexpr std::string_view on_failure[] = {"continue", "refuse"};

template <typename Time>
std::uint64_t ms(Time time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace

AuditSettings read_settings(const hw::ConfigTable& table) {
  AuditSettings settings;
  if (!table.present()) return settings;
  settings.file.path = table.path("file");
  settings.file.bytes_max =
      table.bytes("file_size", {file_bytes_min, file_bytes_max}, settings.file.bytes_max);
  settings.file.files = static_cast<unsigned>(
      table.integer("files", {files_least, files_most}, static_cast<std::int64_t>(settings.file.files)));
  settings.refuse = table.choice("on_failure", on_failure, "continue") == "refuse";
  return settings;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(AuditSettings settings, std::vector<std::string> routine) {
  Result<AuditFile> file = AuditFile::open(settings.file);
  if (!file.ok()) return file.error();
  return std::unique_ptr<AuditLog>(
      new AuditLog(std::move(settings), std::move(routine), std::move(file.value())));
}

AuditLog::AuditLog(AuditSettings settings, std::vector<std::string> routine, AuditFile file)
    : settings_(std::move(settings)),
      routine_(std::move(routine)),
      file_(std::move(file)),
      next_(file_.last() + 1) {
  thread_ = std::thread([this] { run(); });
}

AuditLog::~AuditLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// With the lock. Its number is given last: numbers of a file ascend without gaps, but for what was lost.
void AuditLog::enter(Decision decision) {
  if (waiting_.size() >= waiting_max) {
    counts_.lost += decision.times;
    lost_untold_ += decision.times;
    return;
  }
  decision.number = next_++;
  waiting_.push_back(std::move(decision));
}

// With the lock.
void AuditLog::enter_counts(bool all) {
  for (Decision& decision : repeats_.due(ms(Clock::now()), all)) enter(std::move(decision));
  if (lost_untold_ == 0 || waiting_.size() >= waiting_max) return;
  Decision lost;
  lost.time_ms = ms(std::chrono::system_clock::now());
  lost.result.assign("failed");
  lost.reason.assign("decisions were not written: the log could not take them");
  lost.times = std::exchange(lost_untold_, 0);
  enter(std::move(lost));
}

void AuditLog::note(Decision decision) {
  decision.time_ms = ms(std::chrono::system_clock::now());
  const bool routine = std::find(routine_.begin(), routine_.end(), decision.method) != routine_.end();
  {
    const std::lock_guard lock(mutex_);
    if (!repeats_.take(decision, routine, ms(Clock::now()))) {
      ++counts_.counted;
      return;
    }
    enter(std::move(decision));
  }
  wake_.notify_one();
}

Outcome AuditLog::may_go_on() const {
  if (!settings_.refuse) return done;
  const std::string why = trouble();
  if (why.empty()) return done;
  return Error{Exit::temporary, "cannot answer", "decisions cannot be logged: " + why, settings_.file.path,
               "make room for the audit log, or set [audit] on_failure = \"continue\""};
}

std::string AuditLog::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

AuditLog::Counts AuditLog::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

Result<DecisionPage> AuditLog::read(const DecisionFilter& filter, std::uint64_t after,
                                    std::size_t limit) const {
  return read_decisions(settings_.file.path, filter, after, limit);
}

void AuditLog::flush() {
  std::unique_lock lock(mutex_);
  flush_ = true;
  wake_.notify_one();
  // The round that runs may have begun before.
  const std::uint64_t until = rounds_ + 2;
  written_.wait(lock, [&] { return rounds_ >= until || !trouble_.empty(); });
}

void AuditLog::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  trouble_ = error.why;
  ++counts_.failures;
}

// All that waits, without the lock while the disk is asked. False: it could not be written.
bool AuditLog::write_waiting(std::unique_lock<std::mutex>& lock) {
  while (!waiting_.empty()) {
    const Decision decision = waiting_.front();
    lock.unlock();
    const Outcome written = file_.append(line_of(decision), decision.number);
    if (!written.ok()) fail(written.error());
    lock.lock();
    if (!written.ok()) return false;
    waiting_.pop_front();
    ++counts_.written;
  }
  return true;
}

void AuditLog::run() {
  std::unique_lock lock(mutex_);
  Clock::time_point next = Clock::now() + each;
  std::uint64_t synced = 0;
  for (bool last = false; !last;) {
    wake_.wait_until(lock, next,
                     [this] { return stopping_ || flush_ || (!waiting_.empty() && trouble_.empty()); });
    last = stopping_;
    const bool due = last || flush_ || Clock::now() >= next;
    flush_ = false;
    if (due) enter_counts(last);
    bool good = write_waiting(lock);
    if (due && good && counts_.written != synced) {
      synced = counts_.written;
      lock.unlock();
      const Outcome outcome = file_.sync();
      if (!outcome.ok()) fail(outcome.error());
      good = outcome.ok();
      lock.lock();
    }
    if (due) next = Clock::now() + each;
    if (good && due) trouble_.clear();
    ++rounds_;
    written_.notify_all();
  }
}

}  // namespace ssn::audit
