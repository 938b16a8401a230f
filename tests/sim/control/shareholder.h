// SPDX-License-Identifier: BSD-3-Clause
// What a shareholder says to the controller and does for it: registers, reports, erases what it is ordered
// to, looks at what lies in its store and compares. As ssn::dataplane::ControllerLink does with a thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controller_process.h"
#include "holder_peers.h"

namespace ssn::sim {

class Shareholder {
 public:
  /// All of it outlives the object. `at`: which of the world's holders.
  Shareholder(test::SsaWorld& world, ControlNet& net, ControllerProcess& controller, HolderPeers& peers,
              std::size_t at, ControlFault fault);

  static std::string name_of(std::size_t at) { return std::string("h").append(std::to_string(at + 1)); }
  const std::string& name() const noexcept { return name_; }
  /// Its process began, or ended: the world's holder is there already, and not yet gone.
  void started();
  void stopped() { life_.reset(); }
  /// What its agent says to the controller's questions about re-sharing; false: it is not there.
  bool answer(const controller::NodeQuestion& question, controller::NodeReply& reply);
  /// Whatever is due.
  void step();
  /// What lies in its store, looked through as a scrubber does, first.
  std::vector<store::ShareSummary> look();
  std::uint64_t erased() const noexcept { return erased_count_; }

 private:
  // Of one start: what was asked before has no effect on the next one.
  struct Life {
    controller::Bytes16 instance{};
    bool registered = false;
    bool busy = false;  // with a call
    bool compares = false;
    std::map<std::uint64_t, controller::ObjectKey> ordered;  // removals that go on, by token
    std::set<controller::ObjectKey> erased;                  // to be confirmed
    std::vector<controller::DamagedShare> damaged;
    std::uint64_t next_ns = 0;
    std::uint64_t compare_ns = 0;
  };
  template <typename T, typename Ask, typename Take>
  void call(Ask ask, Take take);
  void register_node();
  void report();
  void compare();
  void check_holdings();
  void order_removal(Life& life, const controller::ObjectKey& key);
  void take_outcomes();
  roles::ReshareAnswer carry_out(const controller::ReshareOrder& order);

  test::SsaWorld& world_;
  ControlNet& net_;
  ControllerProcess& controller_;
  HolderPeers& peers_;
  const std::size_t at_;
  const ControlFault fault_;
  const std::string name_;
  test::TestRandom random_;
  std::shared_ptr<Life> life_;
  std::map<std::uint64_t, std::uint32_t> claimed_;  // rounds that it did nothing for, by job
  std::uint64_t term_ = 0;                          // the highest that it saw: on its disk
  std::uint64_t tokens_ = 0;
  std::uint64_t erased_count_ = 0;
};

}  // namespace ssn::sim
