// SPDX-License-Identifier: BSD-3-Clause
// What the controller knows and decides: objects, who holds them, nodes, associations, events. Each call that
// changes something is one transaction of the database; what it did and saw is durable when it returns. What
// it promises: docs/controller.md.
//
// Callers are trusted to be who they say: service.cpp has seen their certificates. Time and randomness are
// arguments, so tests and the simulator decide about them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "database.h"
#include "domain_book.h"
#include "keys.h"
#include "monitor.h"
#include "pad_rule.h"
#include "placement.h"
#include "request.h"
#include "reshare.h"
#include "transaction.h"
#include "turns.h"
#include "types.h"
#include "watched_database.h"

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

/// A node that did not report for so many intervals is down.
inline constexpr std::uint64_t down_after_reports = 5;
inline constexpr std::uint64_t events_max = 10'000;
inline constexpr std::size_t alarms_max = 4096;       ///< that are raised
inline constexpr std::size_t alarms_kept_max = 1000;  ///< that were cleared
inline constexpr std::uint64_t alarms_kept_ms = 7ULL * 24 * 3600 * 1000;

inline constexpr std::size_t reads_max = 4096;  ///< of accounting, that wait for being written down

/// Of `shares` of its shares: one byte of pad for each byte that travels or is kept.
std::uint64_t pads_of(const Object& object, std::uint64_t shares) noexcept;

/// Thread-safe.
class Catalogue {
 public:
  using Random = std::function<void(std::uint8_t* out, std::size_t bytes)>;

  /// The database must outlive it. Leases of open writes begin anew. `first`: what version 1 of the network's
  /// configuration says, where the database has no version yet; otherwise it does not matter.
  static Result<std::unique_ptr<Catalogue>> open(Database& database, const Policy& first, Random random,
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
  Result<Explanation> explain_write(Now now, const WriteRequest& request, const std::string& owner = "");

  // Nodes.
  Result<RegisterAnswer> register_node(Now now, const std::string& node, pki::Roles roles,
                                       const Registration& registration);
  Result<ReportAnswer> report(Now now, const std::string& node, const Report& report);
  /// For its SSA and its holders; once it is committed, for every SSA: reads go on where that one is down.
  Result<Object> object_for(Now now, const std::string& node, const ObjectKey& key);
  Result<SealedAnswer> sealed(Now now, const std::string& node, const SealedReport& report);
  Result<HoldingPage> holdings(const std::string& node, std::uint64_t after, std::size_t limit);
  Result<std::vector<Verdict>> compare(Now now, const std::string& node, const std::vector<ObjectKey>& found);

  // Operators.
  Result<std::vector<Node>> nodes(Now now);
  /// A new version of the network's configuration with this service state in it.
  Result<Node> set_node(Now now, const std::string& node, ServiceState service,
                        const std::string& who = "an operator");
  /// Forgets a node. refused: it is up, holds shares, is being replaced, or has not confirmed that it erased
  /// what it had; the last is over where its store was destroyed.
  Outcome remove_node(Now now, const std::string& node, StoreDestroyed destroyed = StoreDestroyed::no);
  Result<std::vector<Association>> associations(const std::string& node);
  Result<std::vector<Event>> events(std::uint64_t after, std::size_t limit);
  /// The number of the latest event; any thread, without waiting.
  std::uint64_t last_event() const noexcept { return database_.last_event(); }
  /// In the order of their keys, behind `after`: a page's next; empty: from the first one.
  Result<AlarmPage> alarms(Now now, const AlarmFilter& filter, const std::string& after, std::size_t limit);
  Result<Status> status();

  // The network's configuration.
  /// 0: the version in force.
  Result<ConfigurationVersion> configuration(std::uint64_t version);
  /// All that are kept, the newest first, without texts.
  Result<std::vector<ConfigurationVersion>> configurations();
  /// Whether it was changed, and what would be, is in the answer. refused: another version than the base is
  /// in force, or a node that is being replaced would get shares. not_found: there is no version to go back
  /// to.
  Result<ConfigurationChange> configure(Now now, const ConfigurationRequest& request, const std::string& who);
  /// What is decided now, if that is not version `known` any more; then `known` is the new one.
  std::optional<Policy> policy_after(std::uint64_t& known);

  // Other domains.
  /// What is agreed with them.
  std::map<std::string, DomainAgreement> agreements();
  std::set<std::string> node_names();
  /// What the domain is told: what we lend to it, how that is, and nothing else. Without names of domains,
  /// version, instance and number, which are the speaker's. not_found: nothing is agreed with it.
  Result<DomainStatement> statement_for(Now now, const std::string& domain);
  /// What is wrong with each, for alarms: of those that are not told of nothing is.
  void tell_domains(Now now, const std::vector<DomainTrouble>& troubles);
  /// An event about one. False: there was one of that kind within a minute, and this one is left out.
  Result<bool> note_domain(Now now, const char* kind, const std::string& domain, const std::string& text);

  // Accounting.
  /// Those behind `after`, the oldest first. A page may be short, even empty, and yet have a next one.
  Result<AccountPage> accounts(Now now, const AccountFilter& filter, std::uint64_t after, std::size_t limit);
  /// Of owners behind `after`, by name; of `owner` alone if that is not empty.
  Result<std::vector<Usage>> usage(Now now, const std::string& owner, const std::string& after,
                                   std::size_t limit);

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
  /// `owner`: if it is of its objects; empty: whoever's.
  Result<ReshareJob> reshare(std::uint64_t id, const std::string& owner = "");
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
  /// How many jobs may begin by themselves.
  struct UpkeepRoom {
    std::size_t repairs = 0;
    std::size_t refreshes = 0;
  };
  /// Begins with what lost its shares, or where nothing waits for that, with what has old ones.
  Result<std::vector<ReshareJob>> step_upkeep(Now now, const UpkeepRoom& room);
  Result<Upkeep> upkeep(Now now);
  /// Which jobs come no further, and what is wrong with our certificate; empty: nothing. Any thread.
  void tell_stalled(Now now, const std::string& jobs);
  void tell_certificate(Now now, const std::string& trouble);
  /// Why decisions cannot be logged; empty: they can.
  void tell_audit(Now now, const std::string& trouble);

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
    KeyStock key_stock;
    KeySettings key_settings;
    std::set<std::string> slowed;  // owners whose sessions waited for their rates
    std::map<std::string, PeerReport> peers;
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

  Catalogue(Database& database, Random random) : database_(database), random_(std::move(random)) {}

  Outcome load(Now now, const Policy& first);
  Outcome load_configuration(Now now, const Policy& first);
  Outcome count_bytes();
  Result<ConfigurationChange> compare(const ConfigurationVersion& wanted, const Policy& policy,
                                      bool changed) const;
  Outcome check_services(const Policy& policy) const;
  Result<ConfigurationVersion> put_configuration(Transaction& changes, Now now, const std::string& text,
                                                 const std::string& who, const std::string& comment);
  void follow(Now now, ConfigurationVersion version, const Policy& policy);
  ServiceState service_of(const std::string& node) const;
  bool is_out(const std::string& node) const { return service_of(node) == ServiceState::out_of_service; }
  Result<ConfigurationVersion> put_service(Transaction& changes, Now now, const std::string& node,
                                           ServiceState service, const std::string& who, Policy& policy);
  Outcome note_account(Transaction& changes, Account account);
  Outcome note_account(Transaction& changes, Now now, AccountOperation operation, const Object& object,
                       std::uint64_t pad_bytes);
  void note_read(Now now, const Object& object);
  Outcome write_reads();
  Outcome forget_accounts(Now now);
  Outcome load_meta();
  Outcome load_replacements();
  Outcome load_alarms(Now now);
  Outcome count(std::string_view prefix, std::uint64_t& into);

  void note_open(const Object& object, Now now);
  void note_closed(std::uint64_t id);
  bool is_up(const NodeState& node, Now now) const;
  /// What somebody is wanted for.
  enum class Purpose : std::uint8_t { write, pads, take_over, named };
  std::string why_not(const std::string& name, const NodeState& node, Now now, Purpose purpose) const;
  const Labels& said_of(const std::string& node) const;
  bool delivers_once(const std::string& key_manager) const;
  std::string contradiction(const std::string& node, const Labels& claimed) const;
  std::string key_manager_of(const std::string& node) const;
  PeerReport path_between(const std::string& ssa, const std::string& node, Now now) const;
  PadHolder pad_holder(const std::string& ssa, const std::string& node) const;
  std::vector<Candidate> candidates(Now now, const std::string& ssa, Purpose purpose,
                                    const KeyDemand& keys) const;
  PadDecision decide_pads(const Layout& layout, const std::string& ssa,
                          const std::vector<Holder>& holders) const;
  Outcome place_object(Now now, PadShares pads, const std::string& ssa, const PlacementQuestion& question,
                       const KeyDemand& keys, Layout& layout, std::vector<NodeChoice>* choices) const;
  Result<bool> note_pads(Transaction& changes, Now now, const Object& object);
  Result<std::string> choose_ssa(Now now, const std::string& wanted, const KeyDemand& keys = {}) const;
  NodeAddress address_of(const std::string& node) const;
  void fill_in(Object& object, Now now) const;
  static Health health_of(const Report& report, Now now);
  Node describe(const std::string& name, const NodeState& state, Now now) const;
  bool may_note(const std::string& about, Now now);

  Result<ObjectRecord> own_object(Transaction& changes, const std::string& owner, const ObjectKey& key,
                                  const char* what);
  Result<ObjectRecord> named_object(Transaction& changes, const std::string& owner, const std::string& name,
                                    const char* what);
  Result<WriteTicket> new_write(Now now, const std::string& owner, const WriteRequest& request,
                                Transaction& changes);
  Result<WriteTicket> store_write(Now now, const ObjectRecord& record, Transaction& changes);
  Result<WriteTicket> ticket(const ObjectRecord& record, Now now) const;
  Outcome check_room(Transaction& changes, const std::string& owner, const WriteRequest& request,
                     bool replaces);
  Outcome check_commit(Transaction& changes, const Object& object, const Object* replaced);
  Result<std::uint64_t> new_id(Transaction& changes);
  Result<CommitAnswer> first_commit(Now now, ObjectRecord record, Transaction& changes, bool degraded);
  Outcome end_object(Transaction& changes, ObjectRecord& record, Now now, std::string reason);
  Outcome end_write(Now now, std::uint64_t id, const std::string& reason);
  /// One more or less (`by`) of what the object is: a write that is open, or an object.
  Outcome count_object(Transaction& changes, const Object& object, std::int64_t by);
  Outcome confirm_removal(Transaction& changes, const std::string& node, const ObjectKey& key, Now now,
                          std::uint64_t& confirmed);
  Outcome check_removable(Now now, const std::string& node) const;
  Result<bool> settle_removals(Now now, const std::string& node);
  Outcome forget_node(Now now, const std::string& node);
  Outcome take_associations(Transaction& changes, const std::string& node,
                            const std::vector<AssociationReport>& reports, Now now);
  Result<bool> take_association(Transaction& changes, const std::string& node,
                                const AssociationReport& report, Now now);
  Outcome take_damaged(Transaction& changes, Now now, const std::string& node,
                       const std::vector<DamagedShare>& damaged);
  Result<bool> take_damaged(Transaction& changes, Now now, const std::string& node,
                            const DamagedShare& damaged);
  Outcome note(Transaction& changes, Now now, bool alarm, const char* kind, const std::string& subject,
               const std::string& text);
  Outcome note(Transaction& changes, Event event);
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
  bool may_take_again(Now now, const ObjectRecord& record, const ReshareJob& job,
                      const std::string& wanted) const;
  Result<std::uint64_t> new_job_id(Transaction& changes, Now now);
  Outcome order_erasure(Transaction& changes, const std::string& node, const ObjectKey& key,
                        std::uint64_t& ordered);
  Result<std::optional<ReshareJob>> same_job(Transaction& changes, const ReshareRequest& request);
  Outcome switch_layout(Transaction& changes, const ReshareJob& job, ObjectRecord& record,
                        std::uint64_t& ordered);
  Outcome end_job(Transaction& changes, Now now, ReshareJob& job, ReshareStep step, const char* kind,
                  bool alarm);
  Result<std::vector<Row>> holding_rows(const std::string& node, std::uint64_t after, std::size_t most,
                                        std::uint64_t& next);
  Result<bool> is_held(Transaction& reads, const std::string& node, const ObjectKey& key,
                       const std::optional<ObjectRecord>& record) const;
  Outcome tell_of_commit(Transaction& changes, Now now, const ReshareJob& job);
  Outcome step_replacement(Now now, const std::string& from, std::size_t room,
                           std::vector<ReshareJob>& started);
  Outcome check_replacement(const std::string& from, const std::string& to) const;
  Outcome watch_nodes(Now now);
  Outcome watch_node(Now now, const std::string& name, const NodeState& state);
  Outcome end_replacement(Now now, const std::string& from, const char* kind, const std::string& text);

  std::uint64_t clock_ms(Now now) const noexcept;
  Outcome save_clock(Now now);
  Outcome load_upkeep(Now now);
  Outcome index_objects(Now now);
  Outcome put_object(Transaction& changes, Now now, const ObjectRecord& record);
  Outcome note_undone(Transaction& changes, Now now, const ReshareJob& job, ObjectRecord& record);
  bool is_due(Now now, const RepairRecord& record) const noexcept;
  Result<ReshareJob> start_repair(Now now, const Object& object);
  Outcome step_repairs(Now now, std::size_t room, std::vector<ReshareJob>& started);
  Outcome step_refreshes(Now now, std::size_t room, std::vector<ReshareJob>& started);
  Outcome watch_refreshes(Now now);

  Outcome refresh_alarms(Now now);
  Outcome note_alarm(Transaction& changes, Now now, const Alarm& alarm, AlarmChange change,
                     const std::string& text);
  Outcome raise_alarm(Transaction& changes, Now now, const alarms::AlarmKey& key, const std::string& source,
                      const std::string& text);
  Outcome clear_alarm(Transaction& changes, Now now, const alarms::AlarmKey& key, const std::string& source,
                      const std::string& why);
  Outcome mark_alarm(Transaction& changes, Now now, const alarms::AlarmKey& alarm, const ObjectKey& key,
                     const std::string& text);
  Outcome clear_unmarked(Transaction& changes, Now now);
  Outcome adopt_object_alarms(Now now);
  Outcome take_alarms(Transaction& changes, Now now, const std::string& source,
                      const std::vector<alarms::ActiveAlarm>& raised);
  Outcome take_own_alarms(Transaction& changes, Now now);
  std::vector<alarms::ActiveAlarm> admitted(Now now, const std::string& node, pki::Roles roles,
                                            const std::vector<alarms::ActiveAlarm>& reported) const;
  void watch_node_alarms(Now now, const std::string& name, const NodeState& state, bool holds_something);
  Outcome forget_node_alarms(Transaction& changes, Now now, const std::string& node);
  void watch_placement(Now now);
  Outcome watch_database(Now now);
  Outcome watch_alarms(Now now);
  Outcome forget_alarms(Transaction& changes, Now now);
  std::optional<std::uint64_t> failed_for(Now now, const std::string& node, std::string& why) const;

  WatchedDatabase database_;
  Policy policy_;                       // of configuration_
  ConfigurationVersion configuration_;  // that is in force
  std::uint64_t slow_report_ms_ = 0;    // that nodes may still go by, until then
  std::uint64_t slow_until_ms_ = 0;     // monotonic
  std::vector<Account> reads_;          // not written down yet
  std::uint64_t reads_lost_ = 0;        // that nobody could write down
  const Random random_;
  Turns mutex_{database_};  // behind database_
  Bytes16 catalogue_id_{};
  std::map<std::string, NodeState> nodes_;
  std::map<std::uint64_t, OpenWrite> open_;
  std::map<std::string, std::size_t> load_;     // open writes, by SSA
  std::map<std::string, PadRule> pads_noted_;   // what the last event about them said, by SSA
  std::map<std::string, std::uint64_t> noted_;  // about what, and when: each once a minute
  Counts counts_;
  std::uint64_t running_jobs_ = 0;
  std::uint64_t opened_ms_ = 0;                              // monotonic
  std::map<std::string, ReplacementRecord> replacing_;       // by node
  std::map<std::string, std::uint64_t> replacement_pauses_;  // by node: when to look again; monotonic
  std::set<std::string> settled_;                            // nodes: not by itself before they were up again
  alarms::Monitor monitor_{alarms_max};                      // the controller's own
  std::map<alarms::AlarmKey, Alarm> known_alarms_;           // as the records are
  std::map<alarms::AlarmKey, std::uint64_t> alarm_since_ms_;  // that are raised; monotonic, of this process
  std::array<std::uint64_t, 5> alarm_counts_{};               // that are raised, by severity
  std::optional<Alarm> database_alarm_;                       // cannot be written down now
  std::uint64_t clock_base_ms_ = 0;                           // the catalogue's clock at opened_ms_
  std::uint64_t clock_saved_ms_ = 0;                          // monotonic; 0: not yet
  std::string repairs_next_;                                  // where the pass goes on; empty: it begins
  std::uint64_t repairs_pause_ms_ = 0;
  bool repairs_troubled_ = false;  // something could not be begun with
  bool repairs_wait_ = false;      // for room
  std::string refreshes_next_;
  std::uint64_t refreshes_pause_ms_ = 0;
  bool refreshes_troubled_ = false;
  std::uint64_t placement_next_ms_ = 0;
  std::uint64_t ticked_ms_ = 0;  // monotonic
};

}  // namespace ssn::controller
