// SPDX-License-Identifier: BSD-3-Clause
// Which data plane `ssn dataplane` asks: the options that all its commands have.
#pragma once

#include <memory>
#include <string>

#include "agent_client.h"
#include "command.h"

namespace ssn::cli {

/// A command of the group `dataplane`. Makes failures look alike.
class DataplaneCommand : public Command {
 public:
  DataplaneCommand(const char* name, const char* summary, const char* examples);

  const char* name() const noexcept final { return name_; }
  const char* group() const noexcept final { return "dataplane"; }
  const char* summary() const noexcept final { return summary_; }
  const char* examples() const noexcept final { return examples_; }
  void declare(OptionTable& table) final;
  Exit run(const OutputOptions& output) final;

 protected:
  virtual void declare_more(OptionTable&) {}
  /// What the command ends with. Errors are printed by run().
  virtual Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) = 0;
  /// A configuration file whose socket is used where no option says anything; empty: none.
  virtual std::string fallback_configuration() const { return ""; }
  /// "ssn.dataplane.NAME/1".
  const std::string& schema() const noexcept { return schema_; }

 private:
  Result<client::AgentPlace> place() const;

  const char* name_;
  const char* summary_;
  const char* examples_;
  std::string schema_;
  std::string socket_;
  std::string configuration_;
  client::AgentPlace remote_;
};

std::unique_ptr<Command> make_dataplane_status_command();
std::unique_ptr<Command> make_dataplane_counters_command();
std::unique_ptr<Command> make_dataplane_trace_command();
std::unique_ptr<Command> make_dataplane_top_command();
std::unique_ptr<Command> make_dataplane_graph_command();
std::unique_ptr<Command> make_dataplane_swap_command();
std::unique_ptr<Command> make_dataplane_readmit_command();

}  // namespace ssn::cli
