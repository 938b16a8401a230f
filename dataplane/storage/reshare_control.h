// SPDX-License-Identifier: BSD-3-Clause
// The control side of re-sharing at a shareholder: what the agent passes on goes to the worker of the job,
// and the end of jobs into the log.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errands.h"
#include "membership_guard.h"
#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/reshare_host.h"
#include "storage_member.h"
#include "term_file.h"

namespace ssn::dataplane {

class ReshareControl final : public agent::ReshareHost {
 public:
  /// Everything outlives the object.
  struct Setup {
    const Configuration* configuration = nullptr;
    std::vector<const StorageMember*> members;  ///< by worker; their threads are there before any call
    Errands* errands = nullptr;
    MembershipGuard* guard = nullptr;  ///< null: no membership is pinned
    /// Orders the removal of a generation, unless the term is old when the worker comes to it; what came of
    /// it goes to removed(). False: not now, or the term was old.
    std::function<bool(std::uint64_t object, std::uint32_t generation, const OrderTerm& term)> remove;
    std::function<void(std::string_view)> report;
    std::chrono::milliseconds patience{5000};  ///< with a worker, and with the store behind it
  };
  /// Reads the term.
  static Result<std::unique_ptr<ReshareControl>> make(Setup setup);

  Result<agent::OrderReply> order_reshare(std::uint64_t term, const roles::ReshareOrder& order) override;
  Result<agent::CancelReply> cancel_reshare(std::uint64_t term, std::uint64_t job) override;
  Result<std::vector<agent::ReshareReport>> reshares() override;
  Result<agent::TermState> erase(std::uint64_t term, std::uint64_t object, std::uint32_t generation) override;

  /// A generation is gone, or not, with the reason.
  void removed(std::uint64_t object, std::uint32_t generation, const std::string& trouble);
  /// Nobody waits any more.
  void refuse();
  /// One thread, now and then: logs jobs that ended.
  void tend();
  /// Any thread.
  void add_status(agent::Status& status);

 private:
  using Generation = std::pair<std::uint64_t, std::uint32_t>;
  struct Waiting {
    unsigned callers = 0;
    std::uint64_t answers = 0;
    std::string trouble;  // of the last one
  };

  ReshareControl(Setup setup, TermFile term)
      : setup_(std::move(setup)), term_(std::move(term)), highest_(term_.highest()) {}
  Result<agent::TermState> see(std::uint64_t term);
  OrderTerm order_term(std::uint64_t term) const noexcept { return {&highest_, term}; }
  agent::TermState old_term() const noexcept { return {true, highest_.load(std::memory_order_acquire)}; }
  const StorageMember& member_of(std::uint64_t job) const {
    return *setup_.members[job % setup_.members.size()];
  }
  Result<std::vector<agent::ReshareReport>> list(const StorageMember& member,
                                                 std::chrono::milliseconds patience);
  std::string name_of(std::uint64_t node) const;
  void report_ended(const agent::ReshareReport& report);

  const Setup setup_;
  std::mutex term_mutex_;
  TermFile term_;
  std::atomic<std::uint64_t> highest_;  // the file's, for workers

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool refusing_ = false;
  std::map<Generation, Waiting> waiting_;

  // tend()'s
  std::vector<std::uint64_t> ended_;  // by worker: that were logged
  std::map<std::uint64_t, std::pair<std::uint16_t, roles::ReshareState>> logged_;  // by job
};

}  // namespace ssn::dataplane
