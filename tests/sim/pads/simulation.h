// SPDX-License-Identifier: BSD-3-Clause
// Two nodes, alice and bob, for one seed: virtual time, disks that crash, a network that loses, doubles and
// delays, an operator who mends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "oracle.h"
#include "process.h"

namespace ssn::sim {

class Simulation {
 public:
  Simulation(std::uint64_t seed, Statistics& statistics);
  /// Runs to the end; what went wrong.
  const std::vector<std::string>& run();

 private:
  struct Node {
    std::string name, peer;
    CrashDisk disk;
    std::shared_ptr<Process> process;
    std::vector<Bytes> old_images;
  };
  struct Event {
    std::uint64_t time;
    std::uint64_t order;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  void at(std::uint64_t delay, std::function<void()> action);
  void run_until(std::uint64_t time);
  void start(Node& node);
  void crash(Node& node);
  void pump(const std::shared_ptr<Process>& process);
  void tick(const std::shared_ptr<Process>& process);
  void traffic(Process& process);
  void deliver_control(const std::shared_ptr<Process>& from, const Bytes& message);
  void transmit(Process& from, const Bytes& packet);
  void arrive(const std::string& name, std::uint64_t sender, const Bytes& packet);
  void check_established(Process& process);
  void fault();
  void operator_mends();
  Node* node_of(const Process& process);
  std::shared_ptr<Process> reach(const std::string& name, bool any);

  Statistics& statistics_;
  TestRandom random_;
  Oracle oracle_;
  std::vector<std::unique_ptr<Node>> nodes_;  // alice, bob, and perhaps a clone of alice
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t now_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t processes_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> channels_;  // control: keeps the order
  std::map<std::uint64_t, std::weak_ptr<Process>> correspondents_;             // who spoke last to a process
  // Of alice, since bob's operator last readmitted her: instances that bob associated with.
  std::map<std::uint64_t, protocol::InstanceId> met_;
  bool forked_ = false;  // an old ledger or a clone is about
  bool calm_ = false;    // no more faults
};

}  // namespace ssn::sim
