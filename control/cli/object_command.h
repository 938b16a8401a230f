// SPDX-License-Identifier: BSD-3-Clause
// Commands about stored objects, which ask the controller: the options that all of them have.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "controller_client.h"

namespace ssn::cli {

/// Makes failures look alike.
class ObjectCommand : public Command {
 public:
  explicit ObjectCommand(const char* name, const char* group = "");

  const char* name() const noexcept final { return name_; }
  const char* group() const noexcept final { return group_; }
  void declare(OptionTable& table) final;
  Exit run(const OutputOptions& output) final;

 protected:
  virtual void declare_more(OptionTable&) {}
  /// What the command ends with. Errors are printed by run().
  virtual Result<Exit> work(const client::ControllerPlace& place, const OutputOptions& output) = 0;
  /// "ssn.NAME/1", "ssn.GROUP.NAME/1".
  const std::string& schema() const noexcept { return schema_; }

 private:
  Result<client::ControllerPlace> place() const;

  const char* name_;
  const char* group_;
  std::string schema_;
  std::string configuration_;
  client::ControllerPlace remote_;
};

/// What needs the controller only.
class CatalogueCommand : public ObjectCommand {
 public:
  using ObjectCommand::ObjectCommand;

 protected:
  Result<Exit> work(const client::ControllerPlace& place, const OutputOptions& output) final;
  virtual Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) = 0;
};

std::vector<std::unique_ptr<Command>> make_object_commands();   // ls, stat, rm
std::vector<std::unique_ptr<Command>> make_network_commands();  // explain, nodes
std::vector<std::unique_ptr<Command>> make_alarm_commands();    // alarms, events
std::unique_ptr<Command> make_status_command();
std::unique_ptr<Command> make_accounting_command();
std::unique_ptr<Command> make_audit_command();
std::vector<std::unique_ptr<Command>> make_transfer_commands();  // put, get, verify
std::vector<std::unique_ptr<Command>> make_node_commands();      // the group node
std::vector<std::unique_ptr<Command>> make_domain_commands();    // the group domain
std::vector<std::unique_ptr<Command>> make_config_commands();    // the group config
std::vector<std::unique_ptr<Command>> make_reshare_commands();   // the groups reshare and shareholder

/// As people and scripts read it: 16 hexadecimal digits.
std::string id_text(std::uint64_t id);
/// "good", "degraded", or "unreadable": of n shares, k of which are needed, so many are up.
std::string_view health_of(std::uint32_t up, std::uint32_t k, std::uint32_t n);
/// Holders that are up and have sealed their share.
std::uint32_t shares_up(const controller::Object& object);

/// Names come from the network: nothing of them commands a terminal.
std::string shown_name(const std::string& name);
std::string shown_names(const std::vector<std::string>& names);  // "a, b"

}  // namespace ssn::cli
