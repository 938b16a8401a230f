// SPDX-License-Identifier: BSD-3-Clause
// All nodes of one seed, their disks, their network and their time, in one thread. First the world is bad;
// then it is healed, and everybody must find each other and lose nothing any more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "network.h"
#include "process.h"

namespace ssn::sim {

struct Options {
  std::uint64_t steps = 0;  ///< stop after so many; 0: at the end
  /// Called with one line for every event, if set.
  std::function<void(const std::string&)> trace;
};

struct Report {
  std::uint64_t seed = 0;
  std::uint64_t steps = 0;
  std::uint64_t virtual_ns = 0;
  std::uint64_t cells = 0;      ///< sealed
  std::uint64_t frames = 0;     ///< came out
  std::uint64_t digest = 0;     ///< of everything that happened
  std::uint64_t healed_ns = 0;  ///< from healing to the last frame that had to come
  Marks marks;
  std::vector<std::string> violations;
  std::uint64_t violation_step = 0;  ///< after which it was noticed
};

class World {
 public:
  World(const Plan& plan, Options options);
  Report run();

 private:
  struct Node {
    CrashDisk disk;
    std::shared_ptr<Process> process;
  };
  enum class Phase : std::uint8_t { bad, healing, warming, settling, complete, over };

  void note(const char* what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0);
  bool step();
  void check();

  void start(std::size_t node);
  void crash(std::size_t node);
  void pump(const std::shared_ptr<Process>& process);
  void tick(const std::shared_ptr<Process>& process);
  void traffic(Process& process);
  void write_ledger(const std::shared_ptr<Process>& process);
  void send_control(const std::shared_ptr<Process>& from, Process::Peer& peer, const Bytes& message);
  void arrive(std::size_t node, const Bytes& packet);
  bool alive(const Process& process) const { return nodes_[process.node]->process.get() == &process; }

  void misfortune();
  void cut_off(std::size_t stream);
  void starve(std::size_t stream);
  Connection* connection(std::size_t node, std::size_t other);

  void heal();
  bool all_together();
  bool all_idle();
  void warm_up();
  void warm_on();
  void begin_complete();
  bool all_sent();
  bool all_came();
  void explain_missing();
  void advance_phase();

  Plan plan_;
  Options options_;
  TestRandom random_;
  Report report_;
  Recorder recorder_;
  Scheduler scheduler_;
  Network network_;
  std::vector<std::unique_ptr<FrameBook>> books_;
  WorldParts parts_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> channels_;  // control: keeps the order
  std::map<std::pair<std::size_t, std::size_t>, KeySupply> supply_;            // of one node, from a peer
  std::uint64_t processes_ = 0;
  Phase phase_ = Phase::bad;
  std::uint64_t phase_since_ = 0;
  std::uint64_t idle_since_ = 0;
  unsigned warm_round_ = 0;
  std::vector<std::uint64_t> cold_;  // for each book: frames that had gone in when warming began
  bool feeding_ = true;
};

}  // namespace ssn::sim
