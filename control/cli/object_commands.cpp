// SPDX-License-Identifier: BSD-3-Clause
// `ssn ls`, `ssn stat` and `ssn rm`: what needs the controller only.
#include <fmt/core.h>

#include <algorithm>

#include "confirm.h"
#include "object_command.h"
#include "progress.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

constexpr std::uint32_t page = 1000;

std::string shown_committed(std::uint64_t milliseconds) {
  return shown_time(static_cast<std::int64_t>(milliseconds / 1000));
}

class LsCommand final : public CatalogueCommand {
 public:
  LsCommand() : CatalogueCommand("ls") {}
  const char* summary() const noexcept override { return "List stored objects"; }
  const char* examples() const noexcept override {
    return "  ssn ls --config owner.toml                   all of yours\n"
           "  ssn ls --prefix photos/ --json\n"
           "  ssn ls --owner alice --config operator.toml  an operator looks\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--prefix", prefix_, "TEXT", optional, "Only names that begin so");
    table.text("--owner", owner_, "NAME", optional, "For operators: whose objects");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_json(const std::vector<controller::ObjectSummary>& objects) const;

  std::string prefix_;
  std::string owner_;
};

void LsCommand::print_json(const std::vector<controller::ObjectSummary>& objects) const {
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("objects").begin_array();
  for (const controller::ObjectSummary& object : objects) {
    json.begin_object().member("name", object.name).member("id", id_text(object.id));
    json.member("size", object.size).member("k", object.k).member("n", object.n);
    json.member("shares", object.shares).member("shares_up", object.shares_up);
    json.member("health", health_of(object.shares_up, object.k, object.n));
    json.member("protection", controller::name(object.protection));
    json.member("committed_ms", object.committed_ms).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> LsCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  std::vector<controller::ObjectSummary> objects;
  std::string after;
  do {
    Result<controller::ObjectPage> next = client.list(prefix_, after, page, owner_);
    if (!next.ok()) {
      return next.error();
    }
    // A page behind this one, or the controller leads us in circles.
    if (!next.value().next.empty() && next.value().next <= after) {
      return Error{Exit::integrity, "cannot list the objects", "the controller repeats itself", "",
                   "report this as a bug"};
    }
    after = next.value().next;
    std::move(next.value().objects.begin(), next.value().objects.end(), std::back_inserter(objects));
  } while (!after.empty());
  if (output.json) {
    print_json(objects);
    return Exit::ok;
  }
  TextTable table({"SIZE>", "SHARES>", "HEALTH", "PROTECTION", "COMMITTED (UTC)", "NAME"});
  for (const controller::ObjectSummary& object : objects) {
    table.add({format_bytes(object.size), fmt::format("{}/{}", object.shares_up, object.n),
               std::string(health_of(object.shares_up, object.k, object.n)),
               std::string(controller::name(object.protection)), shown_committed(object.committed_ms),
               shown_name(object.name)});
  }
  if (!table.empty()) {
    print_text(table.text());
  }
  print_note(output, fmt::format("{} objects", objects.size()));
  return Exit::ok;
}

class StatCommand final : public CatalogueCommand {
 public:
  StatCommand() : CatalogueCommand("stat") {}
  const char* summary() const noexcept override {
    return "Show one stored object: where its shares are, and how";
  }
  const char* examples() const noexcept override {
    return "  ssn stat photos/cat.raw --config owner.toml\n"
           "  ssn stat photos/cat.raw --json\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NAME", name_, "The object");
    table.text("--owner", owner_, "NAME", OptionTable::Need::optional, "For operators: whose object");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_json(const controller::Object& object, std::uint32_t up) const;
  static void print_all(const controller::Object& object, std::uint32_t up);

  std::string name_;
  std::string owner_;
};

void StatCommand::print_json(const controller::Object& object, std::uint32_t up) const {
  const controller::Layout& layout = object.layout;
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.member("name", object.name).member("owner", object.owner).member("id", id_text(object.id));
  json.member("generation", object.generation).member("generation_age_ms", object.generation_age_ms);
  json.member("state", controller::name(object.state));
  json.member("size", object.size).member("cells", object.cells).member("cell_bytes", object.cell_bytes);
  json.member("protection", controller::name(object.protection)).member("class", object.class_name);
  json.member("random", controller::name(object.rules.keys.random));
  json.member("shortage", controller::name(object.rules.keys.shortage));
  json.member("created_ms", object.created_ms).member("committed_ms", object.committed_ms);
  json.member("health", health_of(up, layout.k, layout.n)).key("layout").begin_object();
  json.member("scheme", controller::name(layout.scheme)).member("k", layout.k).member("n", layout.n);
  json.member("secret_blocks", layout.secret_blocks).member("quorum", layout.quorum);
  json.member("minimum", layout.minimum)
      .member("pad_shares", layout.row_rule == controller::RowRule::rotating);
  json.member("pad_rows", layout.kept_rows).member("pad_rule", controller::name(layout.pad_rule));
  json.member("pad_reason", layout.pad_reason);
  json.member("reason", layout.reason).end_object();
  json.member("attempt_runs", std::uint64_t{object.attempts.size()}).key("shares").begin_array();
  for (std::size_t i = 0; i < layout.holders.size(); ++i) {
    const controller::Holder& holder = layout.holders[i];
    json.begin_object().member("share", static_cast<unsigned>(i + 1)).member("node", holder.node);
    json.member("domain", holder.domain).member("state", controller::name(holder.state));
    json.member("up", holder.up).member("trouble", holder.trouble).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

// Empty for objects of before it was decided.
std::string pads_line(const controller::Layout& layout) {
  return layout.pad_reason.empty() ? std::string()
                                   : fmt::format("pad shares {}: {}\n", layout.kept_rows != 0 ? "on" : "off",
                                                 shown_name(layout.pad_reason));
}

// What is asked of nodes; empty: nothing.
std::string demand_line(const controller::KeyDemand& keys) {
  if (keys == controller::KeyDemand()) return "";
  return fmt::format("random blocks: {}; when keys run short: {}\n", controller::name(keys.random),
                     controller::name(keys.shortage));
}

void StatCommand::print_all(const controller::Object& object, std::uint32_t up) {
  const controller::Layout& layout = object.layout;
  print_text(fmt::format(
      "{}, {}, {}\nobject {}, generation {}, {} old, of {}, committed {} UTC\n"
      "{}, any {} of {} shares restore it, {} up, protection {}{}\n{}\n{}{}\n",
      shown_name(object.name), format_bytes(object.size), health_of(up, layout.k, layout.n),
      id_text(object.id), object.generation,
      format_duration(static_cast<double>(object.generation_age_ms / 1000)), shown_name(object.owner),
      shown_committed(object.committed_ms), controller::name(layout.scheme), layout.k, layout.n, up,
      controller::name(object.protection),
      object.class_name.empty() ? "" : ", class " + shown_name(object.class_name), shown_name(layout.reason),
      pads_line(layout), demand_line(object.rules.keys)));
  TextTable table({"", "SHARE>", "NODE", "DOMAIN", "STATE", "NODE IS", ""});
  for (std::size_t i = 0; i < layout.holders.size(); ++i) {
    const controller::Holder& holder = layout.holders[i];
    const bool good = holder.up && holder.state == controller::ShareState::sealed;
    table.add({good ? "" : "!", fmt::format("{}", i + 1), shown_name(holder.node), shown_name(holder.domain),
               std::string(controller::name(holder.state)), holder.up ? "up" : "down",
               shown_name(holder.trouble)});
  }
  print_text(table.text());
}

Result<Exit> StatCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const Result<controller::Object> object = client.stat(name_, owner_);
  if (!object.ok()) {
    return object.error();
  }
  const controller::Layout& layout = object.value().layout;
  const std::uint32_t up = shares_up(object.value());
  if (output.json) {
    print_json(object.value(), up);
  } else {
    print_all(object.value(), up);
  }
  return up < layout.n ? Exit::degraded : Exit::ok;
}

class RmCommand final : public CatalogueCommand {
 public:
  RmCommand() : CatalogueCommand("rm") {}
  const char* summary() const noexcept override { return "Remove stored objects"; }
  const char* examples() const noexcept override {
    return "  ssn rm photos/cat.raw --config owner.toml   asks at a terminal\n"
           "  ssn rm old/1 old/2 --missing-ok --yes       for scripts\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.arguments("NAME", names_, 10'000, "The objects");
    table.flag("--missing-ok", missing_ok_, "A name without an object is no error");
    table.flag("--yes", yes_, "Do not ask; needed where standard input is no terminal");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;

  std::vector<std::string> names_;
  bool missing_ok_ = false;
  bool yes_ = false;
};

Result<Exit> RmCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const std::string what =
      names_.size() == 1 ? shown_name(names_[0]) : fmt::format("{} objects", names_.size());
  if (Outcome confirmed =
          confirm("cannot remove", fmt::format("remove {} for good?", what), shown_name(names_[0]), yes_);
      !confirmed.ok()) {
    return confirmed.error();
  }
  JsonWriter json;
  std::vector<std::pair<std::string, Result<std::uint64_t>>> removed;
  const Error* first = nullptr;
  for (const std::string& name : names_) {
    removed.emplace_back(name, client.remove(name, 0));
    const Result<std::uint64_t>& one = removed.back().second;
    if (!one.ok() && !(missing_ok_ && one.error().code == Exit::not_found)) {
      print_error(one.error());
    }
  }
  for (const auto& [name, one] : removed) {
    if (first == nullptr && !one.ok() && !(missing_ok_ && one.error().code == Exit::not_found)) {
      first = &one.error();
    }
  }
  const auto count =
      std::count_if(removed.begin(), removed.end(), [](const auto& one) { return one.second.ok(); });
  if (output.json) {
    begin_document(json, schema(), first);
    json.key("objects").begin_array();
    for (const auto& [name, one] : removed) {
      json.begin_object().member("name", name).member("removed", one.ok());
      json.member("id", one.ok() ? id_text(one.value()) : "");
      json.member("error", one.ok() ? std::string_view("") : ssn::name(one.error().code)).end_object();
    }
    json.end_array().end_object();
    print_text(json.text());
  }
  print_note(output, fmt::format("{} of {} objects removed; their holders erase them when they report next",
                                 count, removed.size()));
  return first == nullptr ? Exit::ok : first->code;
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_object_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<LsCommand>());
  commands.push_back(std::make_unique<StatCommand>());
  commands.push_back(std::make_unique<RmCommand>());
  return commands;
}

}  // namespace ssn::cli
