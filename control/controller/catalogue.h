// SPDX-License-Identifier: BSD-3-Clause
// What the controller knows and decides: objects, who holds them, nodes, associations, events. Each call that
// changes something is one transaction of the database, durable when the call returns. What it promises:
// docs/controller.md.
//
// Callers are trusted to be who they say: service.cpp has seen their certificates. Time and randomness are
// arguments, so tests and the simulator decide about them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "database.h"
#include "keys.h"
#include "pad_rule.h"
#include "placement.h"
#include "request.h"
#include "reshare.h"
#include "transaction.h"
#include "types.h"

namespace ssn::controller {

struct Now {
  std::uint64_t wall_ms = 0;       ///< since 1970: for people, and for how long things are remembered
  std::uint64_t monotonic_ms = 0;  ///< of this process: leases and heartbeats

  /// How long ago `moment` was. A call reads the clock before it gets its turn, so what another one noted
  /// meanwhile may be younger than this.
  std::uint64_t since_ms(std::uint64_t moment_ms) const noexcept {
    return monotonic_ms > moment_ms ? monotonic_ms - moment_ms : 0;
  }
};

inline constexpr std::uint64_t events_max = 10'000;

/// Thread-safe.
class Catalogue {
 public:
  using Random = std::function<void(std::uint8_t* out, std::size_t bytes)>;

  /// The database must outlive it. Leases of open writes begin anew.
  static Result<std::unique_ptr<Catalogue>> open(Database& database, const Policy& policy, Random random,
                                                 Now now);

  // Owners.
  Result<WriteTicket> begin_write(Now now, const std::string& owner, const WriteRequest& request);
  Result<CommitAnswer> commit(Now now, const std::string& owner, const ObjectKey& key, bool degraded);
  Outcome abort(Now now, const std::string& owner, const ObjectKey& key);
  Result<ObjectPage> list(Now now, const std::string& owner, const std::string& prefix,
                          const std::string& after, std::size_t limit);
  Result<Object> stat(Now now, const std::string& owner, const std::string& name);
  /// `id`: only if it is this object; 0: whichever it is.
  Result<std::uint64_t> remove(Now now, const std::string& owner, const std::string& name, std::uint64_t id);
  Result<ReadTicket> open_read(Now now, const std::string& owner, const std::string& name);

  /// Why it lies where it does, and what placement would say of each shareholder now.
  Result<Explanation> explain(Now now, const std::string& owner, const std::string& name);
  /// The same of a write that nobody makes; its token and name do not matter.
  Result<Explanation> explain_write(Now now, const WriteRequest& request);

  // Nodes.
  Result<RegisterAnswer> register_node(Now now, const std::string& node, pki::Roles roles,
                                       const Registration& registration);
  Result<ReportAnswer> report(Now now, const std::string& node, const Report& report);
  /// For its SSA and its holders.
  Result<Object> object_for(Now now, const std::string& node, const ObjectKey& key);
  Result<SealedAnswer> sealed(Now now, const std::string& node, const SealedReport& report);
  Result<HoldingPage> holdings(const std::string& node, std::uint64_t after, std::size_t limit);
  Result<std::vector<Verdict>> compare(Now now, const std::string& node, const std::vector<ObjectKey>& found);

  // Operators.
  Result<std::vector<Node>> nodes(Now now);
  Result<Node> set_node(Now now, const std::string& node, bool out);
  Result<std::vector<Association>> associations(const std::string& node);
  Result<std::vector<Event>> events(std::uint64_t after, std::size_t limit);
  Result<Status> status();

  // Re-sharing: reshare_manager.h drives it. Each of these is one transaction.
  /// What start_reshare() would begin; changes nothing.
  Result<ReshareJob> plan_reshare(Now now, const ReshareRequest& request);
  Result<ReshareJob> start_reshare(Now now, const ReshareRequest& request);
  /// refused: the object is not any more what the job is about; then it is to be undone.
  Outcome save_reshare(const ReshareJob& job);
  /// The object's layout is the target's from now on, and old shares are ordered to be erased. The job as it
  /// goes on: to be undone, where the object is another one by now or would be protected too weakly.
  Result<ReshareJob> commit_reshare(Now now, const ReshareJob& job);
  /// Ends it if all have confirmed that they erased. `give_up`: or those that have not are down; they have it
  /// still, and are told when they come back.
  Result<ReshareJob> clean_reshare(Now now, const ReshareJob& job, bool give_up);
  /// What was made of the target is ordered to be erased; the job is over.
  Result<ReshareJob> abandon_reshare(Now now, const ReshareJob& job);
  Result<std::vector<ReshareJob>> running_reshares();
  /// All that are remembered, by id. `owner`: only of its objects; empty: all. `running`: only those that
  /// are.
  Result<ReshareJobPage> reshares(std::uint64_t after, std::size_t limit, const std::string& owner = "",
                                  bool running = false);
  Result<ReshareJob> reshare(std::uint64_t id);
  std::vector<NodeAddress> nodes_up(Now now);
  /// One more than any before: of the controller that begins to order now.
  Result<std::uint64_t> begin_term();

  /// Shares of `from` go to `to`, or whoever is best: repairs, begun one after the other by
  /// step_replacements().
  Result<Replacement> replace_node(Now now, const std::string& from, const std::string& to,
                                   const std::string& reason);
  /// What that would begin with; a page of objects behind `after`. Changes nothing.
  Result<ReplacementPlan> plan_replacement(Now now, const std::string& from, const std::string& to,
                                           std::uint64_t after, std::size_t limit);
  Outcome cancel_replacement(Now now, const std::string& from);
  Result<std::vector<Replacement>> replacements();
  /// Begins with up to `room` jobs.
  Result<std::vector<ReshareJob>> step_replacements(Now now, std::size_t room);

  /// Ends writes whose lease is over and forgets what is gone long enough. Call it every second or so.
  Outcome tick(Now now);

 private:
  struct Health {  // of a node, from its reports
    bool reported = false;
    std::uint64_t monotonic_ms = 0;
    std::uint64_t wall_ms = 0;
    std::uint64_t capacity_bytes = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t objects = 0;
    std::string read_only;
  };
  struct NodeState {
    NodeRecord record;
    Health health;
  };
  struct OpenWrite {
    std::uint64_t lease_end_ms = 0;  // monotonic
    std::uint64_t generation = 0;
    std::string ssa;
  };
  struct Counts {
    std::uint64_t objects = 0;
    std::uint64_t removals = 0;
  };

  Catalogue(Database& database, const Policy& policy, Random random)
      : database_(database), policy_(policy), random_(std::move(random)) {}

  Outcome load(Now now);
  Outcome load_meta();
  Outcome load_replacements();
  Outcome count(std::string_view prefix, std::uint64_t& into);

  bool is_up(const NodeState& node, Now now) const;
  std::string why_not(const NodeState& node, Now now) const;
  const Labels& said_of(const std::string& node) const;
  bool delivers_once(const std::string& key_manager) const;
  std::string contradiction(const std::string& node, const Labels& claimed) const;
  std::string key_manager_of(const std::string& node) const;
  PadHolder pad_holder(const std::string& ssa, const std::string& node) const;
  std::vector<Candidate> candidates(Now now, const std::string& ssa, bool for_pads) const;
  PadDecision decide_pads(const Layout& layout, const std::string& ssa,
                          const std::vector<Holder>& holders) const;
  Outcome place_object(Now now, PadShares pads, const std::string& ssa, const PlacementQuestion& question,
                       Layout& layout, std::vector<NodeChoice>* choices) const;
  Result<bool> note_pads(Transaction& changes, Now now, const Object& object);
  Result<std::string> choose_ssa(Now now, const std::string& wanted) const;
  NodeAddress address_of(const std::string& node) const;
  void fill_in(Object& object, Now now) const;
  Node describe(const std::string& name, const NodeState& state, Now now) const;
  bool may_alarm(const std::string& about, Now now);

  Result<ObjectRecord> own_object(Transaction& changes, const std::string& owner, const ObjectKey& key,
                                  const char* what);
  Result<ObjectRecord> named_object(Transaction& changes, const std::string& owner, const std::string& name,
                                    const char* what);
  Result<WriteTicket> new_write(Now now, const std::string& owner, const WriteRequest& request,
                                Transaction& changes);
  Result<WriteTicket> store_write(Now now, const ObjectRecord& record, Transaction& changes);
  Result<WriteTicket> ticket(const ObjectRecord& record, Now now) const;
  Outcome check_room(Transaction& changes, const std::string& owner);
  Result<std::uint64_t> new_id(Transaction& changes);
  Result<CommitAnswer> first_commit(Now now, ObjectRecord record, Transaction& changes, bool degraded);
  Outcome end_object(Transaction& changes, ObjectRecord& record, Now now, std::string reason);
  Outcome end_write(Now now, std::uint64_t id, const std::string& reason);
  Outcome change_owner(Transaction& changes, const std::string& owner, std::int64_t objects,
                       std::int64_t writes);
  Outcome confirm_removal(Transaction& changes, const std::string& node, const ObjectKey& key, Now now,
                          std::uint64_t& confirmed);
  Outcome take_associations(Transaction& changes, const std::string& node,
                            const std::vector<AssociationReport>& reports, Now now);
  Result<bool> take_association(Transaction& changes, const std::string& node,
                                const AssociationReport& report, Now now);
  Outcome note(Transaction& changes, Now now, bool alarm, const char* kind, const std::string& subject,
               const std::string& text);
  Outcome forget_gone(Now now);
  Outcome forget_jobs(Now now);

  Result<ReshareJob> plan_job(Transaction& changes, Now now, const ReshareRequest& request);
  Result<ReshareJob> start_job(Transaction& changes, Now now, const ReshareRequest& request);
  Outcome plan_replacement_share(Now now, const ObjectRecord& record, const ReshareRequest& request,
                                 ReshareJob& job) const;
  Outcome plan_generation(Now now, const ObjectRecord& record, const ReshareRequest& request,
                          ReshareJob& job) const;
  Result<Holder> choose_taker(Now now, const ObjectRecord& record, const ReshareJob& job,
                              const std::string& wanted) const;
  Result<std::uint64_t> new_job_id(Transaction& changes, Now now);
  Outcome order_erasure(Transaction& changes, const std::string& node, const ObjectKey& key,
                        std::uint64_t& ordered);
  Result<std::optional<ReshareJob>> same_job(Transaction& changes, const ReshareRequest& request);
  Outcome switch_layout(Transaction& changes, const ReshareJob& job, ObjectRecord& record,
                        std::uint64_t& ordered);
  Outcome end_job(Transaction& changes, Now now, ReshareJob& job, ReshareStep step, const char* kind,
                  bool alarm);
  Outcome step_replacement(Now now, const std::string& from, std::size_t room,
                           std::vector<ReshareJob>& started);
  Outcome check_replacement(const std::string& from, const std::string& to) const;
  Outcome watch_nodes(Now now);
  Outcome end_replacement(Now now, const std::string& from, const char* kind, const std::string& text);

  Database& database_;
  const Policy policy_;
  const Random random_;
  std::mutex mutex_;
  Bytes16 catalogue_id_{};
  std::map<std::string, NodeState> nodes_;
  std::map<std::uint64_t, OpenWrite> open_;
  std::map<std::string, PadRule> pads_noted_;    // what the last event about them said, by SSA
  std::map<std::string, std::uint64_t> alarms_;  // about what, and when: each once a minute
  Counts counts_;
  std::uint64_t running_jobs_ = 0;
  std::uint64_t opened_ms_ = 0;                              // monotonic
  std::map<std::string, ReplacementRecord> replacing_;       // by node
  std::map<std::string, std::uint64_t> replacement_pauses_;  // by node: when to look again; monotonic
};

}  // namespace ssn::controller
