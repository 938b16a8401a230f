// SPDX-License-Identifier: BSD-3-Clause
// What the controller speaks of: objects, layouts, nodes. Plain structures, as in
// control/api/controller.proto, which explains each field; for the controller and its clients.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alarm_types.h"
#include "certificate.h"
#include "ssn/hw/result.h"

namespace ssn::controller {

/// Enumerators have the numbers of the protocol and of the records: never change one.
enum class Scheme : std::uint8_t { policy, shamir, shamir_classic, ramp, rs };
enum class RowRule : std::uint8_t { fixed, rotating };
enum class ShareState : std::uint8_t { expected, sealed, failed, erased };
/// What became of a share that was sealed.
enum class ShareDamage : std::uint8_t {
  unknown,
  missing,     ///< nothing of it is there
  incomplete,  ///< cells are missing, or it is not sealed: an old disk
  damaged,     ///< records of it failed their checks
  mended,      ///< none any more: it is there and whole after all
};
enum class ObjectState : std::uint8_t { unknown, writing, sealed, committed, deleting, gone };
/// Larger is better.
enum class Protection : std::uint8_t { unknown, none, computational, information_theoretic };
enum class Verdict : std::uint8_t { unknown, keep, remove };
/// Whether holders may keep pad as their shares. automatic: where the rule allows it.
enum class PadShares : std::uint8_t { policy, yes, no, automatic };
/// What decided whether they do: pad_rule.h.
enum class PadRule : std::uint8_t {
  undecided,
  allowed,
  not_wanted,
  scheme,           ///< its shares cannot be pads
  unknown_path,     ///< nobody said what a holder's pads cross
  delivered_again,  ///< nobody said that its key manager delivers each key once
  domain_learns,    ///< a key manager or relay would learn too many shares
};
/// Which rule chose or refused a node.
enum class PlacementRule : std::uint8_t {
  not_needed,  ///< others came first
  chosen,
  excluded,     ///< down, out, read-only, ...
  full,         ///< no room for its share
  domain_full,  ///< a domain of it has as many shares as reveal nothing, or needs the room for others
};
/// What an operator has a node for (Y.3808, 10.2): docs/controller.md, "Service states of nodes".
enum class ServiceState : std::uint8_t {
  in_service,
  out_of_service,  ///< gets nothing new; what it holds stays, and is read
  standby,         ///< takes over from nodes that fail or are replaced, and gets nothing else
  reserved,        ///< gets what an operator or owner sends to it by its name
};
/// What an operator vouches for when a node is forgotten: `yes`, nothing of its store can be read any more.
enum class StoreDestroyed : bool { no, yes };
/// Kinds of domains that a node lies in.
enum class Label : std::uint8_t { site, operated_by, power, key_manager };
inline constexpr std::size_t labels_count = 4;

std::string_view name(Scheme scheme) noexcept;      ///< "shamir", "shamir-classic", ...
std::string_view name(ObjectState state) noexcept;  ///< "writing", ...
std::string_view name(ShareState state) noexcept;   ///< "expected", ...
/// For people: the trouble of a holder whose share is damaged so.
std::string_view trouble_of(ShareDamage damage) noexcept;
std::string_view name(Protection protection) noexcept;  ///< "information-theoretic", ...
std::string_view name(PadShares pads) noexcept;         ///< "auto", ...
std::string_view name(PadRule rule) noexcept;           ///< "domain-learns", ...
std::string_view name(PlacementRule rule) noexcept;     ///< "domain-full", ...
std::string_view name(ServiceState service) noexcept;   ///< "out-of-service", ...
std::string_view name(Label label) noexcept;            ///< "key manager", ...

inline constexpr std::size_t name_max = 1024;
inline constexpr std::size_t text_max = 512;
inline constexpr std::uint32_t shares_max = 255;
inline constexpr std::uint32_t cell_bytes_max = 16320;
inline constexpr std::uint64_t cells_max = std::uint64_t{1} << 40;
inline constexpr std::size_t attempt_runs_max = 4096;
inline constexpr std::size_t page_max = 1000;
inline constexpr std::size_t report_keys_max = 4096;
inline constexpr std::size_t addresses_max = 16;
inline constexpr std::size_t address_max = 256;
inline constexpr std::size_t associations_max = 512;     ///< in one report
inline constexpr std::size_t streams_max = 512;          ///< in one association
inline constexpr std::size_t reported_alarms_max = 256;  ///< of one node
inline constexpr std::size_t label_max = 64;
inline constexpr std::size_t key_paths_max = 512;                       ///< of one node
inline constexpr std::size_t configuration_max = std::size_t{1} << 18;  ///< bytes of the network's
inline constexpr std::size_t configurations_max = 100;                  ///< versions that are kept
inline constexpr std::size_t crosses_max = 32;  ///< key managers and relays of one path
inline constexpr std::size_t rates_max = 1024;  ///< owners and classes in one report

using Bytes16 = std::array<std::uint8_t, 16>;

struct ObjectKey {
  std::uint64_t object = 0;
  std::uint64_t generation = 0;
  auto operator<=>(const ObjectKey&) const = default;
};

/// The domains of a node, one of each kind; empty: unknown.
struct Labels {
  std::array<std::string, labels_count> values;

  std::string& operator[](Label label) noexcept { return values[static_cast<std::size_t>(label)]; }
  const std::string& operator[](Label label) const noexcept {
    return values[static_cast<std::size_t>(label)];
  }
  bool operator==(const Labels&) const = default;
};

/// Key managers and relays that the pads with a peer cross, apart from the node's own key manager.
struct KeyPath {
  std::string peer;
  std::vector<std::string> crosses;
  bool operator==(const KeyPath&) const = default;
};

struct Holder {
  std::string node;
  std::string domain;  ///< its site at the time of the write
  ShareState state = ShareState::expected;
  std::string trouble;
  std::optional<ShareDamage> damage;  ///< that it told of its share, since it sealed it; not in answers
  // Filled in for answers, from what the node said last.
  std::string agent;
  std::vector<std::string> data_addresses;
  bool up = false;
};

struct Layout {
  Scheme scheme = Scheme::shamir;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  std::uint32_t secret_blocks = 1;
  std::vector<Holder> holders;  ///< n of them: the holder of share i is holders[i - 1]
  RowRule row_rule = RowRule::fixed;
  std::uint32_t cells_per_turn = 0;
  std::uint32_t quorum = 0;
  std::uint32_t minimum = 0;
  std::string reason;
  std::uint32_t kept_rows = 0;  ///< holders of the rows 1 to this keep pads
  PadRule pad_rule = PadRule::undecided;
  std::string pad_reason;
};

/// Shares that reveal nothing together: DESIGN 5. Of a code without secrecy: none does.
std::uint32_t secrecy_threshold(const Layout& layout) noexcept;
std::uint32_t count_of(const Layout& layout, ShareState state) noexcept;
/// Its holder sealed its share, and told since that it is not good any more.
bool is_lost(const Holder& holder) noexcept;
/// Nothing of it is left there.
bool is_missing(const Holder& holder) noexcept;

struct AttemptRun {
  std::uint64_t first_cell = 0;
  std::uint64_t cells = 0;
  std::uint32_t attempt = 0;
  bool operator==(const AttemptRun&) const = default;
};

/// Of data, through one SSA; 0: no limit.
struct RateLimit {
  std::uint64_t write_bytes_per_second = 0;
  std::uint64_t read_bytes_per_second = 0;
  std::uint64_t burst_bytes = 0;  ///< 0: what 100 ms are worth
  bool operator==(const RateLimit&) const = default;
};

/// Where a node takes random blocks from, and what it does without pads: its own configuration.
enum class RandomSource : std::uint8_t { unknown, stream, generator };
enum class KeyShortage : std::uint8_t { unknown, refuse, wait, aes_256_gcm };
struct KeySettings {
  RandomSource random = RandomSource::unknown;
  KeyShortage shortage = KeyShortage::unknown;
};
/// What objects of a class ask for.
enum class RandomDemand : std::uint8_t { any, stream };
enum class ShortageDemand : std::uint8_t { any, pads, refuse, wait };
struct KeyDemand {
  RandomDemand random = RandomDemand::any;
  ShortageDemand shortage = ShortageDemand::any;
  bool operator==(const KeyDemand&) const = default;
};
std::string_view name(RandomDemand demand) noexcept;    ///< "any", "stream"
std::string_view name(ShortageDemand demand) noexcept;  ///< "any", "pads", "refuse", "wait"
/// What a node lacks that splits, or only holds shares; empty: nothing. "not known to ...".
std::string lacks(const KeySettings& settings, const KeyDemand& demand, bool splits);

/// What sessions of an object keep to.
struct SessionRules {
  RateLimit owner_rate;
  RateLimit class_rate;
  KeyDemand keys;
  bool operator==(const SessionRules&) const = default;
};

struct Object {
  std::uint64_t id = 0;
  std::string owner;
  std::string name;
  ObjectState state = ObjectState::unknown;
  std::uint64_t generation = 0;
  std::uint64_t size = 0;
  bool size_known = false;
  std::uint32_t cell_bytes = 0;
  std::uint64_t cells = 0;
  Layout layout;
  std::vector<AttemptRun> attempts;
  Protection protection = Protection::unknown;
  Protection minimum_protection = Protection::unknown;
  std::uint64_t created_ms = 0;
  std::uint64_t committed_ms = 0;
  std::string ssa;
  std::string end_reason;
  std::string class_name;           ///< of the network's configuration; empty: none
  std::uint64_t generation_ms = 0;  ///< when its shares were made, by the catalogue's clock; not in answers
  std::uint64_t generation_age_ms = 0;  ///< filled in for answers
  SessionRules rules;                   ///< filled in for answers; rates for its SSA only

  ObjectKey key() const noexcept { return {id, generation}; }
};

/// Its share of an object; null: it has none.
const Holder* holder_of(const Object& object, const std::string& node) noexcept;
/// Being written: neither committed nor over.
bool is_open(const Object& object) noexcept;
/// Removed, replaced or given up: what is left of it goes.
bool is_over(const Object& object) noexcept;

struct WriteRequest {
  Bytes16 token{};
  std::string name;
  std::optional<std::uint64_t> size;
  Scheme scheme = Scheme::policy;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  std::uint32_t secret_blocks = 0;
  std::uint32_t cell_bytes = 0;
  std::uint32_t quorum = 0;
  std::uint32_t minimum = 0;
  Protection minimum_protection = Protection::unknown;
  bool create_only = false;
  PadShares pad_shares = PadShares::policy;
  std::string ssa;
  std::string class_name;  ///< empty: the owner's
};

struct NodeAddress {
  std::string node;
  std::string agent;
  std::vector<std::string> data_addresses;
};

struct WriteTicket {
  Object object;
  NodeAddress ssa;
  std::uint32_t lease_ms = 0;
};

struct CommitAnswer {
  Object object;
  bool degraded = false;
  std::uint64_t replaced = 0;
};

struct ObjectSummary {
  std::uint64_t id = 0;
  std::string name;
  std::uint64_t size = 0;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  std::uint32_t shares = 0;
  std::uint32_t shares_up = 0;
  Protection protection = Protection::unknown;
  std::uint64_t committed_ms = 0;
};

struct ObjectPage {
  std::vector<ObjectSummary> objects;
  std::string next;
};

struct ReadTicket {
  Object object;
  NodeAddress ssa;
};

/// How a node reaches a peer.
struct PeerReport {
  std::string peer;
  bool connected = false;                  ///< it can send to it
  std::uint64_t pad_bytes = 0;             ///< to send under: here, and with the key manager
  std::uint64_t pad_bytes_per_second = 0;  ///< that its keys bring, as of late
  std::uint64_t round_trip_us = 0;         ///< smoothed; 0: not measured
  bool operator==(const PeerReport&) const = default;
};
inline constexpr std::size_t peers_max = 1024;  ///< in one report

/// What placement says of a shareholder.
struct NodeChoice {
  std::string node;
  PlacementRule rule = PlacementRule::not_needed;
  std::uint32_t share = 0;  ///< that it would get
  std::string subject;      ///< what excludes it, or the domain: "site east"
  std::uint32_t holds = 0;  ///< the share of the object that it has; 0: none
  std::string site;
  std::uint64_t free_bytes = 0;
  PeerReport path;           ///< of the SSA to it; no peer: nothing is known
  std::uint32_t weight = 0;  ///< of its free room, in thousandths: what keys and distance leave of it
};

struct Explanation {
  std::string ssa;
  Layout layout;
  std::vector<NodeChoice> choices;
  std::string refused;       ///< why; empty: it would not be
  std::string refused_rule;  ///< of pad shares
};

struct Registration {
  Bytes16 instance{};
  pki::Roles roles;
  std::string agent;
  std::vector<std::string> data_addresses;
  std::string version;
  Labels labels;  ///< what it says of itself
  std::vector<KeyPath> key_paths;
};

struct RegisterAnswer {
  Bytes16 catalogue{};
  std::uint32_t report_ms = 0;
  std::uint32_t lease_ms = 0;
};

struct StreamMark {
  Bytes16 ksid{};
  bool sends = false;
  std::uint64_t sent = 0;
  std::uint64_t seen = 0;
  bool operator==(const StreamMark&) const = default;
};

struct AssociationReport {
  std::string peer;
  std::uint64_t epoch = 0;
  std::vector<StreamMark> streams;
  bool operator==(const AssociationReport&) const = default;
};

/// Of pads towards the peer for which fewest are ready.
struct KeyStock {
  std::string peer;  ///< empty: no peer has keys
  std::uint64_t bytes = 0;
};

/// At its holder.
struct DamagedShare {
  ObjectKey key;
  ShareDamage damage = ShareDamage::unknown;
  bool operator==(const DamagedShare&) const = default;
};

/// An owner or a class that has sessions at an SSA.
struct RateUse {
  bool of_class = false;
  std::string name;
  bool slowed = false;  ///< something of it waited for its rate since the last report
  bool operator==(const RateUse&) const = default;
};

struct Report {
  Bytes16 instance{};
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t objects = 0;
  std::string read_only;
  std::vector<ObjectKey> writes;
  std::vector<ObjectKey> removed;
  std::vector<AssociationReport> associations;
  std::vector<alarms::ActiveAlarm> alarms;  ///< all that this node raises now
  KeyStock key_stock;
  std::vector<DamagedShare> damaged;
  std::vector<RateUse> rates;
  KeySettings key_settings;
  std::vector<PeerReport> peers;  ///< of an SSA: all that its configuration names
};

struct ReportAnswer {
  std::uint32_t report_ms = 0;
  std::vector<ObjectKey> remove;
  std::vector<ObjectKey> ended;
  std::vector<RateLimit> rates;  ///< of those of the report, in its order
};

struct ShareSeal {
  std::uint32_t share = 0;
  std::string node;
  bool sealed = false;
  std::string trouble;
};

struct SealedReport {
  ObjectKey key;
  std::uint64_t size = 0;
  std::uint64_t cells = 0;
  std::vector<AttemptRun> attempts;
  std::vector<ShareSeal> shares;
  Protection protection = Protection::unknown;
};

struct SealedAnswer {
  std::uint32_t sealed = 0;
  std::uint32_t quorum = 0;
  std::uint32_t minimum = 0;
  ObjectState state = ObjectState::unknown;
};

struct Holding {
  ObjectKey key;
  std::uint32_t share = 0;
  ObjectState state = ObjectState::unknown;
  std::uint64_t cells = 0;
  std::uint32_t cell_bytes = 0;
  bool sealed = false;  ///< it should lie there, complete
  bool lost = false;    ///< the node told that it is not; it tells if it is there after all
};

struct HoldingPage {
  std::vector<Holding> holdings;
  std::uint64_t next = 0;
};

struct Node {
  std::string name;
  pki::Roles roles;
  std::string agent;
  std::vector<std::string> data_addresses;
  std::string version;
  Labels labels;   ///< what the operator says
  Labels claimed;  ///< what it says itself
  std::vector<KeyPath> key_paths;
  bool delivered_once = false;  ///< its keys, says the operator
  ServiceState service = ServiceState::in_service;
  // From its reports.
  bool up = false;
  std::string read_only;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t objects = 0;
  std::uint64_t reported_ms = 0;
  KeyStock key_stock;
};

struct Association {
  std::string node;
  AssociationReport report;
  std::uint64_t reported_ms = 0;
};

/// What an event says of an alarm.
enum class AlarmChange : std::uint8_t { none, raised, cleared };

struct Event {
  std::uint64_t number = 0;
  std::uint64_t time_ms = 0;
  bool alarm = false;  ///< one was raised
  std::string kind;    ///< of an alarm: its type
  std::string subject;
  std::string text;
  AlarmChange change = AlarmChange::none;
  alarms::Severity severity = alarms::Severity::none;  ///< of the alarm
};

/// As the controller keeps it.
struct Alarm {
  alarms::AlarmKey key;
  alarms::Severity severity = alarms::Severity::none;
  std::string text;  ///< what was seen when it was raised
  std::uint64_t raised_ms = 0;
  std::uint64_t cleared_ms = 0;      ///< 0: it is raised
  std::uint64_t times = 0;           ///< raised, as far as it is remembered
  std::vector<std::string> sources;  ///< nodes that raise it now; "": the controller
  std::string repair;                ///< what to do; not in records
};

struct AlarmFilter {
  bool all = false;  ///< also those that were cleared
  std::string type;  ///< empty: any
  std::string resource;
  alarms::Severity least = alarms::Severity::none;
};

struct AlarmPage {
  std::vector<Alarm> alarms;
  std::string next;              ///< empty: that was all
  std::uint64_t last_event = 0;  ///< number of the latest event that the page knows of
};

/// A version of the network's configuration.
struct ConfigurationVersion {
  std::uint64_t number = 0;
  std::uint64_t time_ms = 0;
  std::string who;
  std::string comment;
  std::string digest;  ///< SHA-256 of the text, in hexadecimal digits
  std::string text;    ///< empty in a history
};

/// A setting of it, as in "policy.k" or "node sae-h1 site", that two versions have differently.
struct ConfigurationDifference {
  std::string setting;
  std::string before;  ///< as in the document; empty: it was not there
  std::string after;
  bool operator==(const ConfigurationDifference&) const = default;
};

struct ConfigurationRequest {
  std::string text;
  std::string name;               ///< of the file, for messages
  std::uint64_t rollback_to = 0;  ///< the text of this version, instead of one
  std::uint64_t base = 0;         ///< the version that must be in force; 0: what the text says, or any
  std::string comment;
  bool dry_run = false;
};

struct ConfigurationChange {
  ConfigurationVersion version;  ///< that is in force now; without its text
  bool changed = false;          ///< it is new; of a dry run: one would be
  std::vector<Error> problems;   ///< of the text; then nothing changes
  std::vector<ConfigurationDifference> differences;
  std::vector<std::string> weaker;  ///< what would be protected less
};

enum class AccountOperation : std::uint8_t { unknown, put, get, remove, reshare, abandoned };
std::string_view name(AccountOperation operation) noexcept;  ///< "put", ...

/// One operation, for charging: docs/network-configuration.md, "Accounting".
struct Account {
  std::uint64_t number = 0;
  std::uint64_t time_ms = 0;
  std::string owner;
  std::uint64_t object = 0;
  std::string name;
  AccountOperation operation = AccountOperation::unknown;
  std::uint64_t bytes = 0;      ///< of data
  std::uint64_t pad_bytes = 0;  ///< of the shares that travelled, at most
  std::string class_name;
  Protection protection = Protection::unknown;
};

struct AccountFilter {
  std::string owner;  ///< empty: all
  std::uint64_t since_ms = 0;
};

struct AccountPage {
  std::vector<Account> accounts;
  std::uint64_t next = 0;  ///< 0: that was all
};

/// What an owner has, and may have.
struct Usage {
  std::string owner;
  std::uint64_t objects = 0;
  std::uint64_t writes = 0;
  std::uint64_t bytes = 0;          ///< of data in objects
  std::uint64_t writing_bytes = 0;  ///< of data that open writes announced
  std::uint64_t objects_max = 0;
  std::uint64_t writes_max = 0;
  std::uint64_t bytes_max = 0;  ///< 0: no limit
  RateLimit rate;
  std::vector<std::string> slowed_at;  ///< SSAs where it waits for that now
};

struct Status {
  std::string name;
  std::string version;
  std::uint64_t uptime_ms = 0;
  std::uint64_t objects = 0;
  std::uint64_t writes = 0;
  std::uint64_t removals = 0;
  std::uint64_t nodes = 0;
  std::string database_trouble;
  std::uint64_t certificate_until_ms = 0;
  std::uint64_t list_until_ms = 0;  ///< of revoked certificates; 0: there is none
  std::string certificate_trouble;
  std::uint64_t revoked = 0;
  std::array<std::uint64_t, 5> alarms{};  ///< raised, by severity
  std::uint64_t jobs = 0;                 ///< of re-sharing that run or wait
  std::uint64_t replacements = 0;
};

}  // namespace ssn::controller
