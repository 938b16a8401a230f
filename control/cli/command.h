// SPDX-License-Identifier: BSD-3-Clause
// A command of `ssn`: one file each. To add one, write NAME_command.cpp with a make function, declare the
// function below and add a line to the list in main.cpp. A command may stand in a group, which is a line in
// main.cpp's list of groups. Commands do not see the command-line library.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "output.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

/// Where a command says which options and arguments it takes. References must outlive parsing; the value
/// that they have is the default. `names` is "-k,--k"; `value` is what stands for the value in the help.
class OptionTable {
 public:
  virtual ~OptionTable() = default;
  enum class Need { optional, required };

  virtual void flag(const char* names, bool& target, const char* help) = 0;
  virtual void number(const char* names, unsigned& target, unsigned least, unsigned most, Need need,
                      const char* help) = 0;
  /// Bytes, also as 64K or 1M.
  virtual void size(const char* names, std::uint64_t& target, std::uint64_t least, std::uint64_t most,
                    const char* help) = 0;
  virtual void text(const char* names, std::string& target, const char* value, Need need,
                    const char* help) = 0;
  virtual void choice(const char* names, std::string& target, const std::vector<std::string>& choices,
                      const char* help) = 0;
  virtual void argument(const char* value, std::string& target, const char* help) = 0;
  /// Behind the required ones.
  virtual void optional_argument(const char* value, std::string& target, const char* help) = 0;
  virtual void arguments(const char* value, std::vector<std::string>& target, std::size_t most,
                         const char* help) = 0;
};

class Command {
 public:
  virtual ~Command() = default;
  virtual const char* name() const noexcept = 0;
  /// The group that it belongs to (`ssn GROUP NAME`), one of main.cpp's list; empty: `ssn NAME`.
  virtual const char* group() const noexcept { return ""; }
  virtual const char* summary() const noexcept = 0;
  /// Shown first in the help: lines of "  command   what it does".
  virtual const char* examples() const noexcept = 0;
  /// All but --help, --json and --quiet, which every command has.
  virtual void declare(OptionTable& table) = 0;
  /// Does it and says what happened. The options are set.
  virtual Exit run(const OutputOptions& output) = 0;
};

/// Commands that belong together: `ssn NAME SUBCOMMAND`. Has a line in the help of `ssn` and a help of its
/// own.
struct CommandGroup {
  const char* name;
  const char* summary;
  const char* examples;
};

std::unique_ptr<Command> make_open_command();
std::unique_ptr<Command> make_seal_command();
std::unique_ptr<Command> make_split_command();
std::unique_ptr<Command> make_combine_command();
std::unique_ptr<Command> make_inspect_command();
std::unique_ptr<Command> make_doctor_command();
std::unique_ptr<Command> make_topology_command();
std::unique_ptr<Command> make_version_command();
std::unique_ptr<Command> make_offload_list_command();
std::unique_ptr<Command> make_offload_test_command();
std::vector<std::unique_ptr<Command>> make_demo_commands();        // the group demo
std::vector<std::unique_ptr<Command>> make_kme_commands();         // the group kme
std::vector<std::unique_ptr<Command>> make_pki_commands();         // the group pki
std::vector<std::unique_ptr<Command>> make_membership_commands();  // the group membership
std::vector<std::unique_ptr<Command>> make_dataplane_commands();   // the group dataplane

}  // namespace ssn::cli
