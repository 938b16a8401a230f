// SPDX-License-Identifier: BSD-3-Clause
// The command tree. The only file that includes the command-line library: it takes long to compile, and its
// exit codes and messages are not ours.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <new>
#include <optional>

#include "command.h"
#include "interrupt.h"
#include "object_command.h"
#include "ssn/hw/nearest.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {
namespace {

constexpr const char* overview =
    "  ssn split --k 3 --n 5 photo.raw           five share files, any three of which restore it\n"
    "  ssn combine -o photo.raw photo.raw.*.ssn  restore it; bad shares are found and named\n"
    "  ssn put photo.raw photos/cat.raw          the same in a storage network, under one-time pads\n"
    "  ssn get photos/cat.raw                    give it back, also when shareholders are gone\n"
    "  sudo ssn demo up                          a storage network on this machine, to play with\n";

// What the help of `ssn` has commands and groups under.
struct Heading {
  const char* text;
  std::initializer_list<std::string_view> names;
};
const Heading headings[] = {
    {"Files", {"split", "combine", "inspect", "seal", "open"}},
    {"Stored objects", {"put", "get", "verify", "ls", "stat", "rm", "explain"}},
    {"The storage network",
     {"status", "nodes", "alarms", "events", "audit", "accounting", "config", "node", "domain", "reshare",
      "shareholder", "membership", "pki", "demo"}},
    {"Machines and processes", {"doctor", "topology", "version", "dataplane", "offload", "kme"}},
};

const char* heading_of(std::string_view name) {
  for (const Heading& heading : headings) {
    if (std::find(heading.names.begin(), heading.names.end(), name) != heading.names.end()) {
      return heading.text;
    }
  }
  assert(false && "each command has a heading");
  return "Commands";
}

// Groups of commands, in the order of the help; behind the commands without a group.
std::vector<CommandGroup> make_groups() {
  return {
      {"config", "Operators: the network's configuration, and its versions",
       "  ssn config show > network.toml   what is in force\n"
       "  ssn config diff network.toml     what the edited file would change\n"
       "  ssn config apply network.toml    puts it into force\n"
       "  ssn config rollback 7            as it was in version 7\n"},
      {"node", "Operators: what nodes are for",
       "  ssn node set sae-h6 standby   takes over when another one fails, and gets nothing before\n"},
      {"domain", "Operators: other domains, and what both lend each other",
       "  ssn domain list        with whom something is agreed, and whether they are heard\n"
       "  ssn domain show west   its shareholders, their room, alarms about them\n"},
      {"reshare", "Make shares anew: repair, refresh, other k and n",
       "  ssn reshare start photos/cat.raw --refresh   new shares for the same holders\n"
       "  ssn reshare list                             jobs, and how far they are\n"},
      {"shareholder", "Operators: nodes that hold shares",
       "  ssn shareholder replace sae-h1 sae-h6 --dry-run   what it would take\n"},
      {"offload", "Offload devices: find and check their drivers",
       "  ssn offload list                  the drivers that are found, and what their devices can do\n"
       "  ssn offload test ./my-driver.so   whether a driver does what it must\n"},
      {"dataplane", "Look into a running ssn-dataplane, and reconfigure it",
       "  ssn dataplane status --config sae-a.toml     what runs, and how it is\n"
       "  ssn dataplane top --config sae-a.toml        what it does each second\n"
       "  ssn dataplane swap sae-a.toml                takes the file again after it was edited\n"},
      {"kme", "Emulated QKD key managers (ssn-kme)",
       "  ssn kme init --out testnet --sites a,b          certificates and a configuration\n"
       "  ssn-kme --config testnet/kme.toml               starts the key managers\n"
       "  ssn kme status --socket testnet/control.sock    stock and rates\n"},
      {"pki", "Certificates of nodes, owners and operators",
       "  ssn pki init                              an authority, in ./pki\n"
       "  ssn pki issue sae-h1 --role shareholder   sae-h1.crt and sae-h1.key\n"
       "  ssn pki revoke sae-h1                     for good; then take pki/ca.crl to every node\n"},
      {"membership", "Operators: sign who belongs to a network, and below what nobody goes",
       "  ssn membership node sae-h1.crt --domain site-1 >> membership.toml\n"
       "  ssn membership sign membership.toml --certificate dave.crt --key dave.key\n"
       "  ssn membership verify membership.toml --signers signers.crt --threshold 2\n"},
      {"demo", "A whole storage network on this machine, to play with",
       "  sudo ssn demo up        starts it in network namespaces; says how to use it\n"
       "  sudo ssn demo down      takes all of it away\n"},
  };
}

// All commands, in the order of the help.
std::vector<std::unique_ptr<Command>> make_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_split_command());
  commands.push_back(make_combine_command());
  commands.push_back(make_inspect_command());
  commands.push_back(make_seal_command());
  commands.push_back(make_open_command());
  for (auto make_some :
       {make_transfer_commands, make_object_commands, make_network_commands, make_alarm_commands}) {
    for (std::unique_ptr<Command>& command : make_some()) {
      commands.push_back(std::move(command));
    }
  }
  commands.push_back(make_accounting_command());
  commands.push_back(make_audit_command());
  commands.push_back(make_status_command());
  commands.push_back(make_doctor_command());
  commands.push_back(make_topology_command());
  commands.push_back(make_version_command());
  commands.push_back(make_offload_list_command());
  commands.push_back(make_offload_test_command());
  for (auto make_group : {make_config_commands, make_node_commands, make_domain_commands,
                          make_reshare_commands, make_dataplane_commands, make_kme_commands,
                          make_pki_commands, make_membership_commands, make_demo_commands}) {
    for (std::unique_ptr<Command>& command : make_group()) {
      commands.push_back(std::move(command));
    }
  }
  return commands;
}

constexpr std::size_t help_column = 26;
constexpr std::size_t help_width = 100;

// Breaks `text` at spaces; the library indents the lines after the first.
std::string wrap(const std::string& text) {
  std::string out;
  std::size_t column = help_column;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    const std::size_t length = space - at;
    if (column != help_column) {
      const bool fits = column + 1 + length <= help_width;
      out += fits ? ' ' : '\n';
      column = fits ? column + 1 : help_column;
    }
    out.append(text, at, length);
    column += length;
    at = space + 1;
  }
  return out;
}

// Examples first: most people come for one of them.
class ExampleFirstFormatter : public CLI::Formatter {
 public:
  explicit ExampleFirstFormatter(std::string examples) : examples_(std::move(examples)) {
    column_width(help_column);
    label("REQUIRED", "");  // the text of the option says it
  }

  std::string make_description(const CLI::App* app) const override {
    return app->get_description() + ".\n\nExamples:\n" + examples_ + "\n";
  }
  // The name of the value only: limits and choices stand in the text, or in the error when they are broken.
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() || type[0] == ':' ? "" : " " + type.substr(0, type.find(':'));
  }
  std::string make_option_usage(const CLI::Option* option) const override {
    return option->get_name(true) + (option->get_expected_max() > 1 ? "..." : "");
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return wrap(option->get_description() + (option->get_required() ? " (required)" : ""));
  }

 private:
  std::string examples_;
};

class ParserTable final : public OptionTable {
 public:
  explicit ParserTable(CLI::App& app) : app_(app) {}

  void flag(const char* names, bool& target, const char* help) override {
    app_.add_flag(names, target, help);
  }

  void number(const char* names, unsigned& target, unsigned least, unsigned most, Need need,
              const char* help) override {
    app_.add_option(names, target, help)
        ->type_name("N")
        ->check(CLI::Range(least, most))
        ->required(need == Need::required);
  }

  void size(const char* names, std::uint64_t& target, std::uint64_t least, std::uint64_t most,
            const char* help) override {
    app_.add_option(names, target, help)
        ->transform(CLI::AsSizeValue(false))
        ->check(CLI::Range(least, most))
        ->type_name("BYTES");
  }

  void text(const char* names, std::string& target, const char* value, Need need, const char* help) override {
    app_.add_option(names, target, help)->type_name(value)->required(need == Need::required);
  }

  void choice(const char* names, std::string& target, const std::vector<std::string>& choices,
              const char* help) override {
    app_.add_option(names, target, help)->check(CLI::IsMember(choices))->type_name("NAME");
  }

  void argument(const char* value, std::string& target, const char* help) override {
    app_.add_option(value, target, help)->required()->type_name("");
  }

  void optional_argument(const char* value, std::string& target, const char* help) override {
    app_.add_option(value, target, help)->type_name("");
  }

  void arguments(const char* value, std::vector<std::string>& target, std::size_t most,
                 const char* help) override {
    app_.add_option(value, target, help)->required()->type_name("")->expected(1, static_cast<int>(most));
  }

 private:
  CLI::App& app_;
};

Exit usage_failure(Error error, bool json) {
  print_error(error);
  if (json) {
    print_error_document("ssn.error/1", error);
  }
  return Exit::usage;
}

class Program {
 public:
  Program();
  Exit run(int argc, char** argv);

 private:
  // What can be called: a command with its parser, or a group, whose command is null.
  struct Entry {
    CLI::App* parser;
    Command* command;
    std::string path;  // "split", "kme", "kme status"
  };

  void add_command(CLI::App& parent, const std::string& prefix, Command& command);
  bool has_entry(const std::string& path) const;
  Exit parse_failure(const CLI::ParseError& failure, bool json) const;
  Exit unknown_command(const std::string& prefix, const std::string& given, bool json) const;
  Exit show_help(const std::string& path) const;
  std::optional<Exit> check_path(int argc, char** argv, bool json) const;

  CLI::App app_{"Secret sharing of files, and of objects in a storage network"};
  std::vector<CommandGroup> groups_ = make_groups();
  std::vector<std::unique_ptr<Command>> commands_ = make_commands();
  std::vector<Entry> entries_;  // a group stands before its commands
  OutputOptions output_;
};

Program::Program() {
  app_.name("ssn");
  app_.formatter(std::make_shared<ExampleFirstFormatter>(overview));
  app_.set_version_flag("--version", fmt::format("ssn {}", SSN_VERSION));
  app_.require_subcommand(1);
  app_.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app_.footer("`ssn COMMAND --help` shows the options of a command. Manual: man ssn");
  for (const std::unique_ptr<Command>& command : commands_) {
    if (*command->group() == '\0') {
      add_command(app_, "", *command);
    }
  }
  for (const CommandGroup& group : groups_) {
    CLI::App* const parser = app_.add_subcommand(group.name, group.summary);
    parser->group(heading_of(group.name));
    parser->footer(
        fmt::format("`ssn {0} SUBCOMMAND --help` shows its options. Manual: man ssn-{0}", group.name));
    parser->formatter(std::make_shared<ExampleFirstFormatter>(group.examples));
    parser->require_subcommand(1);
    entries_.push_back({parser, nullptr, group.name});
    for (const std::unique_ptr<Command>& command : commands_) {
      if (std::string_view(command->group()) == group.name) {
        add_command(*parser, std::string(group.name) + " ", *command);
      }
    }
  }
}

void Program::add_command(CLI::App& parent, const std::string& prefix, Command& command) {
  CLI::App* const parser = parent.add_subcommand(command.name(), command.summary());
  parser->group(prefix.empty() ? heading_of(command.name()) : "Subcommands");
  parser->footer(fmt::format("Manual: man ssn-{}", prefix.empty() ? command.name() : command.group()));
  parser->formatter(std::make_shared<ExampleFirstFormatter>(command.examples()));
  ParserTable table(*parser);
  command.declare(table);
  parser->add_flag("--json", output_.json, "One JSON document on standard output");
  parser->add_flag("-q,--quiet", output_.quiet, "Only errors and warnings");
  entries_.push_back({parser, &command, prefix + command.name()});
}

bool Program::has_entry(const std::string& path) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.path == path; });
}

Exit Program::unknown_command(const std::string& prefix, const std::string& given, bool json) const {
  std::vector<std::string> commands;
  for (const Entry& entry : entries_) {
    const std::size_t space = entry.path.rfind(' ');
    const std::size_t start = space == std::string::npos ? 0 : space + 1;
    if (entry.path.substr(0, start) == prefix) {
      commands.push_back(entry.path.substr(start));
    }
  }
  const std::string meant = hw::nearest(given, commands);
  const std::string fix = meant.empty() ? fmt::format("see `ssn {}--help`", prefix)
                                        : fmt::format("did you mean `ssn {}{}`?", prefix, meant);
  return usage_failure(
      {Exit::usage, "cannot do that", fmt::format("ssn has no command {}{}", prefix, given), "", fix}, json);
}

Exit Program::parse_failure(const CLI::ParseError& failure, bool json) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {  // commands before their groups
    if (entry->parser->parsed()) {
      return usage_failure({Exit::usage, "cannot understand the command line", failure.what(),
                            "ssn " + entry->path, fmt::format("see `ssn {} --help`", entry->path)},
                           json);
    }
  }
  return usage_failure(
      {Exit::usage, "cannot understand the command line", failure.what(), "ssn", "see `ssn --help`"}, json);
}

// The first words that are no command get a better answer than the library's.
std::optional<Exit> Program::check_path(int argc, char** argv, bool json) const {
  std::string prefix;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.empty() || word[0] == '-') {
      return std::nullopt;
    }
    if (!has_entry(prefix + word)) {
      return unknown_command(prefix, word, json);
    }
    const bool group = std::any_of(groups_.begin(), groups_.end(),
                                   [&](const CommandGroup& g) { return prefix.empty() && word == g.name; });
    if (!group) {
      return std::nullopt;
    }
    prefix = word + " ";
  }
  if (!prefix.empty()) {  // a group alone
    prefix.pop_back();
  }
  return show_help(prefix);
}

Exit Program::show_help(const std::string& path) const {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.path == path; });
  fmt::print(stderr, "{}", entry == entries_.end() ? app_.help() : entry->parser->help("ssn"));
  return Exit::usage;
}

Exit Program::run(int argc, char** argv) {
  const bool json =
      std::any_of(argv + 1, argv + argc, [](const char* a) { return std::string_view(a) == "--json"; });
  if (const std::optional<Exit> answered = check_path(argc, argv, json)) {
    return *answered;
  }
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help and --version
    app_.exit(wanted);
    return Exit::ok;
  } catch (const CLI::ParseError& failure) {
    return parse_failure(failure, json);
  }
  for (const Entry& entry : entries_) {
    if (entry.command != nullptr && entry.parser->parsed()) {
      return entry.command->run(output_);
    }
  }
  return Exit::usage;  // not reached: the parser wants one command
}

// What was printed must have arrived, or a full disk would look like success.
Exit flush_standard_output(Exit code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
    return code;
  }
  print_error(system_error(errno != 0 ? errno : EIO, "cannot write the results", "standard output"));
  return code == Exit::ok ? Exit::failed : code;
}

}  // namespace
}  // namespace ssn::cli

int main(int argc, char** argv) {
  using namespace ssn;
  using namespace ssn::cli;
  ssn::hw::disable_core_dumps();
  install_signal_handlers();
  Exit code = Exit::failed;
  try {
    code = Program().run(argc, argv);
  } catch (const std::bad_alloc&) {
    print_error(
        {Exit::temporary, "cannot go on", "there is not enough memory", "", "free memory and try again"});
    code = Exit::temporary;
  } catch (const std::exception& unexpected) {
    print_error({Exit::failed, "cannot go on", unexpected.what(), "", "report this as a bug"});
  }
  return static_cast<int>(flush_standard_output(code));
}
