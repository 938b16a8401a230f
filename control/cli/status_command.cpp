// SPDX-License-Identifier: BSD-3-Clause
// `ssn status`: the whole storage network on one screen.
#include <fmt/core.h>

#include <algorithm>

#include "alarm_text.h"
#include "node_text.h"
#include "object_command.h"
#include "progress.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using alarms::Severity;
using controller::Alarm;
using controller::Node;
using controller::ReshareView;

constexpr std::size_t lines_most = 8;  // of alarms, of jobs: the screen has an end
constexpr Severity severities[] = {Severity::critical, Severity::major, Severity::minor, Severity::warning};

struct Seen {
  controller::Status status;
  std::vector<Node> nodes;
  std::vector<Alarm> alarms;  // the worst first
  std::vector<ReshareView> jobs;
  std::vector<controller::DomainView> domains;  // others
};

// The worst that is raised about the node.
Severity worst_of(const std::vector<Alarm>& alarms, const std::string& node) {
  Severity worst = Severity::none;
  for (const Alarm& alarm : alarms) {
    if (alarm.key.resource == node) worst = std::max(worst, alarm.severity);
  }
  return worst;
}

class StatusCommand final : public CatalogueCommand {
 public:
  StatusCommand() : CatalogueCommand("status") {}
  const char* summary() const noexcept override { return "The whole storage network on one screen"; }
  const char* examples() const noexcept override {
    return "  ssn status --config operator.toml     controller, nodes, alarms, what is done about them\n"
           "  ssn status --check                    for scripts: 3 if an alarm is major or critical\n"
           "  watch ssn status                      again and again\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.flag("--check", check_, "End with 3 if an alarm is raised that is major or critical");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_json(const Seen& seen) const;

  bool check_ = false;
};

// Other domains, by condition.
std::string domain_counts(const Seen& seen) {
  using controller::DomainCondition;
  std::string text;
  for (const DomainCondition condition : {DomainCondition::good, DomainCondition::waiting,
                                          DomainCondition::mismatch, DomainCondition::unreachable}) {
    const auto count = std::count_if(seen.domains.begin(), seen.domains.end(),
                                     [&](const auto& domain) { return domain.condition == condition; });
    if (count != 0) {
      text.append(fmt::format("{}{} {}", text.empty() ? "" : ", ", count, controller::name(condition)));
    }
  }
  return text;
}

void print_head(const Seen& seen) {
  const controller::Status& status = seen.status;
  print_text(
      fmt::format("controller  {} {}, up {}, {}\n", shown_name(status.name), shown_name(status.version),
                  format_duration(static_cast<double>(status.uptime_ms / 1000)),
                  status.database_trouble.empty() ? "database good"
                                                  : "database: " + shown_name(status.database_trouble)));
  print_text(fmt::format("objects     {} stored, {} being written, {} shares to be erased\n", status.objects,
                         status.writes, status.removals));
  print_text(fmt::format("re-sharing  {} jobs, {} nodes being replaced\n", status.jobs, status.replacements));
  if (!seen.domains.empty()) {
    print_text(fmt::format("domains     {}\n", domain_counts(seen)));
  }
  std::string counts;
  for (const Severity severity : severities) {
    const std::uint64_t count = status.alarms[static_cast<std::size_t>(severity)];
    if (count != 0) {
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, alarms::name(severity));
    }
  }
  print_text(fmt::format("alarms      {}\n", counts.empty() ? "none" : counts));
}

void print_nodes(const Seen& seen) {
  TextTable table(
      {"", "NODE", "ROLE", "STATE", "SERVICE", "USED>", "FREE>", "SHARES>", "PADS>", "WORST ALARM"});
  for (const Node& node : seen.nodes) {
    const Severity worst = worst_of(seen.alarms, node.name);
    const bool holds = node.roles.has(pki::Role::shareholder);
    const std::string state(node_state(node));
    table.add({state == "up" ? "" : "!", shown_name(node.name), node_roles(node), state,
               std::string(controller::name(node.service)), holds ? format_bytes(node.used_bytes) : "-",
               holds ? format_bytes(node_free_bytes(node)) : "-",
               holds ? fmt::format("{}", node.objects) : "-",
               node.key_stock.peer.empty() ? "-" : format_bytes(node.key_stock.bytes),
               worst == Severity::none ? "-" : std::string(alarms::name(worst))});
  }
  print_text("\n");
  print_text(table.text());
}

void print_alarms(const Seen& seen) {
  if (seen.alarms.empty()) return;
  const std::size_t shown = std::min(seen.alarms.size(), lines_most);
  print_text("\n");
  print_text(
      alarm_table({seen.alarms.begin(), seen.alarms.begin() + static_cast<std::ptrdiff_t>(shown)}, false));
  if (shown < seen.alarms.size()) {
    print_text(fmt::format("and {} more: ssn alarms\n", seen.alarms.size() - shown));
  }
}

void print_jobs(const Seen& seen) {
  if (seen.jobs.empty()) return;
  TextTable table({"JOB", "OBJECT", "WHAT", "STEP", "DONE>", "TROUBLE"});
  const std::size_t shown = std::min(seen.jobs.size(), lines_most);
  for (std::size_t i = 0; i < shown; ++i) {
    const ReshareView& job = seen.jobs[i];
    table.add({id_text(job.id), shown_name(job.owner + "/" + job.name),
               std::string(controller::name(job.operation)), std::string(controller::name(job.step)),
               job.cells == 0 ? "-" : fmt::format("{} %", job.through * 100 / job.cells),
               job.trouble.empty() ? "-" : shown_name(job.trouble)});
  }
  print_text("\n");
  print_text(table.text());
  if (seen.status.jobs > shown) {
    print_text(fmt::format("and {} more: ssn reshare list\n", seen.status.jobs - shown));
  }
}

void StatusCommand::print_json(const Seen& seen) const {
  const controller::Status& status = seen.status;
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("controller").begin_object().member("name", status.name).member("version", status.version);
  json.member("uptime_ms", status.uptime_ms).member("database_trouble", status.database_trouble).end_object();
  json.member("objects", status.objects).member("writes", status.writes);
  json.member("removals", status.removals).member("jobs", status.jobs);
  json.member("replacements", status.replacements).key("alarms").begin_object();
  for (const Severity severity : severities) {
    json.member(alarms::name(severity), status.alarms[static_cast<std::size_t>(severity)]);
  }
  json.end_object().key("nodes").begin_array();
  for (const Node& node : seen.nodes) {
    json.begin_object();
    write_node(json, node);
    json.member("key_stock_peer", node.key_stock.peer);
    json.member("key_stock_bytes", node.key_stock.bytes);
    json.member("worst_alarm", alarms::name(worst_of(seen.alarms, node.name))).end_object();
  }
  json.end_array().key("domains").begin_array();
  for (const controller::DomainView& domain : seen.domains) {
    json.begin_object().member("name", domain.name);
    json.member("condition", controller::name(domain.condition)).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> StatusCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  Result<controller::Status> status = client.status();
  if (!status.ok()) return status.error();
  Result<std::vector<Node>> nodes = client.nodes();
  if (!nodes.ok()) return nodes.error();
  Result<std::vector<Alarm>> alarms = all_alarms(client, {}, nullptr);
  if (!alarms.ok()) return alarms.error();
  Seen seen{std::move(status.value()), std::move(nodes.value()), std::move(alarms.value()), {}, {}};
  Result<controller::ReshareViewPage> jobs = client.reshares(0, 1000, true);
  if (!jobs.ok()) return jobs.error();
  seen.jobs = std::move(jobs.value().jobs);
  Result<controller::DomainPage> domains = client.domains();
  if (!domains.ok()) return domains.error();
  seen.domains = std::move(domains.value().domains);
  if (output.json) {
    print_json(seen);
  } else {
    print_head(seen);
    print_nodes(seen);
    print_alarms(seen);
    print_jobs(seen);
  }
  const bool bad = std::any_of(seen.alarms.begin(), seen.alarms.end(),
                               [](const Alarm& alarm) { return alarm.severity >= Severity::major; });
  return check_ && bad ? Exit::degraded : Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_status_command() { return std::make_unique<StatusCommand>(); }

}  // namespace ssn::cli
