// SPDX-License-Identifier: BSD-3-Clause
// All jobs of re-sharing: a machine for each, as many at a time as the policy says, between the catalogue,
// which makes durable, and the nodes, which do it. Restarted after a crash it goes on where the database
// says.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "catalogue.h"
#include "reshare_machine.h"

namespace ssn::controller {

enum class NodeCall : std::uint8_t { order, cancel, list };

struct NodeQuestion {
  NodeCall call = NodeCall::list;
  std::string node;
  std::string agent;  ///< where it listens
  std::uint64_t term = 0;
  std::uint64_t job = 0;
  ReshareOrder order;  ///< of an order
};

struct NodeReply {
  NodeCall call = NodeCall::list;
  std::string node;
  std::uint64_t job = 0;
  std::uint32_t round = 0;
  bool reached = false;
  std::uint64_t term = 0;                         ///< the highest that it saw; list: 0
  ReshareAnswer answer = ReshareAnswer::unknown;  ///< order
  std::vector<ReshareStatus> jobs;                ///< list: all of them
};

/// Asks nodes. Does not wait for them: each question gets its reply later, one way or the other.
class ReshareNodes {
 public:
  ReshareNodes() = default;
  ReshareNodes(const ReshareNodes&) = delete;
  ReshareNodes& operator=(const ReshareNodes&) = delete;
  virtual ~ReshareNodes() = default;
  virtual void ask(NodeQuestion question) = 0;
  virtual std::vector<NodeReply> replies() = 0;
};

/// Thread-safe.
class ReshareManager {
 public:
  /// Catalogue and nodes outlive it. Begins a term.
  static Result<std::unique_ptr<ReshareManager>> open(Catalogue& catalogue, ReshareNodes& nodes, Now now);

  /// Everything that can be done now. Call it some times a second, more often while it is busy. An error is
  /// that of the database: the next call tries again.
  Outcome step(Now now);

  Result<ReshareJob> start(Now now, const ReshareRequest& request);
  /// Has the job undone, unless it is committed.
  Result<ReshareJob> cancel(Now now, std::uint64_t job, const std::string& who);
  /// Whether there are jobs.
  bool is_busy();
  /// Cells that are through, of a job that runs.
  std::uint64_t through(const ReshareJob& job);

 private:
  struct Poll {
    bool in_flight = false;
    std::uint64_t next_ms = 0;
    std::uint64_t wait_ms = 0;  // from the next one to the one after
  };

  struct Stand {  // how far a job is
    ReshareStep step = ReshareStep::unknown;
    std::uint32_t check = 0;
    std::uint64_t through = 0;
    auto operator<=>(const Stand&) const = default;
  };
  struct Stood {
    Stand stand;
    std::uint64_t since_ms = 0;
  };

  ReshareManager(Catalogue& catalogue, ReshareNodes& nodes) : catalogue_(catalogue), nodes_(nodes) {}
  void follow_policy();

  void add(ReshareJob job, Now now);
  void take(Now now, const NodeReply& reply);
  Outcome drive(Now now, ReshareMachine& machine);
  Outcome grant(Now now, ReshareMachine& machine, ReshareWish wish);
  void ask(Now now, ReshareMachine& machine);
  void poll(Now now);
  Outcome begin_by_itself(Now now);
  void watch_progress(Now now);

  Catalogue& catalogue_;
  ReshareNodes& nodes_;
  Policy policy_;  // of version configuration_ of the network's configuration
  std::uint64_t configuration_ = 0;
  std::mutex mutex_;
  std::uint64_t term_ = 0;
  std::uint64_t ready_ms_ = 0;  // not before: nodes have to report first
  std::uint64_t look_ms_ = 0;   // for what begins by itself
  bool more_ = false;           // the last look at that began a job
  std::map<std::uint64_t, std::unique_ptr<ReshareMachine>> machines_;
  std::map<std::uint64_t, Stood> stood_;  // by job
  std::map<std::string, Poll> polls_;
  std::set<std::string> up_;
  std::map<std::string, std::string> agents_;
};

}  // namespace ssn::controller
