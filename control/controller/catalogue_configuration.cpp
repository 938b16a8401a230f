// SPDX-License-Identifier: BSD-3-Clause
// Versions of the network's configuration: docs/network-configuration.md.
#include <fmt/core.h>
#include <openssl/sha.h>

#include <algorithm>

#include "catalogue.h"
#include "cut_text.h"
#include "network_document.h"

namespace ssn::controller {
namespace {

constexpr const char* what = "cannot change the network's configuration";
constexpr std::size_t differences_told = 4;  // in an event

std::string digest_of_text(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string out;
  for (const unsigned char byte : digest) {
    out.append(fmt::format("{:02x}", byte));
  }
  return out;
}

Error unknown_version(std::uint64_t version) {
  return {Exit::not_found, "cannot show the network's configuration",
          "there is no such version, or none any more", fmt::format("version {}", version),
          "see `ssn config history`"};
}

ConfigurationVersion without_text(ConfigurationVersion version) {
  version.text.clear();
  return version;
}

std::string told(const ConfigurationVersion& version, const std::vector<ConfigurationDifference>& all) {
  std::string text = fmt::format("version {} by {}{}{}", version.number, version.who,
                                 version.comment.empty() ? "" : ": ", version.comment);
  for (std::size_t i = 0; i < std::min(all.size(), differences_told); ++i) {
    const auto shown = [](const std::string& value) { return value.empty() ? "nothing" : value.c_str(); };
    text.append(fmt::format("; {} is {}, was {}", all[i].setting, shown(all[i].after), shown(all[i].before)));
  }
  if (all.size() > differences_told) {
    text.append(fmt::format("; and {} more", all.size() - differences_told));
  }
  return text;
}

}  // namespace

ServiceState Catalogue::service_of(const std::string& node) const {
  const auto found = policy_.deployment.services.find(node);
  return found == policy_.deployment.services.end() ? ServiceState::in_service : found->second;
}

// Where there is none yet: what is given, and the service states that records of nodes had before.
Outcome Catalogue::load_configuration(Now now, const Policy& first) {
  const std::string from(keys::all_configurations);
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(from), 2 * configurations_max);
  if (!rows.ok()) return rows.error();
  if (rows.value().empty()) {
    Policy policy = first;
    for (const auto& [name, state] : nodes_) {
      if (state.record.service != ServiceState::in_service) {
        policy.deployment.services.emplace(name, state.record.service);
      }
    }
    Transaction changes(database_);
    Result<ConfigurationVersion> version =
        put_configuration(changes, now, network_document_of(policy), "ssn-controller", "the first one");
    if (!version.ok()) return version.error();
    if (Outcome committed = changes.commit(); !committed.ok()) return committed;
    follow(now, std::move(version.value()), policy);
    return done;
  }
  const Row& last = rows.value().back();
  Result<ConfigurationVersion> version = decode<ConfigurationVersion>(last.key, last.value);
  if (!version.ok()) return version.error();
  const NetworkDocument document =
      read_network_document(version.value().text, fmt::format("version {}", version.value().number));
  if (!document.problems.empty()) {
    Error problem = document.problems.front();
    problem.fix = "use a program of the version that took it, and apply one without this";
    return problem;
  }
  follow(now, std::move(version.value()), document.policy);
  return done;
}

Result<ConfigurationVersion> Catalogue::put_configuration(Transaction& changes, Now now,
                                                          const std::string& text, const std::string& who,
                                                          const std::string& comment) {
  ConfigurationVersion version;
  version.number = configuration_.number + 1;
  Result<std::string> numbered = with_version(text, version.number);
  if (!numbered.ok()) return numbered.error();
  version.text = std::move(numbered.value());
  version.time_ms = now.wall_ms;
  version.who = who;
  version.comment = alarms::cut_text(comment, text_max);
  version.digest = digest_of_text(version.text);
  changes.put(keys::configuration(version.number), version);
  if (version.number > configurations_max) {
    changes.erase(keys::configuration(version.number - configurations_max));
  }
  return version;
}

// The caller has made it durable. From now on everything is decided by it.
void Catalogue::follow(Now now, ConfigurationVersion version, const Policy& policy) {
  if (configuration_.number != 0 && policy.report_ms < policy_.report_ms) {
    slow_report_ms_ = policy_.report_ms;
    slow_until_ms_ = now.monotonic_ms + 2 * slow_report_ms_;
  }
  configuration_ = std::move(version);
  policy_ = policy;
  placement_next_ms_ = 0;
}

Result<ConfigurationVersion> Catalogue::put_service(Transaction& changes, Now now, const std::string& node,
                                                    ServiceState service, const std::string& who,
                                                    Policy& policy) {
  const Result<std::string> text = with_service(configuration_.text, node, service);
  if (!text.ok()) return text.error();
  policy = read_network_document(text.value(), "configuration").policy;
  return put_configuration(changes, now, text.value(), who, fmt::format("{}: {}", node, name(service)));
}

// Shares of a node that is being replaced go away; new ones would follow them.
Outcome Catalogue::check_services(const Policy& policy) const {
  for (const auto& [node, record] : replacing_) {
    const auto found = policy.deployment.services.find(node);
    const ServiceState wanted =
        found == policy.deployment.services.end() ? ServiceState::in_service : found->second;
    if (wanted != service_of(node) && wanted != ServiceState::out_of_service) {
      return Error{Exit::refused, what, "its shares are going to others, and new ones would follow them",
                   fmt::format("node {} service", node),
                   "cancel that first: ssn reshare cancel --replacement"};
    }
  }
  return done;
}

Result<ConfigurationVersion> Catalogue::configuration(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  if (version == 0) return configuration_;
  Transaction reads(database_);
  Result<std::optional<ConfigurationVersion>> found =
      reads.get<ConfigurationVersion>(keys::configuration(version));
  if (!found.ok()) return found.error();
  return found.value() ? Result<ConfigurationVersion>(std::move(*found.value())) : unknown_version(version);
}

Result<std::vector<ConfigurationVersion>> Catalogue::configurations() {
  const std::lock_guard lock(mutex_);
  const std::string from(keys::all_configurations);
  const Result<std::vector<Row>> rows = database_.scan(from, keys::end_of(from), 2 * configurations_max);
  if (!rows.ok()) return rows.error();
  std::vector<ConfigurationVersion> all;
  for (auto row = rows.value().rbegin(); row != rows.value().rend(); ++row) {
    Result<ConfigurationVersion> version = decode<ConfigurationVersion>(row->key, row->value);
    if (!version.ok()) return version.error();
    all.push_back(without_text(std::move(version.value())));
  }
  return all;
}

Result<ConfigurationChange> Catalogue::configure(Now now, const ConfigurationRequest& request,
                                                 const std::string& who) {
  ConfigurationRequest wanted = request;
  if (request.rollback_to != 0) {
    Result<ConfigurationVersion> old = configuration(request.rollback_to);
    if (!old.ok()) return old.error();
    wanted.text = std::move(old.value().text);
    wanted.name = fmt::format("version {}", request.rollback_to);
  }
  if (wanted.name.size() > text_max || (!wanted.comment.empty() && !is_good_name(wanted.comment, text_max))) {
    return Error{Exit::usage, what, "its comment or name is not up to 512 bytes of UTF-8", "comment",
                 "shorten it"};
  }
  const NetworkDocument document = read_network_document(wanted.text, wanted.name);
  const std::lock_guard lock(mutex_);
  ConfigurationChange change;
  change.version = without_text(configuration_);
  change.problems = document.problems;
  if (!change.problems.empty()) return change;
  change.differences = differences_of(policy_, document.policy);
  change.weaker = weakened_by(policy_, document.policy);
  const Result<std::string> same = with_version(wanted.text, configuration_.number);
  if (!same.ok()) return same.error();
  change.changed = same.value() != configuration_.text;
  if (!change.changed) return change;  // again, or somebody else was quicker
  const std::uint64_t base = wanted.base != 0 || request.rollback_to != 0 ? wanted.base : document.version;
  if (base != 0 && base != configuration_.number) {
    return Error{
        Exit::refused, what,
        fmt::format("it was made from version {}, and version {} is in force", base, configuration_.number),
        wanted.name,
        "look at the difference (ssn config diff), take over what is missing (ssn config show), "
        "and say version = " +
            fmt::format("{}", configuration_.number)};
  }
  if (Outcome checked = check_services(document.policy); !checked.ok()) return checked.error();
  if (wanted.dry_run) return change;
  Transaction changes(database_);
  Result<ConfigurationVersion> version = put_configuration(changes, now, wanted.text, who, wanted.comment);
  if (!version.ok()) return version.error();
  if (Outcome noted = note(changes, now, !change.weaker.empty(), "configuration_changed", "configuration",
                           told(version.value(), change.differences));
      !noted.ok()) {
    return noted.error();
  }
  if (Outcome committed = changes.commit(); !committed.ok()) return committed.error();
  follow(now, std::move(version.value()), document.policy);
  change.version = without_text(configuration_);
  return change;
}

std::optional<Policy> Catalogue::policy_after(std::uint64_t& known) {
  const std::lock_guard lock(mutex_);
  if (known == configuration_.number) return std::nullopt;
  known = configuration_.number;
  return policy_;
}

}  // namespace ssn::controller
