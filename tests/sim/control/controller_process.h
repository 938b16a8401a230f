// SPDX-License-Identifier: BSD-3-Clause
// A controller that can be killed at any moment, also in the middle of a transaction: the real catalogue and
// the real manager of re-sharing over a database of which only what was committed stays.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "control_plan.h"
#include "reshare_manager.h"

namespace ssn::sim {

/// As a process sees a file: when power goes, nothing more is read or written.
class MortalDatabase final : public controller::Database {
 public:
  explicit MortalDatabase(controller::Database& below) : below_(below) {}
  /// In the commit after so many others, before it is durable, or behind.
  void die_in(unsigned commits, bool applied) {
    countdown_ = commits + 1;
    applied_ = applied;
  }
  bool is_dead() const noexcept { return dead_; }
  /// The commit after so many others that change which objects there are: it is told as durable, and not
  /// there.
  void lose_in(unsigned commits) { lost_in_ = commits + 1; }
  unsigned lost_in() const noexcept { return lost_in_; }
  /// Records with this prefix are not written; rows of it are not seen as long as it is hidden.
  void drop(std::string_view prefix) { dropped_ = prefix; }
  void hide(std::string_view prefix) { hidden_ = prefix; }

  Result<std::optional<std::string>> get(std::string_view key) override;
  Result<std::vector<controller::Row>> scan(std::string_view from, std::string_view to,
                                            std::size_t limit) override;
  Outcome commit(const controller::Changes& changes) override;
  std::uint64_t commits() const override { return below_.commits(); }
  Outcome sync(std::uint64_t commits) override { return below_.sync(commits); }
  Outcome adopt() override { return below_.adopt(); }
  std::string trouble() const override { return below_.trouble(); }

 private:
  static Error power_failure();

  controller::Database& below_;
  unsigned countdown_ = 0;
  unsigned lost_in_ = 0;
  bool applied_ = false;
  bool dead_ = false;
  std::string_view dropped_, hidden_;  // of all time; empty: nothing
};

class ControllerProcess {
 public:
  /// What a node says to a question; false: it is not there.
  using Answer = std::function<bool(const controller::NodeQuestion&, controller::NodeReply&)>;
  using Say = std::function<void(const std::string&)>;

  /// `net` and `world` outlive it. Begins at once.
  ControllerProcess(test::SsaWorld& world, ControlNet& net, controller::Policy policy, ControlFault fault,
                    Answer answer, Say say);
  ~ControllerProcess();
  ControllerProcess(const ControllerProcess&) = delete;
  ControllerProcess& operator=(const ControllerProcess&) = delete;

  void start();
  void kill();
  /// In the middle of a transaction to come.
  void kill_in(unsigned commits, bool applied) { database_->die_in(commits, applied); }
  void jump(std::int64_t wall_ms) { wall_offset_ms_ += wall_ms; }
  bool alive() const noexcept { return catalogue_ != nullptr; }
  unsigned starts() const noexcept { return starts_; }
  /// As a call that arrives: false where there is nobody to answer, be it since the middle of it.
  template <typename Call>
  bool serve(Call call) {
    if (!alive()) return false;
    call(*catalogue_, now());
    if (!database_->is_dead()) return true;
    kill();
    return false;
  }
  /// The same for what goes by the manager.
  template <typename Call>
  bool manage(Call call) {
    return serve([&](controller::Catalogue&, controller::Now now) { call(*manager_, now); });
  }
  /// What its loop does, every so often.
  void step();
  /// For oracles: no call of anybody. Null: it does not run.
  controller::Catalogue* catalogue() noexcept { return catalogue_.get(); }
  controller::Now now() const;
  /// What no controller may say of itself; empty: nothing.
  const std::string& wrong() const noexcept { return wrong_; }

 private:
  class Nodes;
  void plant();

  test::SsaWorld& world_;
  ControlNet& net_;
  const controller::Policy policy_;
  const ControlFault fault_;
  const Answer answer_;
  const Say say_;
  std::unique_ptr<controller::Database> disk_;
  test::TestRandom random_;
  std::unique_ptr<MortalDatabase> database_;
  std::unique_ptr<controller::Catalogue> catalogue_;
  std::shared_ptr<Nodes> nodes_;
  std::unique_ptr<controller::ReshareManager> manager_;
  std::uint64_t started_ns_ = 0;
  std::int64_t wall_offset_ms_ = 0;
  std::uint64_t next_step_ns_ = 0;
  std::uint64_t next_tick_ns_ = 0;
  unsigned starts_ = 0;
  unsigned lose_in_ = 0;                     // commits, of whichever start
  std::map<std::uint64_t, unsigned> terms_;  // by which start
  std::string wrong_;
};

}  // namespace ssn::sim
