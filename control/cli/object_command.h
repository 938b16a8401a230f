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
  explicit ObjectCommand(const char* name);

  const char* name() const noexcept final { return name_; }
  void declare(OptionTable& table) final;
  Exit run(const OutputOptions& output) final;

 protected:
  virtual void declare_more(OptionTable&) {}
  /// What the command ends with. Errors are printed by run().
  virtual Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) = 0;
  /// "ssn.NAME/1".
  const std::string& schema() const noexcept { return schema_; }

 private:
  Result<client::ControllerPlace> place() const;

  const char* name_;
  std::string schema_;
  std::string configuration_;
  client::ControllerPlace remote_;
};

std::vector<std::unique_ptr<Command>> make_object_commands();  // ls, stat, rm

/// Names come from the network: nothing of them commands a terminal.
std::string shown_name(const std::string& name);
/// "2026-11-23 03:04:05" in UTC; "-" for 0.
std::string shown_time(std::uint64_t milliseconds);

}  // namespace ssn::cli
