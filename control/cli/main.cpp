// SPDX-License-Identifier: BSD-3-Clause
// The command tree. The only file that includes the command-line library: it takes long to compile, and its
// exit codes and messages are not ours.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>

#include "command.h"
#include "interrupt.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::cli {
namespace {

constexpr const char* overview =
    "  ssn split --k 3 --n 5 photo.raw           five share files, any three of which restore it\n"
    "  ssn combine -o photo.raw photo.raw.*.ssn  restore it; bad shares are found and named\n"
    "  ssn inspect --check photo.raw.*.ssn       what the files are, and whether they are whole\n";

// All commands, in the order of the help.
std::vector<std::unique_ptr<Command>> make_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_split_command());
  commands.push_back(make_combine_command());
  commands.push_back(make_inspect_command());
  commands.push_back(make_version_command());
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

  void arguments(const char* value, std::vector<std::string>& target, std::size_t most,
                 const char* help) override {
    app_.add_option(value, target, help)->required()->type_name("")->expected(1, static_cast<int>(most));
  }

 private:
  CLI::App& app_;
};

// The number of single-letter changes between two words (Levenshtein 1965).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

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
  Exit parse_failure(const CLI::ParseError& failure, bool json) const;
  Exit unknown_command(const std::string& given, bool json) const;

  CLI::App app_{"Secret sharing of files"};
  std::vector<std::unique_ptr<Command>> commands_ = make_commands();
  std::vector<CLI::App*> parsers_;
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
    CLI::App* const parser = app_.add_subcommand(command->name(), command->summary());
    parser->group("Commands");
    parser->footer(fmt::format("Manual: man ssn-{}", command->name()));
    parser->formatter(std::make_shared<ExampleFirstFormatter>(command->examples()));
    ParserTable table(*parser);
    command->declare(table);
    parser->add_flag("--json", output_.json, "One JSON document on standard output");
    parser->add_flag("-q,--quiet", output_.quiet, "Only errors and warnings");
    parsers_.push_back(parser);
  }
}

Exit Program::unknown_command(const std::string& given, bool json) const {
  std::string nearest;
  std::size_t least = 3;  // more changes than that are no typing error
  for (const std::unique_ptr<Command>& command : commands_) {
    if (const std::size_t changes = distance(given, command->name()); changes < least) {
      least = changes;
      nearest = command->name();
    }
  }
  const std::string fix =
      nearest.empty() ? "see `ssn --help`" : fmt::format("did you mean `ssn {}`?", nearest);
  return usage_failure({Exit::usage, "cannot do that", fmt::format("ssn has no command {}", given), "", fix},
                       json);
}

Exit Program::parse_failure(const CLI::ParseError& failure, bool json) const {
  for (const CLI::App* const parser : parsers_) {
    if (parser->parsed()) {
      return usage_failure(
          {Exit::usage, "cannot understand the command line", failure.what(), "ssn " + parser->get_name(),
           fmt::format("see `ssn {} --help`", parser->get_name())},
          json);
    }
  }
  return usage_failure(
      {Exit::usage, "cannot understand the command line", failure.what(), "ssn", "see `ssn --help`"}, json);
}

Exit Program::run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "{}", app_.help());
    return Exit::usage;
  }
  const bool json =
      std::any_of(argv + 1, argv + argc, [](const char* a) { return std::string_view(a) == "--json"; });
  const std::string first = argv[1];
  const bool known =
      std::any_of(commands_.begin(), commands_.end(), [&](const auto& c) { return first == c->name(); });
  if (!known && !first.empty() && first[0] != '-') {
    return unknown_command(first, json);
  }
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help and --version
    app_.exit(wanted);
    return Exit::ok;
  } catch (const CLI::ParseError& failure) {
    return parse_failure(failure, json);
  }
  for (std::size_t i = 0; i < parsers_.size(); ++i) {
    if (parsers_[i]->parsed()) {
      return commands_[i]->run(output_);
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
