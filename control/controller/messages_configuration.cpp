// SPDX-License-Identifier: BSD-3-Clause
#include "messages_configuration.h"

#include "configuration.pb.h"
#include "messages.h"

namespace ssn::controller {
namespace {

template <typename Enum>
Enum known(int number, Enum last) {
  return number < 0 || number > static_cast<int>(last) ? Enum{} : static_cast<Enum>(number);
}

}  // namespace

void write(const ConfigurationVersion& from, v1::ConfigurationVersion& to) {
  to.set_number(from.number);
  to.set_time_ms(from.time_ms);
  to.set_who(from.who);
  to.set_comment(from.comment);
  to.set_digest(from.digest);
  to.set_text(from.text);
}

ConfigurationVersion read(const v1::ConfigurationVersion& from) {
  return {from.number(), from.time_ms(), from.who(), from.comment(), from.digest(), from.text()};
}

void write(const ConfigurationRequest& from, v1::ApplyConfigurationRequest& to) {
  to.set_text(from.text);
  to.set_name(from.name);
  to.set_rollback_to(from.rollback_to);
  to.set_base(from.base);
  to.set_comment(from.comment);
  to.set_dry_run(from.dry_run);
}

ConfigurationRequest read(const v1::ApplyConfigurationRequest& from) {
  return {from.text(), from.name(), from.rollback_to(), from.base(), from.comment(), from.dry_run()};
}

void write(const ConfigurationChange& from, v1::ConfigurationChange& to) {
  write(from.version, *to.mutable_version());
  to.set_changed(from.changed);
  for (const Error& problem : from.problems) {
    v1::ConfigurationProblem& out = *to.add_problems();
    out.set_what(problem.what);
    out.set_why(problem.why);
    out.set_where(problem.where);
    out.set_fix(problem.fix);
  }
  for (const ConfigurationDifference& difference : from.differences) {
    v1::ConfigurationDifference& out = *to.add_differences();
    out.set_setting(difference.setting);
    out.set_before(difference.before);
    out.set_after(difference.after);
  }
  for (const std::string& weaker : from.weaker) {
    to.add_weaker(weaker);
  }
}

ConfigurationChange read(const v1::ConfigurationChange& from) {
  ConfigurationChange to;
  to.version = read(from.version());
  to.changed = from.changed();
  for (const v1::ConfigurationProblem& problem : from.problems()) {
    to.problems.push_back({Exit::usage, problem.what(), problem.why(), problem.where(), problem.fix()});
  }
  for (const v1::ConfigurationDifference& difference : from.differences()) {
    to.differences.push_back({difference.setting(), difference.before(), difference.after()});
  }
  to.weaker.assign(from.weaker().begin(), from.weaker().end());
  return to;
}

void write(const AccountPage& from, v1::AccountList& to) {
  for (const Account& account : from.accounts) {
    v1::AccountRecord& out = *to.add_records();
    out.set_number(account.number);
    out.set_time_ms(account.time_ms);
    out.set_owner(account.owner);
    out.set_object(account.object);
    out.set_name(account.name);
    out.set_operation(static_cast<v1::AccountOperation>(account.operation));
    out.set_bytes(account.bytes);
    out.set_pad_bytes(account.pad_bytes);
    out.set_class_name(account.class_name);
    out.set_protection(static_cast<v1::ProtectionClass>(account.protection));
  }
  to.set_next(from.next);
}

AccountPage read(const v1::AccountList& from) {
  AccountPage to;
  for (const v1::AccountRecord& record : from.records()) {
    to.accounts.push_back({record.number(), record.time_ms(), record.owner(), record.object(), record.name(),
                           known(record.operation(), AccountOperation::abandoned), record.bytes(),
                           record.pad_bytes(), record.class_name(),
                           known(record.protection(), Protection::information_theoretic)});
  }
  to.next = from.next();
  return to;
}

void write(const Usage& from, v1::OwnerUsage& to) {
  to.set_owner(from.owner);
  to.set_objects(from.objects);
  to.set_writes(from.writes);
  to.set_bytes(from.bytes);
  to.set_writing_bytes(from.writing_bytes);
  to.set_objects_max(from.objects_max);
  to.set_writes_max(from.writes_max);
  to.set_bytes_max(from.bytes_max);
  write(from.rate, *to.mutable_rate());
  for (const std::string& node : from.slowed_at) {
    to.add_slowed_at(node);
  }
}

Usage read(const v1::OwnerUsage& from) {
  return {from.owner(),         from.objects(),
          from.writes(),        from.bytes(),
          from.writing_bytes(), from.objects_max(),
          from.writes_max(),    from.bytes_max(),
          read(from.rate()),    {from.slowed_at().begin(), from.slowed_at().end()}};
}

}  // namespace ssn::controller
