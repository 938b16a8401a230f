// SPDX-License-Identifier: BSD-3-Clause
// `ssn node`: what operators have nodes for (Y.3808, 10.2, configuration control).
#include <fmt/core.h>

#include "confirm.h"
#include "object_command.h"
#include "progress.h"

namespace ssn::cli {
namespace {

using controller::ServiceState;

class SetCommand final : public CatalogueCommand {
 public:
  SetCommand() : CatalogueCommand("set", "node") {}
  const char* summary() const noexcept override { return "Say what a node is for"; }
  const char* examples() const noexcept override {
    return "  ssn node set sae-h6 standby --config operator.toml   takes over when others fail, no sooner\n"
           "  ssn node set sae-h7 reserved                         gets what is sent to it by its name\n"
           "  ssn node set sae-h3 out-of-service                   gets nothing new; what it has stays\n"
           "  ssn node set sae-h3 in-service\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NODE", node_, "As in ssn nodes");
    table.argument("STATE", state_, "in-service, standby, reserved or out-of-service");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    for (const ServiceState service : {ServiceState::in_service, ServiceState::standby,
                                       ServiceState::reserved, ServiceState::out_of_service}) {
      if (controller::name(service) == state_) {
        return set(client, service, output);
      }
    }
    return Error{Exit::usage, "cannot change the node", fmt::format("there is no state \"{}\"", state_),
                 node_, "give in-service, standby, reserved or out-of-service"};
  }
  Result<Exit> set(client::ControllerClient& client, ServiceState service, const OutputOptions& output) {
    const Result<controller::Node> node = client.set_node(node_, service);
    if (!node.ok()) {
      return node.error();
    }
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("name", node.value().name);
      json.member("service", controller::name(node.value().service)).end_object();
      print_text(json.text());
    } else {
      print_note(output, fmt::format("{} is {} now", shown_name(node.value().name),
                                     controller::name(node.value().service)));
    }
    return Exit::ok;
  }

  std::string node_;
  std::string state_;
};

class RemoveCommand final : public CatalogueCommand {
 public:
  RemoveCommand() : CatalogueCommand("remove", "node") {}
  const char* summary() const noexcept override { return "Forget a node that is down and holds nothing"; }
  const char* examples() const noexcept override {
    return "  ssn shareholder replace sae-h1 --yes --config operator.toml   first: its shares go to others\n"
           "  ssn node remove sae-h1 --yes                                  then, when it is down\n"
           "  ssn node remove sae-h1 --destroyed                            nothing is left of its disk\n"
           "  ssn pki revoke sae-h1                                         or it may come back\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NODE", node_, "As in ssn nodes");
    table.flag("--destroyed", destroyed_, "Nothing of its store can be read any more: it owes no erasures");
    table.flag("--yes", yes_, "Do not ask; needed where standard input is no terminal");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const std::string question =
        destroyed_ ? fmt::format("is nothing left of the store of {}, and shall the controller forget it?",
                                 shown_name(node_))
                   : fmt::format("have the controller forget {}?", shown_name(node_));
    if (Outcome confirmed = confirm("cannot remove the node", question, node_, yes_); !confirmed.ok()) {
      return confirmed.error();
    }
    if (Outcome removed = client.remove_node(node_, controller::StoreDestroyed{destroyed_}); !removed.ok()) {
      return removed.error();
    }
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("name", node_).member("removed", true).end_object();
      print_text(json.text());
    } else {
      print_note(output, fmt::format("{} is forgotten; with its certificate it may come back: ssn pki revoke",
                                     shown_name(node_)));
    }
    return Exit::ok;
  }

  std::string node_;
  bool destroyed_ = false;
  bool yes_ = false;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_node_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<SetCommand>());
  commands.push_back(std::make_unique<RemoveCommand>());
  return commands;
}

}  // namespace ssn::cli
