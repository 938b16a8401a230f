// SPDX-License-Identifier: BSD-3-Clause
// What operators signed, against what a controller asks for: an SSA asks before it writes a layout, a
// shareholder before it carries out an order. Control threads only: workers hear of nothing that was refused.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "live_membership.h"
#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/membership_check.h"
#include "ssn/roles/resharing.h"
#include "told_layouts.h"

namespace ssn::dataplane {

/// Thread-safe. Times are seconds since 1970.
class MembershipGuard {
 public:
  /// Everything outlives it.
  struct Setup {
    std::shared_ptr<membership::LiveMembership> live;
    const Configuration* configuration = nullptr;
    std::function<void(std::string_view)> report;        ///< a line for the log
    std::function<void(const std::string& text)> alarm;  ///< an order was refused
    std::function<std::int64_t()> now;
  };
  /// Reads what was told of layouts before, beside the ledger.
  static Result<std::unique_ptr<MembershipGuard>> make(Setup setup);

  /// Of an SSA: refused where the membership does not permit that this is written.
  Outcome check_write(std::uint64_t object, const controller::Layout& layout);
  /// Of a shareholder: taken, or the word why not. failed: what was told cannot be kept on disk.
  Result<roles::ReshareAnswer> check_order(const roles::ReshareOrder& order);
  /// A generation is gone here.
  void forget(std::uint64_t object, std::uint32_t generation);

  /// Now and then: takes up changed files.
  void tend();
  /// Why it is not as it should be; empty: it is. For an alarm.
  std::string trouble() const;
  void add_status(agent::Status& status) const;
  void add_counters(std::vector<agent::Counter>& out) const;

 private:
  struct Listed;

  MembershipGuard(Setup setup, ToldLayouts told) : setup_(std::move(setup)), told_(std::move(told)) {}
  std::shared_ptr<const Listed> listed();
  membership::Verdict judge(const Listed& listed, const roles::ReshareOrder& order) const;
  membership::Verdict judge_target(const Listed& listed, const roles::ReshareOrder& order) const;
  membership::Verdict judge_domains(const Listed& listed, const roles::ReshareGeneration& target,
                                    std::uint64_t object) const;
  membership::Verdict judge_told(const roles::ReshareOrder& order) const;
  void refused(const membership::Verdict& verdict, const std::string& what);

  const Setup setup_;
  std::mutex mutex_;  // of what follows
  ToldLayouts told_;
  std::shared_ptr<const Listed> listed_;
  std::array<std::atomic<std::uint64_t>, membership::breaches> refusals_{};
};

}  // namespace ssn::dataplane
