// SPDX-License-Identifier: BSD-3-Clause
#include "messages_audit.h"

#include "audit.pb.h"
#include "call_error.h"

namespace ssn::controller {
namespace {

using audit::Decision;

// What a file holds may be anything; a message takes UTF-8 only.
std::string text(const std::string& from) { return pki::clean_text(from, audit::text_max); }

void write(const Decision& from, v1::Decision& to) {
  to.set_number(from.number);
  to.set_time_ms(from.time_ms);
  to.set_request(text(from.request));
  to.set_method(text(from.method));
  to.set_caller(text(from.caller));
  for (const std::string& role : from.roles) to.add_roles(text(role));
  to.set_fingerprint(text(from.fingerprint));
  to.set_address(text(from.address));
  for (const auto& [name, value] : from.about) {
    v1::DecisionField& field = *to.add_about();
    field.set_name(text(name));
    field.set_value(text(value));
  }
  to.set_allowed(from.allowed);
  to.set_result(text(from.result));
  to.set_reason(text(from.reason));
  to.set_times(from.times);
}

Decision read(const v1::Decision& from) {
  Decision to;
  to.number = from.number();
  to.time_ms = from.time_ms();
  to.request = from.request();
  to.method = from.method();
  to.caller = from.caller();
  to.roles.assign(from.roles().begin(), from.roles().end());
  to.fingerprint = from.fingerprint();
  to.address = from.address();
  for (const v1::DecisionField& field : from.about()) to.about.emplace_back(field.name(), field.value());
  to.allowed = from.allowed();
  to.result = from.result();
  to.reason = from.reason();
  to.times = from.times();
  return to;
}

}  // namespace

void write(const audit::DecisionFilter& from, v1::ListDecisionsRequest& to) {
  to.set_caller(from.caller);
  to.set_method(from.method);
  to.set_refused(from.refused);
  to.set_since_ms(from.since_ms);
  to.set_about(from.about);
}

audit::DecisionFilter read(const v1::ListDecisionsRequest& from) {
  return {from.caller(), from.method(), from.refused(), from.since_ms(), from.about()};
}

void write(const audit::DecisionPage& from, v1::DecisionList& to) {
  for (const Decision& decision : from.decisions) write(decision, *to.add_decisions());
  to.set_next(from.next);
  to.set_more(from.more);
  to.set_damaged(from.damaged);
}

audit::DecisionPage read(const v1::DecisionList& from) {
  audit::DecisionPage page;
  for (const v1::Decision& decision : from.decisions()) page.decisions.push_back(read(decision));
  page.next = from.next();
  page.more = from.more();
  page.damaged = from.damaged();
  return page;
}

}  // namespace ssn::controller
