// SPDX-License-Identifier: BSD-3-Clause
// `ssn domain`: other domains, each with its controller, and what both lend each other (Y.3808, SSN-Cx).
#include <fmt/core.h>

#include <algorithm>

#include "alarm_types.h"
#include "object_command.h"
#include "progress.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using controller::DomainCondition;
using controller::DomainPage;
using controller::DomainStatement;
using controller::DomainView;
using controller::Label;
using controller::LentAlarm;
using controller::LentNode;

constexpr std::pair<Label, const char*> labels[] = {{Label::site, "site"},
                                                    {Label::operated_by, "operator"},
                                                    {Label::power, "power"},
                                                    {Label::key_manager, "key_manager"}};

std::string heard_text(const DomainView& domain) {
  return domain.heard ? fmt::format("{} ago", format_duration(static_cast<double>(domain.silent_ms) / 1000))
                      : "never";
}

std::string_view state_of(const LentNode& node) {
  return !node.up ? "down" : node.read_only ? "read-only" : "up";
}

void write_lent(JsonWriter& json, const DomainStatement& theirs) {
  json.key("nodes").begin_array();
  for (const LentNode& node : theirs.nodes) {
    json.begin_object().member("name", node.name).member("state", state_of(node));
    json.member("service", controller::name(node.service)).member("free_bytes", node.free_bytes);
    for (const auto& [label, name] : labels) json.member(name, node.labels[label]);
    json.member("agent", node.agent).key("data_addresses").begin_array();
    for (const std::string& address : node.data_addresses) json.value(address);
    json.end_array().end_object();
  }
  json.end_array().key("alarms").begin_array();
  for (const LentAlarm& alarm : theirs.alarms) {
    json.begin_object().member("type", alarm.type).member("node", alarm.node);
    json.member("severity", alarms::name(alarm.severity)).member("raised_ms", alarm.raised_ms).end_object();
  }
  json.end_array();
}

// What lists have of a domain; its object stays open.
void write_domain(JsonWriter& json, const DomainView& domain) {
  json.begin_object().member("name", domain.name).member("controller", domain.agreement.controller);
  json.member("identity", domain.agreement.identity);
  json.member("condition", controller::name(domain.condition)).member("trouble", domain.trouble);
  json.member("heard", domain.heard).member("silent_ms", domain.silent_ms);
  json.member("refused", domain.refused).key("lends").begin_object();
  json.member("bytes", domain.agreement.lends_bytes).key("nodes").begin_array();
  for (const std::string& node : domain.lent) json.value(node);
  json.end_array().end_object();
  json.member("uses", domain.agreement.uses);
}

class ListCommand final : public CatalogueCommand {
 public:
  ListCommand() : CatalogueCommand("list", "domain") {}
  const char* summary() const noexcept override { return "List other domains, and whether they are heard"; }
  const char* examples() const noexcept override {
    return "  ssn domain list --config operator.toml   with whom something is agreed, and how that is\n"
           "  ssn domain list --check                  for scripts: 3 if one is not good\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.flag("--check", check_, "End with 3 if a domain is unreachable, or means something else");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const Result<DomainPage> page = client.domains();
    if (!page.ok()) return page.error();
    if (output.json) {
      print_json(page.value());
    } else {
      print_all(page.value());
    }
    const bool bad =
        std::any_of(page.value().domains.begin(), page.value().domains.end(),
                    [](const DomainView& domain) { return domain.condition > DomainCondition::good; });
    return check_ && bad ? Exit::degraded : Exit::ok;
  }
  void print_json(const DomainPage& page) const {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("own", page.own).key("domains").begin_array();
    for (const DomainView& domain : page.domains) {
      write_domain(json, domain);
      json.key("theirs").begin_object().member("bytes", domain.theirs.lends_bytes);
      json.member("nodes", domain.theirs.nodes.size()).member("alarms", domain.theirs.alarms.size());
      json.end_object().end_object();
    }
    json.end_array().end_object();
    print_text(json.text());
  }
  static void print_all(const DomainPage& page) {
    if (page.own.empty()) {
      print_text("this controller speaks to no other domain: docs/exchange.md\n");
    } else {
      print_text(fmt::format("we are {}\n", shown_name(page.own)));
    }
    if (page.domains.empty()) return;
    TextTable table({"", "DOMAIN", "CONDITION", "HEARD", "LENT TO IT>", "LENDS US>", "ALARMS>", "TROUBLE"});
    for (const DomainView& domain : page.domains) {
      table.add({domain.condition == DomainCondition::good ? "" : "!", shown_name(domain.name),
                 std::string(controller::name(domain.condition)), heard_text(domain),
                 fmt::format("{}", domain.lent.size()), fmt::format("{}", domain.theirs.nodes.size()),
                 fmt::format("{}", domain.theirs.alarms.size()),
                 domain.trouble.empty() ? "-" : shown_name(domain.trouble)});
    }
    print_text("\n");
    print_text(table.text());
  }

  bool check_ = false;
};

class ShowCommand final : public CatalogueCommand {
 public:
  ShowCommand() : CatalogueCommand("show", "domain") {}
  const char* summary() const noexcept override { return "What is agreed with a domain, and what it lends"; }
  const char* examples() const noexcept override {
    return "  ssn domain show west --config operator.toml   its shareholders, their room, alarms about them\n"
           "  ssn domain show west --json\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("DOMAIN", domain_, "As in ssn domain list");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const Result<DomainPage> page = client.domains();
    if (!page.ok()) return page.error();
    for (const DomainView& domain : page.value().domains) {
      if (domain.name != domain_) continue;
      if (output.json) {
        print_json(domain);
      } else {
        print_domain(domain);
        print_nodes(domain);
        print_alarms(domain);
      }
      return Exit::ok;
    }
    return Error{
        Exit::not_found, "cannot show the domain", "nothing is agreed with one of that name", domain_,
        "ssn domain list has those that there are; [[domain]] of the network's configuration adds one"};
  }
  void print_json(const DomainView& domain) const {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.key("domain");
    write_domain(json, domain);
    json.key("theirs").begin_object().member("program", domain.theirs.program);
    json.member("uses", domain.theirs.uses).member("bytes", domain.theirs.lends_bytes);
    write_lent(json, domain.theirs);
    json.end_object().end_object().end_object();
    print_text(json.text());
  }
  static void print_domain(const DomainView& domain) {
    print_text(fmt::format("domain      {}, {}{}{}\n", shown_name(domain.name),
                           controller::name(domain.condition), domain.trouble.empty() ? "" : ": ",
                           shown_name(domain.trouble)));
    print_text(fmt::format("controller  {} at {}, heard {}{}{}\n", shown_name(domain.agreement.identity),
                           shown_name(domain.agreement.controller), heard_text(domain),
                           domain.theirs.program.empty() ? "" : ", version ",
                           shown_name(domain.theirs.program)));
    print_text(fmt::format(
        "we lend     {}\n",
        domain.lent.empty()
            ? "nothing"
            : fmt::format("{} at {}; it {}", format_bytes(domain.agreement.lends_bytes),
                          shown_names(domain.lent), domain.theirs.uses ? "uses that" : "does not use that")));
    print_text(
        fmt::format("it lends    {}\n",
                    domain.theirs.nodes.empty()
                        ? "nothing"
                        : fmt::format("{} at {} shareholders; we {}", format_bytes(domain.theirs.lends_bytes),
                                      domain.theirs.nodes.size(),
                                      domain.agreement.uses ? "use that" : "do not use that")));
    if (domain.refused != 0) {
      print_text(fmt::format("refused     {} calls in its name\n", domain.refused));
    }
  }
  static void print_nodes(const DomainView& domain) {
    if (domain.theirs.nodes.empty()) return;
    TextTable table({"NODE", "STATE", "SERVICE", "FREE>", "LABELS"});
    for (const LentNode& node : domain.theirs.nodes) {
      std::string all;
      for (const auto& [label, name] : labels) {
        if (node.labels[label].empty()) continue;
        all.append(all.empty() ? "" : ", ")
            .append(fmt::format("{} {}", name, shown_name(node.labels[label])));
      }
      table.add({shown_name(node.name), std::string(state_of(node)),
                 std::string(controller::name(node.service)), format_bytes(node.free_bytes),
                 all.empty() ? "-" : all});
    }
    print_text("\n");
    print_text(table.text());
  }
  static void print_alarms(const DomainView& domain) {
    if (domain.theirs.alarms.empty()) return;
    TextTable table({"SEVERITY", "ALARM", "NODE", "WHAT IS WRONG"});
    for (const LentAlarm& alarm : domain.theirs.alarms) {
      const alarms::AlarmType* const type = alarms::find_type(alarm.type);
      table.add({std::string(alarms::name(alarm.severity)), shown_name(alarm.type), shown_name(alarm.node),
                 type == nullptr ? "-" : std::string(type->meaning)});
    }
    print_text("\n");
    print_text(table.text());
  }

  std::string domain_;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_domain_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<ListCommand>());
  commands.push_back(std::make_unique<ShowCommand>());
  return commands;
}

}  // namespace ssn::cli
