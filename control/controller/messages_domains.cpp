// SPDX-License-Identifier: BSD-3-Clause
#include "messages_domains.h"

#include <algorithm>

#include "exchange.pb.h"

namespace ssn::controller {
namespace {

template <typename Enum>
Enum known(int number, Enum last) {
  return number < 0 || number > static_cast<int>(last) ? Enum{} : static_cast<Enum>(number);
}

std::string text_of(const Bytes16& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Zeros where it has not 16 bytes.
Bytes16 bytes_of(const std::string& text) {
  Bytes16 bytes{};
  if (text.size() == bytes.size()) std::copy(text.begin(), text.end(), bytes.begin());
  return bytes;
}

void write(const LentNode& from, v1::LentNode& to) {
  to.set_name(from.name);
  v1::Labels& labels = *to.mutable_labels();
  labels.set_site(from.labels[Label::site]);
  labels.set_operated_by(from.labels[Label::operated_by]);
  labels.set_power(from.labels[Label::power]);
  labels.set_key_manager(from.labels[Label::key_manager]);
  to.set_service(static_cast<v1::ServiceState>(from.service));
  to.set_up(from.up);
  to.set_read_only(from.read_only);
  to.set_free_bytes(from.free_bytes);
  to.set_agent(from.agent);
  for (const std::string& address : from.data_addresses) to.add_data_addresses(address);
}

LentNode read(const v1::LentNode& from) {
  return {from.name(),
          {{from.labels().site(), from.labels().operated_by(), from.labels().power(),
            from.labels().key_manager()}},
          known(from.service(), ServiceState::reserved),
          from.up(),
          from.read_only(),
          from.free_bytes(),
          from.agent(),
          {from.data_addresses().begin(), from.data_addresses().end()}};
}

void write(const DomainView& from, v1::Domain& to) {
  to.set_name(from.name);
  to.set_controller(from.agreement.controller);
  to.set_identity(from.agreement.identity);
  to.set_condition(static_cast<v1::DomainCondition>(from.condition));
  to.set_trouble(from.trouble);
  to.set_heard(from.heard);
  to.set_silent_ms(from.silent_ms);
  to.set_uses(from.agreement.uses);
  to.set_lends_bytes(from.agreement.lends_bytes);
  for (const std::string& node : from.lent) to.add_lends(node);
  if (from.heard) controller::write(from.theirs, *to.mutable_theirs());
  to.set_refused(from.refused);
}

DomainView read(const v1::Domain& from) {
  DomainView to;
  to.name = from.name();
  to.agreement.controller = from.controller();
  to.agreement.identity = from.identity();
  to.agreement.uses = from.uses();
  to.agreement.lends_bytes = from.lends_bytes();
  to.condition = known(from.condition(), DomainCondition::unreachable);
  to.trouble = from.trouble();
  to.heard = from.heard();
  to.silent_ms = from.silent_ms();
  to.refused = from.refused();
  to.lent = {from.lends().begin(), from.lends().end()};
  to.theirs = controller::read(from.theirs());
  return to;
}

}  // namespace

void write(const DomainStatement& from, v1::DomainStatement& to) {
  to.set_version(from.version);
  to.set_from(from.from);
  to.set_to(from.to);
  to.set_program(from.program);
  to.set_instance(text_of(from.instance));
  to.set_number(from.number);
  to.set_catalogue(text_of(from.catalogue));
  to.set_uses(from.uses);
  to.set_lends_bytes(from.lends_bytes);
  for (const LentNode& node : from.nodes) write(node, *to.add_nodes());
  for (const LentAlarm& alarm : from.alarms) {
    v1::LentAlarm& out = *to.add_alarms();
    out.set_type(alarm.type);
    out.set_node(alarm.node);
    out.set_severity(static_cast<v1::Severity>(alarm.severity));
    out.set_raised_ms(alarm.raised_ms);
  }
}

DomainStatement read(const v1::DomainStatement& from) {
  DomainStatement to;
  to.version = from.version();
  to.from = from.from();
  to.to = from.to();
  to.program = from.program();
  to.instance = bytes_of(from.instance());
  to.number = from.number();
  to.catalogue = bytes_of(from.catalogue());
  to.uses = from.uses();
  to.lends_bytes = from.lends_bytes();
  for (const v1::LentNode& node : from.nodes()) to.nodes.push_back(read(node));
  for (const v1::LentAlarm& alarm : from.alarms()) {
    to.alarms.push_back(
        {alarm.type(), alarm.node(), known(alarm.severity(), alarms::Severity::critical), alarm.raised_ms()});
  }
  return to;
}

void write(const DomainPage& from, v1::DomainList& to) {
  to.set_own(from.own);
  for (const DomainView& domain : from.domains) write(domain, *to.add_domains());
}

DomainPage read(const v1::DomainList& from) {
  DomainPage to{from.own(), {}};
  for (const v1::Domain& domain : from.domains()) to.domains.push_back(read(domain));
  return to;
}

}  // namespace ssn::controller
