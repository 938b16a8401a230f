// SPDX-License-Identifier: BSD-3-Clause
#include "messages.h"

#include <algorithm>

#include "controller.pb.h"

namespace ssn::controller {
namespace {

// The numbers are the same: types.h.
template <typename Enum>
Enum known(int number, Enum last) {
  return number >= 0 && number <= static_cast<int>(last) ? static_cast<Enum>(number) : static_cast<Enum>(0);
}

std::string text_of(const Bytes16& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Zeros where it has not 16 bytes.
Bytes16 bytes_of(const std::string& text) {
  Bytes16 bytes{};
  if (text.size() == bytes.size()) {
    std::copy(text.begin(), text.end(), bytes.begin());
  }
  return bytes;
}

template <typename Repeated>
std::vector<std::string> texts_of(const Repeated& from) {
  return {from.begin(), from.end()};
}

template <typename Repeated>
std::vector<ObjectKey> keys_of(const Repeated& from) {
  std::vector<ObjectKey> keys;
  for (const v1::ObjectKey& key : from) {
    keys.push_back(read(key));
  }
  return keys;
}

template <typename Message>
void write_roles(pki::Roles roles, Message& to) {
  for (std::size_t i = 0; i < pki::roles_count; ++i) {
    const auto role = static_cast<pki::Role>(i);
    if (roles.has(role)) {
      to.add_roles(std::string(pki::name(role)));
    }
  }
}

template <typename Repeated>
pki::Roles roles_of(const Repeated& from) {
  pki::Roles roles;
  for (std::size_t i = 0; i < pki::roles_count; ++i) {
    const auto role = static_cast<pki::Role>(i);
    if (std::find(from.begin(), from.end(), pki::name(role)) != from.end()) {
      roles.add(role);
    }
  }
  return roles;
}

void write(const Layout& from, v1::Layout& to) {
  to.set_scheme(static_cast<v1::Scheme>(from.scheme));
  to.set_k(from.k);
  to.set_n(from.n);
  to.set_secret_blocks(from.secret_blocks);
  for (std::size_t i = 0; i < from.holders.size(); ++i) {
    const Holder& holder = from.holders[i];
    v1::Holder& out = *to.add_holders();
    out.set_share(static_cast<std::uint32_t>(i + 1));
    out.set_node(holder.node);
    out.set_domain(holder.domain);
    out.set_agent(holder.agent);
    for (const std::string& address : holder.data_addresses) {
      out.add_data_addresses(address);
    }
    out.set_state(static_cast<v1::ShareState>(holder.state));
    out.set_trouble(holder.trouble);
    out.set_up(holder.up);
  }
  to.set_row_rule(static_cast<v1::RowRule>(from.row_rule));
  to.set_cells_per_turn(from.cells_per_turn);
  to.set_quorum(from.quorum);
  to.set_minimum(from.minimum);
  to.set_reason(from.reason);
  to.set_kept_rows(from.kept_rows);
  to.set_pad_rule(static_cast<v1::PadRule>(from.pad_rule));
  to.set_pad_reason(from.pad_reason);
}

Layout read(const v1::Layout& from) {
  Layout to;
  to.scheme = known(from.scheme(), Scheme::rs);
  to.k = from.k();
  to.n = from.n();
  to.secret_blocks = from.secret_blocks();
  for (const v1::Holder& in : from.holders()) {
    to.holders.push_back({in.node(), in.domain(), known(in.state(), ShareState::erased), in.trouble(),
                          std::nullopt, in.agent(), texts_of(in.data_addresses()), in.up()});
  }
  to.row_rule = known(from.row_rule(), RowRule::rotating);
  to.cells_per_turn = from.cells_per_turn();
  to.quorum = from.quorum();
  to.minimum = from.minimum();
  to.reason = from.reason();
  to.kept_rows = from.kept_rows();
  to.pad_rule = known(from.pad_rule(), PadRule::domain_learns);
  to.pad_reason = from.pad_reason();
  return to;
}

void write(const Labels& from, v1::Labels& to) {
  to.set_site(from[Label::site]);
  to.set_operated_by(from[Label::operated_by]);
  to.set_power(from[Label::power]);
  to.set_key_manager(from[Label::key_manager]);
}

Labels read(const v1::Labels& from) {
  return {{from.site(), from.operated_by(), from.power(), from.key_manager()}};
}

template <typename Message>
void write_paths(const std::vector<KeyPath>& from, Message& to) {
  for (const KeyPath& path : from) {
    v1::KeyPath& out = *to.add_key_paths();
    out.set_peer(path.peer);
    for (const std::string& name : path.crosses) {
      out.add_crosses(name);
    }
  }
}

template <typename Message>
std::vector<KeyPath> read_paths(const Message& from) {
  std::vector<KeyPath> paths;
  for (const v1::KeyPath& in : from.key_paths()) {
    paths.push_back({in.peer(), texts_of(in.crosses())});
  }
  return paths;
}

template <typename Message>
void write_runs(const std::vector<AttemptRun>& from, Message& to) {
  for (const AttemptRun& run : from) {
    v1::AttemptRun& out = *to.add_attempts();
    out.set_first_cell(run.first_cell);
    out.set_cells(run.cells);
    out.set_attempt(run.attempt);
  }
}

template <typename Message>
std::vector<AttemptRun> read_runs(const Message& from) {
  std::vector<AttemptRun> runs;
  for (const v1::AttemptRun& in : from.attempts()) {
    runs.push_back({in.first_cell(), in.cells(), in.attempt()});
  }
  return runs;
}

void write(const NodeAddress& from, v1::NodeAddress& to) {
  to.set_node(from.node);
  to.set_agent(from.agent);
  for (const std::string& address : from.data_addresses) {
    to.add_data_addresses(address);
  }
}

NodeAddress read(const v1::NodeAddress& from) {
  return {from.node(), from.agent(), texts_of(from.data_addresses())};
}

void write(const AssociationReport& from, v1::AssociationReport& to) {
  to.set_peer(from.peer);
  to.set_epoch(from.epoch);
  for (const StreamMark& mark : from.streams) {
    v1::StreamMark& out = *to.add_streams();
    out.set_ksid(text_of(mark.ksid));
    out.set_sends(mark.sends);
    out.set_sent(mark.sent);
    out.set_seen(mark.seen);
  }
}

AssociationReport read(const v1::AssociationReport& from) {
  AssociationReport to{from.peer(), from.epoch(), {}};
  for (const v1::StreamMark& in : from.streams()) {
    to.streams.push_back({bytes_of(in.ksid()), in.sends(), in.sent(), in.seen()});
  }
  return to;
}

}  // namespace

void write(const ObjectKey& from, v1::ObjectKey& to) {
  to.set_object(from.object);
  to.set_generation(from.generation);
}

ObjectKey read(const v1::ObjectKey& from) { return {from.object(), from.generation()}; }

void write(const Object& from, v1::Object& to) {
  to.set_id(from.id);
  to.set_owner(from.owner);
  to.set_name(from.name);
  to.set_state(static_cast<v1::ObjectState>(from.state));
  to.set_generation(from.generation);
  to.set_size(from.size);
  to.set_size_known(from.size_known);
  to.set_cell_bytes(from.cell_bytes);
  to.set_cells(from.cells);
  write(from.layout, *to.mutable_layout());
  write_runs(from.attempts, to);
  to.set_protection(static_cast<v1::ProtectionClass>(from.protection));
  to.set_minimum_protection(static_cast<v1::ProtectionClass>(from.minimum_protection));
  to.set_created_ms(from.created_ms);
  to.set_committed_ms(from.committed_ms);
  to.set_ssa(from.ssa);
  to.set_end_reason(from.end_reason);
  to.set_class_name(from.class_name);
  to.set_generation_age_ms(from.generation_age_ms);
  write(from.rules, *to.mutable_rules());
}

Object read(const v1::Object& from) {
  Object to;
  to.id = from.id();
  to.owner = from.owner();
  to.name = from.name();
  to.state = known(from.state(), ObjectState::gone);
  to.generation = from.generation();
  to.size = from.size();
  to.size_known = from.size_known();
  to.cell_bytes = from.cell_bytes();
  to.cells = from.cells();
  to.layout = read(from.layout());
  to.attempts = read_runs(from);
  to.protection = known(from.protection(), Protection::information_theoretic);
  to.minimum_protection = known(from.minimum_protection(), Protection::information_theoretic);
  to.created_ms = from.created_ms();
  to.committed_ms = from.committed_ms();
  to.ssa = from.ssa();
  to.end_reason = from.end_reason();
  to.class_name = from.class_name();
  to.generation_age_ms = from.generation_age_ms();
  to.rules = read(from.rules());
  return to;
}

void write(const WriteRequest& from, v1::BeginWriteRequest& to) {
  to.set_token(text_of(from.token));
  to.set_name(from.name);
  if (from.size) {
    to.set_size(*from.size);
  }
  to.set_scheme(static_cast<v1::Scheme>(from.scheme));
  to.set_k(from.k);
  to.set_n(from.n);
  to.set_secret_blocks(from.secret_blocks);
  to.set_cell_bytes(from.cell_bytes);
  to.set_quorum(from.quorum);
  to.set_minimum(from.minimum);
  to.set_minimum_protection(static_cast<v1::ProtectionClass>(from.minimum_protection));
  to.set_create_only(from.create_only);
  to.set_pad_shares(static_cast<v1::PadShares>(from.pad_shares));
  to.set_ssa(from.ssa);
  to.set_class_name(from.class_name);
}

WriteRequest read(const v1::BeginWriteRequest& from) {
  WriteRequest to;
  to.token = bytes_of(from.token());
  to.name = from.name();
  if (from.has_size()) {
    to.size = from.size();
  }
  // A scheme, class or wish that is not known must not become the policy's: check() refuses these.
  to.scheme = from.scheme() < 0 || from.scheme() > 255 ? static_cast<Scheme>(255)
                                                       : static_cast<Scheme>(from.scheme());
  to.k = from.k();
  to.n = from.n();
  to.secret_blocks = from.secret_blocks();
  to.cell_bytes = from.cell_bytes();
  to.quorum = from.quorum();
  to.minimum = from.minimum();
  to.minimum_protection = from.minimum_protection() < 0 || from.minimum_protection() > 255
                              ? static_cast<Protection>(255)
                              : static_cast<Protection>(from.minimum_protection());
  to.create_only = from.create_only();
  to.pad_shares = from.pad_shares() < 0 || from.pad_shares() > 255
                      ? static_cast<PadShares>(255)
                      : static_cast<PadShares>(from.pad_shares());
  to.ssa = from.ssa();
  to.class_name = from.class_name();
  return to;
}

void write(const WriteTicket& from, v1::WriteTicket& to) {
  write(from.object, *to.mutable_object());
  write(from.ssa, *to.mutable_ssa());
  to.set_lease_ms(from.lease_ms);
}

WriteTicket read(const v1::WriteTicket& from) {
  return {read(from.object()), read(from.ssa()), from.lease_ms()};
}

void write(const CommitAnswer& from, v1::CommitAnswer& to) {
  write(from.object, *to.mutable_object());
  to.set_degraded(from.degraded);
  to.set_replaced(from.replaced);
}

CommitAnswer read(const v1::CommitAnswer& from) {
  return {read(from.object()), from.degraded(), from.replaced()};
}

void write(const ObjectSummary& from, v1::ObjectSummary& to) {
  to.set_id(from.id);
  to.set_name(from.name);
  to.set_size(from.size);
  to.set_k(from.k);
  to.set_n(from.n);
  to.set_shares(from.shares);
  to.set_shares_up(from.shares_up);
  to.set_protection(static_cast<v1::ProtectionClass>(from.protection));
  to.set_committed_ms(from.committed_ms);
}

ObjectSummary read(const v1::ObjectSummary& from) {
  return {from.id(),          from.name(),
          from.size(),        from.k(),
          from.n(),           from.shares(),
          from.shares_up(),   known(from.protection(), Protection::information_theoretic),
          from.committed_ms()};
}

void write(const ReadTicket& from, v1::ReadTicket& to) {
  write(from.object, *to.mutable_object());
  write(from.ssa, *to.mutable_ssa());
}

ReadTicket read(const v1::ReadTicket& from) { return {read(from.object()), read(from.ssa())}; }

void write(const Explanation& from, v1::Explanation& to) {
  to.set_ssa(from.ssa);
  write(from.layout, *to.mutable_layout());
  for (const NodeChoice& choice : from.choices) {
    v1::NodeChoice& out = *to.add_choices();
    out.set_node(choice.node);
    out.set_rule(static_cast<v1::PlacementRule>(choice.rule));
    out.set_share(choice.share);
    out.set_subject(choice.subject);
    out.set_holds(choice.holds);
    out.set_site(choice.site);
    out.set_free_bytes(choice.free_bytes);
    if (!choice.path.peer.empty()) write(choice.path, *out.mutable_path());
    out.set_weight(choice.weight);
  }
  to.set_refused(from.refused);
  to.set_refused_rule(from.refused_rule);
}

Explanation read(const v1::Explanation& from) {
  Explanation to{from.ssa(), read(from.layout()), {}, from.refused(), from.refused_rule()};
  for (const v1::NodeChoice& in : from.choices()) {
    NodeChoice& choice = to.choices.emplace_back();
    choice.node = in.node();
    choice.rule = known(in.rule(), PlacementRule::domain_full);
    choice.share = in.share();
    choice.subject = in.subject();
    choice.holds = in.holds();
    choice.site = in.site();
    choice.free_bytes = in.free_bytes();
    if (in.has_path()) choice.path = read(in.path());
    choice.weight = in.weight();
  }
  return to;
}

void write(const Registration& from, v1::RegisterRequest& to) {
  to.set_instance(text_of(from.instance));
  write_roles(from.roles, to);
  to.set_agent(from.agent);
  for (const std::string& address : from.data_addresses) {
    to.add_data_addresses(address);
  }
  to.set_version(from.version);
  write(from.labels, *to.mutable_labels());
  write_paths(from.key_paths, to);
}

Registration read(const v1::RegisterRequest& from) {
  return {bytes_of(from.instance()),
          roles_of(from.roles()),
          from.agent(),
          texts_of(from.data_addresses()),
          from.version(),
          read(from.labels()),
          read_paths(from)};
}

void write(const RegisterAnswer& from, v1::RegisterAnswer& to) {
  to.set_catalogue(text_of(from.catalogue));
  to.set_report_ms(from.report_ms);
  to.set_lease_ms(from.lease_ms);
}

RegisterAnswer read(const v1::RegisterAnswer& from) {
  return {bytes_of(from.catalogue()), from.report_ms(), from.lease_ms()};
}

void write(const Report& from, v1::ReportRequest& to) {
  to.set_instance(text_of(from.instance));
  to.set_capacity_bytes(from.capacity_bytes);
  to.set_used_bytes(from.used_bytes);
  to.set_objects(from.objects);
  to.set_read_only(from.read_only);
  for (const ObjectKey& key : from.writes) {
    write(key, *to.add_writes());
  }
  for (const ObjectKey& key : from.removed) {
    write(key, *to.add_removed());
  }
  for (const AssociationReport& association : from.associations) {
    write(association, *to.add_associations());
  }
  for (const alarms::ActiveAlarm& alarm : from.alarms) {
    v1::ReportedAlarm& out = *to.add_alarms();
    out.set_type(alarm.key.type);
    out.set_resource(alarm.key.resource);
    out.set_peer(alarm.key.peer);
    out.set_text(alarm.text);
  }
  to.mutable_key_stock()->set_peer(from.key_stock.peer);
  to.mutable_key_stock()->set_bytes(from.key_stock.bytes);
  for (const DamagedShare& share : from.damaged) {
    v1::DamagedShare& out = *to.add_damaged();
    write(share.key, *out.mutable_key());
    out.set_damage(static_cast<v1::ShareDamage>(share.damage));
  }
  write_rates(from, to);
}

Report read(const v1::ReportRequest& from) {
  Report to;
  to.instance = bytes_of(from.instance());
  to.capacity_bytes = from.capacity_bytes();
  to.used_bytes = from.used_bytes();
  to.objects = from.objects();
  to.read_only = from.read_only();
  to.writes = keys_of(from.writes());
  to.removed = keys_of(from.removed());
  for (const v1::AssociationReport& association : from.associations()) {
    to.associations.push_back(read(association));
  }
  for (const v1::ReportedAlarm& in : from.alarms()) {
    to.alarms.push_back({{in.type(), in.resource(), in.peer()}, in.text()});
  }
  to.key_stock = {from.key_stock().peer(), from.key_stock().bytes()};
  for (const v1::DamagedShare& in : from.damaged()) {
    to.damaged.push_back({read(in.key()), known(in.damage(), ShareDamage::mended)});
  }
  read_rates(from, to);
  return to;
}

void write(const SealedReport& from, v1::SealedRequest& to) {
  write(from.key, *to.mutable_key());
  to.set_size(from.size);
  to.set_cells(from.cells);
  write_runs(from.attempts, to);
  for (const ShareSeal& seal : from.shares) {
    v1::ShareSeal& out = *to.add_shares();
    out.set_share(seal.share);
    out.set_node(seal.node);
    out.set_sealed(seal.sealed);
    out.set_trouble(seal.trouble);
  }
  to.set_protection(static_cast<v1::ProtectionClass>(from.protection));
}

SealedReport read(const v1::SealedRequest& from) {
  SealedReport to;
  to.key = read(from.key());
  to.size = from.size();
  to.cells = from.cells();
  to.attempts = read_runs(from);
  for (const v1::ShareSeal& in : from.shares()) {
    to.shares.push_back({in.share(), in.node(), in.sealed(), in.trouble()});
  }
  to.protection = known(from.protection(), Protection::information_theoretic);
  return to;
}

void write(const SealedAnswer& from, v1::SealedAnswer& to) {
  to.set_sealed(from.sealed);
  to.set_quorum(from.quorum);
  to.set_minimum(from.minimum);
  to.set_state(static_cast<v1::ObjectState>(from.state));
}

SealedAnswer read(const v1::SealedAnswer& from) {
  return {from.sealed(), from.quorum(), from.minimum(), known(from.state(), ObjectState::gone)};
}

void write(const Holding& from, v1::Holding& to) {
  write(from.key, *to.mutable_key());
  to.set_share(from.share);
  to.set_state(static_cast<v1::ObjectState>(from.state));
  to.set_cells(from.cells);
  to.set_cell_bytes(from.cell_bytes);
  to.set_sealed(from.sealed);
  to.set_lost(from.lost);
}

Holding read(const v1::Holding& from) {
  return {read(from.key()), from.share(),      known(from.state(), ObjectState::gone),
          from.cells(),     from.cell_bytes(), from.sealed(),
          from.lost()};
}

void write(const Node& from, v1::Node& to) {
  to.set_name(from.name);
  write_roles(from.roles, to);
  to.set_agent(from.agent);
  for (const std::string& address : from.data_addresses) {
    to.add_data_addresses(address);
  }
  to.set_version(from.version);
  write(from.labels, *to.mutable_labels());
  write(from.claimed, *to.mutable_claimed());
  write_paths(from.key_paths, to);
  to.set_delivered_once(from.delivered_once);
  to.set_service(static_cast<v1::ServiceState>(from.service));
  to.set_up(from.up);
  to.set_read_only(from.read_only);
  to.set_capacity_bytes(from.capacity_bytes);
  to.set_used_bytes(from.used_bytes);
  to.set_objects(from.objects);
  to.set_reported_ms(from.reported_ms);
  to.mutable_key_stock()->set_peer(from.key_stock.peer);
  to.mutable_key_stock()->set_bytes(from.key_stock.bytes);
}

Node read(const v1::Node& from) {
  Node to;
  to.name = from.name();
  to.roles = roles_of(from.roles());
  to.agent = from.agent();
  to.data_addresses = texts_of(from.data_addresses());
  to.version = from.version();
  to.labels = read(from.labels());
  to.claimed = read(from.claimed());
  to.key_paths = read_paths(from);
  to.delivered_once = from.delivered_once();
  to.service = known(from.service(), ServiceState::reserved);
  to.up = from.up();
  to.read_only = from.read_only();
  to.capacity_bytes = from.capacity_bytes();
  to.used_bytes = from.used_bytes();
  to.objects = from.objects();
  to.reported_ms = from.reported_ms();
  to.key_stock = {from.key_stock().peer(), from.key_stock().bytes()};
  return to;
}

void write(const Association& from, v1::Association& to) {
  to.set_node(from.node);
  write(from.report, *to.mutable_report());
  to.set_reported_ms(from.reported_ms);
}

Association read(const v1::Association& from) {
  return {from.node(), read(from.report()), from.reported_ms()};
}

void write(const Event& from, v1::Event& to) {
  to.set_number(from.number);
  to.set_time_ms(from.time_ms);
  to.set_alarm(from.alarm);
  to.set_kind(from.kind);
  to.set_subject(from.subject);
  to.set_text(from.text);
  to.set_change(static_cast<v1::AlarmChange>(from.change));
  to.set_severity(static_cast<v1::Severity>(from.severity));
}

Event read(const v1::Event& from) {
  return {from.number(),
          from.time_ms(),
          from.alarm(),
          from.kind(),
          from.subject(),
          from.text(),
          known(from.change(), AlarmChange::cleared),
          known(from.severity(), alarms::Severity::critical)};
}

void write(const AlarmFilter& from, v1::ListAlarmsRequest& to) {
  to.set_all(from.all);
  to.set_type(from.type);
  to.set_resource(from.resource);
  to.set_least(static_cast<v1::Severity>(from.least));
}

AlarmFilter read(const v1::ListAlarmsRequest& from) {
  return {from.all(), from.type(), from.resource(), known(from.least(), alarms::Severity::critical)};
}

void write(const AlarmPage& from, v1::AlarmList& to) {
  for (const Alarm& alarm : from.alarms) {
    v1::Alarm& out = *to.add_alarms();
    out.set_type(alarm.key.type);
    out.set_resource(alarm.key.resource);
    out.set_peer(alarm.key.peer);
    out.set_severity(static_cast<v1::Severity>(alarm.severity));
    out.set_text(alarm.text);
    out.set_raised_ms(alarm.raised_ms);
    out.set_cleared_ms(alarm.cleared_ms);
    out.set_times(alarm.times);
    for (const std::string& source : alarm.sources) {
      out.add_sources(source);
    }
    out.set_repair(alarm.repair);
  }
  to.set_next(from.next);
  to.set_last_event(from.last_event);
}

AlarmPage read(const v1::AlarmList& from) {
  AlarmPage to{{}, from.next(), from.last_event()};
  for (const v1::Alarm& in : from.alarms()) {
    to.alarms.push_back({{in.type(), in.resource(), in.peer()},
                         known(in.severity(), alarms::Severity::critical),
                         in.text(),
                         in.raised_ms(),
                         in.cleared_ms(),
                         in.times(),
                         texts_of(in.sources()),
                         in.repair()});
  }
  return to;
}

void write(const Status& from, v1::ControllerStatus& to) {
  to.set_name(from.name);
  to.set_version(from.version);
  to.set_uptime_ms(from.uptime_ms);
  to.set_objects(from.objects);
  to.set_writes(from.writes);
  to.set_removals(from.removals);
  to.set_nodes(from.nodes);
  to.set_database_trouble(from.database_trouble);
  to.set_certificate_until_ms(from.certificate_until_ms);
  to.set_list_until_ms(from.list_until_ms);
  to.set_certificate_trouble(from.certificate_trouble);
  to.set_revoked(from.revoked);
  to.set_warning_alarms(from.alarms[1]);
  to.set_minor_alarms(from.alarms[2]);
  to.set_major_alarms(from.alarms[3]);
  to.set_critical_alarms(from.alarms[4]);
  to.set_jobs(from.jobs);
  to.set_replacements(from.replacements);
}

Status read(const v1::ControllerStatus& from) {
  return {from.name(),
          from.version(),
          from.uptime_ms(),
          from.objects(),
          from.writes(),
          from.removals(),
          from.nodes(),
          from.database_trouble(),
          from.certificate_until_ms(),
          from.list_until_ms(),
          from.certificate_trouble(),
          from.revoked(),
          {0, from.warning_alarms(), from.minor_alarms(), from.major_alarms(), from.critical_alarms()},
          from.jobs(),
          from.replacements()};
}

}  // namespace ssn::controller
