// SPDX-License-Identifier: BSD-3-Clause
// `ssn config`: the network's configuration and its versions (Y.3808, 10.2: configuration control, policy
// based control).
#include <fmt/core.h>

#include <cerrno>

#include "confirm.h"
#include "object_command.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using controller::ConfigurationChange;
using controller::ConfigurationDifference;
using controller::ConfigurationRequest;
using controller::ConfigurationVersion;

constexpr const char* what_change = "cannot change the network's configuration";

std::string time_of(std::uint64_t ms) { return shown_time(static_cast<std::int64_t>(ms / 1000)); }

void write_version(JsonWriter& json, const ConfigurationVersion& version) {
  json.member("number", version.number).member("time_ms", version.time_ms).member("who", version.who);
  json.member("comment", version.comment).member("digest", "sha256:" + version.digest);
}

void write_change(JsonWriter& json, const ConfigurationChange& change) {
  json.key("version").begin_object();
  write_version(json, change.version);
  json.end_object().member("changed", change.changed).key("problems").begin_array();
  for (const Error& problem : change.problems) {
    json.begin_object().member("where", problem.where).member("why", problem.why);
    json.member("fix", problem.fix).end_object();
  }
  json.end_array().key("differences").begin_array();
  for (const ConfigurationDifference& difference : change.differences) {
    json.begin_object().member("setting", difference.setting).member("before", difference.before);
    json.member("after", difference.after).end_object();
  }
  json.end_array().key("weaker").begin_array();
  for (const std::string& weaker : change.weaker) {
    json.value(weaker);
  }
  json.end_array();
}

std::string shown_differences(const ConfigurationChange& change) {
  std::string text;
  for (const ConfigurationDifference& each : change.differences) {
    const auto line = [&](const char* sign, const std::string& value) {
      if (!value.empty()) {
        text.append(fmt::format("{} {} = {}\n", sign, shown_name(each.setting), shown_name(value)));
      }
    };
    line("-", each.before);
    line("+", each.after);
  }
  for (const std::string& weaker : change.weaker) {
    text.append(fmt::format("! {}\n", shown_name(weaker)));
  }
  return text;
}

Result<std::string> text_in(const std::string& path) {
  constexpr const char* what = "cannot read the network's configuration";
  std::FILE* const file = path == "-" ? stdin : std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return system_error(errno, what, path);
  }
  std::string text(controller::configuration_max + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const bool good = std::ferror(file) == 0;
  if (path != "-") {
    static_cast<void>(std::fclose(file));
  }
  if (!good) {
    return Error{Exit::failed, what, "reading failed", path, "see that it is a file, and its disk"};
  }
  if (text.size() > controller::configuration_max) {
    return Error{Exit::usage, what, fmt::format("it has more than {} bytes", controller::configuration_max),
                 path, "name another file: no configuration is that long"};
  }
  return text;
}

Result<ConfigurationRequest> request_of(const std::string& path) {
  Result<std::string> text = text_in(path);
  if (!text.ok()) {
    return text.error();
  }
  ConfigurationRequest request;
  request.text = std::move(text.value());
  request.name = path == "-" ? "standard input" : path;
  return request;
}

// What all of them do that have the controller look at a text.
class ChangeCommand : public CatalogueCommand {
 public:
  using CatalogueCommand::CatalogueCommand;

 protected:
  // Prints what is wrong with it, each with its line; true if anything is.
  static bool told_problems(const ConfigurationChange& change) {
    for (const Error& problem : change.problems) {
      print_error(problem);
    }
    return !change.problems.empty();
  }
  void print_document(const ConfigurationChange& change, Exit code) const {
    JsonWriter json;
    const Error* const first = change.problems.empty() ? nullptr : &change.problems.front();
    begin_document(json, schema(), code == Exit::usage ? first : nullptr);
    write_change(json, change);
    json.end_object();
    print_text(json.text());
  }
  Result<ConfigurationChange> dry_run(client::ControllerClient& client, ConfigurationRequest request) const {
    request.dry_run = true;
    return client.configure(request);
  }

  // Looks first, asks where protection would become weaker, then does it to the version that it looked at.
  Result<Exit> change(client::ControllerClient& client, ConfigurationRequest request,
                      const OutputOptions& output);

  std::string comment_;
  bool only_look_ = false;
  bool yes_ = false;
};

Result<Exit> ChangeCommand::change(client::ControllerClient& client, ConfigurationRequest request,
                                   const OutputOptions& output) {
  request.comment = comment_;
  Result<ConfigurationChange> seen = dry_run(client, request);
  if (!seen.ok()) {
    return seen.error();
  }
  if (told_problems(seen.value())) {
    if (output.json) print_document(seen.value(), Exit::usage);
    return Exit::usage;
  }
  if (!output.json) {
    print_text(shown_differences(seen.value()));
  }
  if (!only_look_ && seen.value().changed) {
    if (!seen.value().weaker.empty()) {
      const std::string question = fmt::format("{}: apply it all the same?", seen.value().weaker.front());
      if (Outcome confirmed = confirm(what_change, shown_name(question), request.name, yes_);
          !confirmed.ok()) {
        return confirmed.error();
      }
    }
    request.base = seen.value().version.number;
    Result<ConfigurationChange> changed = client.configure(request);
    if (!changed.ok()) {
      return changed.error();
    }
    seen = std::move(changed);
  }
  if (output.json) {
    print_document(seen.value(), Exit::ok);
    return Exit::ok;
  }
  const char* const said = !seen.value().changed ? "is in force, and says the same"
                           : only_look_          ? "is in force; this would be another one"
                                                 : "is in force now";
  print_note(output, fmt::format("version {} {}", seen.value().version.number, said));
  return Exit::ok;
}

class ShowCommand final : public CatalogueCommand {
 public:
  ShowCommand() : CatalogueCommand("show", "config") {}
  const char* summary() const noexcept override { return "Print the network's configuration"; }
  const char* examples() const noexcept override {
    return "  ssn config show --config operator.toml > network.toml   edit it, then ssn config apply "
           "network.toml\n"
           "  ssn config show 7                                       as it was in version 7\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.optional_argument("VERSION", version_, "As in ssn config history (default: the one in force)");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;

  std::string version_;
};

Result<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || number > 1'000'000'000'000) {
      number = 0;
      break;
    }
    number = 10 * number + static_cast<std::uint64_t>(c - '0');
  }
  if (number == 0) {
    return Error{Exit::usage, "cannot find the version", "this is no number of a version", text,
                 "give one of ssn config history"};
  }
  return number;
}

Result<Exit> ShowCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const Result<std::uint64_t> number = version_.empty() ? Result<std::uint64_t>(0) : number_of(version_);
  if (!number.ok()) {
    return number.error();
  }
  const Result<ConfigurationVersion> version = client.configuration(number.value());
  if (!version.ok()) {
    return version.error();
  }
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    write_version(json, version.value());
    json.member("text", version.value().text).end_object();
    print_text(json.text());
  } else {
    print_text(version.value().text);
  }
  return Exit::ok;
}

class CheckCommand final : public ChangeCommand {
 public:
  CheckCommand() : ChangeCommand("check", "config") {}
  const char* summary() const noexcept override {
    return "Have the controller check a file; changes nothing";
  }
  const char* examples() const noexcept override {
    return "  ssn config check network.toml --config operator.toml\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("FILE", file_, "The network's configuration; - for standard input");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    Result<ConfigurationRequest> request = request_of(file_);
    if (!request.ok()) {
      return request.error();
    }
    const Result<ConfigurationChange> seen = dry_run(client, std::move(request.value()));
    if (!seen.ok()) {
      return seen.error();
    }
    const bool wrong = told_problems(seen.value());
    if (output.json) {
      print_document(seen.value(), wrong ? Exit::usage : Exit::ok);
    } else if (!wrong) {
      print_note(output, fmt::format("{}: good; {} settings are other ones than in version {}", file_,
                                     seen.value().differences.size(), seen.value().version.number));
    }
    return wrong ? Exit::usage : Exit::ok;
  }

  std::string file_;
};

class DiffCommand final : public ChangeCommand {
 public:
  DiffCommand() : ChangeCommand("diff", "config") {}
  const char* summary() const noexcept override {
    return "What a file would change in the network's configuration";
  }
  const char* examples() const noexcept override {
    return "  ssn config diff network.toml --config operator.toml   - what is in force, + what would be, ! "
           "weaker\n"
           "  ssn config diff network.toml --check                  for scripts: 3 if there is a "
           "difference\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("FILE", file_, "The network's configuration; - for standard input");
    table.flag("--check", check_, "End with 3 if there is a difference");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    Result<ConfigurationRequest> request = request_of(file_);
    if (!request.ok()) {
      return request.error();
    }
    const Result<ConfigurationChange> seen = dry_run(client, std::move(request.value()));
    if (!seen.ok()) {
      return seen.error();
    }
    if (told_problems(seen.value())) {
      if (output.json) print_document(seen.value(), Exit::usage);
      return Exit::usage;
    }
    if (output.json) {
      print_document(seen.value(), Exit::ok);
    } else {
      print_text(shown_differences(seen.value()));
      print_note(output, fmt::format("{} settings are other ones than in version {}",
                                     seen.value().differences.size(), seen.value().version.number));
    }
    return check_ && !seen.value().differences.empty() ? Exit::degraded : Exit::ok;
  }

  std::string file_;
  bool check_ = false;
};

class ApplyCommand final : public ChangeCommand {
 public:
  ApplyCommand() : ChangeCommand("apply", "config") {}
  const char* summary() const noexcept override {
    return "Put a file into force as the network's configuration";
  }
  const char* examples() const noexcept override {
    return "  ssn config apply network.toml --comment 'archive in three sites' --config operator.toml\n"
           "  ssn config apply network.toml --dry-run     what it would change\n"
           "  ssn config apply network.toml --base 7      only if version 7 is in force\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.argument("FILE", file_, "The network's configuration; - for standard input");
    table.text("--comment", comment_, "TEXT", optional, "Why, for the history");
    table.text(
        "--base", base_, "VERSION", optional,
        "Only if this version is in force (default: the one that the file names, any if it names none)");
    table.flag("--dry-run", only_look_, "Show what it would change, and change nothing");
    table.flag("--yes", yes_,
               "Do not ask where protection becomes weaker; needed where standard input is no "
               "terminal");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    Result<ConfigurationRequest> request = request_of(file_);
    const Result<std::uint64_t> base = base_.empty() ? Result<std::uint64_t>(0) : number_of(base_);
    if (!request.ok() || !base.ok()) {
      return request.ok() ? base.error() : request.error();
    }
    request.value().base = base.value();
    return change(client, std::move(request.value()), output);
  }

  std::string file_;
  std::string base_;
};

class RollbackCommand final : public ChangeCommand {
 public:
  RollbackCommand() : ChangeCommand("rollback", "config") {}
  const char* summary() const noexcept override {
    return "Put an older version into force again, as a new one";
  }
  const char* examples() const noexcept override {
    return "  ssn config history --config operator.toml\n"
           "  ssn config rollback 7 --dry-run             what it would change\n"
           "  ssn config rollback 7 --comment 'too few sites'\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.argument("VERSION", version_, "As in ssn config history");
    table.text("--comment", comment_, "TEXT", optional, "Why, for the history (default: as version VERSION)");
    table.flag("--dry-run", only_look_, "Show what it would change, and change nothing");
    table.flag("--yes", yes_,
               "Do not ask where protection becomes weaker; needed where standard input is no "
               "terminal");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const Result<std::uint64_t> version = number_of(version_);
    if (!version.ok()) {
      return version.error();
    }
    ConfigurationRequest request;
    request.rollback_to = version.value();
    request.name = fmt::format("version {}", version.value());
    comment_ = comment_.empty() ? fmt::format("as version {}", version.value()) : comment_;
    return change(client, std::move(request), output);
  }

  std::string version_;
};

class HistoryCommand final : public CatalogueCommand {
 public:
  HistoryCommand() : CatalogueCommand("history", "config") {}
  const char* summary() const noexcept override { return "Versions of the network's configuration"; }
  const char* examples() const noexcept override {
    return "  ssn config history --config operator.toml   the newest first: when, by whom, why\n";
  }

 private:
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const Result<std::vector<ConfigurationVersion>> all = client.configurations();
    if (!all.ok()) {
      return all.error();
    }
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.key("versions").begin_array();
      for (const ConfigurationVersion& version : all.value()) {
        json.begin_object();
        write_version(json, version);
        json.end_object();
      }
      json.end_array().end_object();
      print_text(json.text());
      return Exit::ok;
    }
    TextTable table({"VERSION>", "SINCE (UTC)", "BY", "SHA-256", "COMMENT"});
    for (const ConfigurationVersion& version : all.value()) {
      table.add({fmt::format("{}", version.number), time_of(version.time_ms), shown_name(version.who),
                 version.digest.substr(0, 12), shown_name(version.comment)});
    }
    print_text(table.text());
    return Exit::ok;
  }
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_config_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<ShowCommand>());
  commands.push_back(std::make_unique<CheckCommand>());
  commands.push_back(std::make_unique<DiffCommand>());
  commands.push_back(std::make_unique<ApplyCommand>());
  commands.push_back(std::make_unique<HistoryCommand>());
  commands.push_back(std::make_unique<RollbackCommand>());
  return commands;
}

}  // namespace ssn::cli
