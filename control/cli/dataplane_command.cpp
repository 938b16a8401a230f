// SPDX-License-Identifier: BSD-3-Clause
// `ssn dataplane status`, `graph`, `swap` and `readmit`: questions with one answer.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "confirm.h"
#include "dataplane_place.h"
#include "graph_drawing.h"
#include "io.h"
#include "progress.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

double seconds_of(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

class StatusCommand final : public DataplaneCommand {
 public:
  StatusCommand()
      : DataplaneCommand("status", "Show what runs in a data plane, and how it is",
                         "  ssn dataplane status --config sae-a.toml\n"
                         "  ssn dataplane status --socket sae-a.agent.sock --json\n"
                         "  ssn dataplane status --connect 192.0.2.1:7000 --name sae-a --ca ca.crt \\\n"
                         "      --certificate operator.crt --key operator.key\n") {}

 private:
  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;
  void print_json(const agent::Status& status) const;
};

void StatusCommand::print_json(const agent::Status& status) const {
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.member("node", status.node).member("version", status.version).member("role", status.role);
  json.member("configuration", status.configuration).member("generation", status.generation);
  json.member("process_id", status.process_id).member("uptime_seconds", seconds_of(status.uptime));
  json.key("fallbacks").begin_array();
  for (const std::string& fallback : status.fallbacks) {
    json.value(fallback);
  }
  json.end_array().key("items").begin_array();
  for (const agent::StatusItem& item : status.items) {
    json.begin_object().member("kind", item.kind).member("name", item.name).member("healthy", item.healthy);
    json.member("condition", item.condition).key("properties").begin_object();
    for (const auto& [name, value] : item.properties) {
      json.member(name, value);
    }
    json.end_object().end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> StatusCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  const Result<agent::Status> answer = client.status();
  if (!answer.ok()) {
    return answer.error();
  }
  const agent::Status& status = answer.value();
  if (output.json) {
    print_json(status);
    return Exit::ok;
  }
  print_text(fmt::format("{}, role {}, version {}, process {}, up {}\nconfiguration {}, generation {}\n",
                         status.node, status.role, status.version, status.process_id,
                         format_duration(seconds_of(status.uptime)), status.configuration,
                         status.generation));
  for (const std::string& fallback : status.fallbacks) {
    print_text(fmt::format("fallback: {}\n", fallback));
  }
  TextTable table({"", "KIND", "NAME", "CONDITION", ""});
  for (const agent::StatusItem& item : status.items) {
    std::string properties;
    for (const auto& [name, value] : item.properties) {
      properties += (properties.empty() ? "" : ", ") + name + " " + value;
    }
    table.add({item.healthy ? "" : "!", item.kind, item.name, item.condition, properties});
  }
  print_text(fmt::format("\n{}", table.text()));
  return Exit::ok;
}

class GraphCommand final : public DataplaneCommand {
 public:
  GraphCommand()
      : DataplaneCommand("graph", "Show the graph of a data plane's workers as it runs",
                         "  ssn dataplane graph --config sae-a.toml\n"
                         "  ssn dataplane graph --format svg --config sae-a.toml > graph.svg\n"
                         "  ssn dataplane graph --format dot --config sae-a.toml | dot -Tpdf > graph.pdf\n") {
  }

 private:
  void declare_more(OptionTable& table) override {
    table.choice("--format", format_, {"text", "dot", "svg"}, "What to write (default: text)");
    table.number("--worker", worker_, 0, 1023, OptionTable::Need::optional,
                 "Only the graph of this worker (svg: default the first)");
  }
  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;
  void print_json(const std::vector<agent::Graph>& graphs) const;

  static constexpr unsigned all_workers = ~0U;
  std::string format_ = "text";
  unsigned worker_ = all_workers;
};

void GraphCommand::print_json(const std::vector<agent::Graph>& graphs) const {
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("graphs").begin_array();
  for (const agent::Graph& graph : graphs) {
    json.begin_object().member("worker", graph.worker).key("nodes").begin_array();
    for (const agent::GraphNode& node : graph.nodes) {
      json.begin_object().member("name", node.name).key("next").begin_array();
      for (const std::string& next : node.next) {
        json.value(next);
      }
      json.end_array().member("calls", node.calls).member("packets", node.packets);
      json.member("cycles", node.cycles).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> GraphCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  Result<std::vector<agent::Graph>> answer = client.graphs();
  if (!answer.ok()) {
    return answer.error();
  }
  std::vector<agent::Graph>& graphs = answer.value();
  if (worker_ != all_workers) {
    std::erase_if(graphs, [this](const agent::Graph& graph) { return graph.worker != worker_; });
  }
  if (graphs.empty()) {
    return Error{Exit::not_found, "cannot show the graph", "there is no such worker",
                 fmt::format("--worker {}", worker_), "see `ssn dataplane status`"};
  }
  if (output.json) {
    print_json(graphs);
  } else if (format_ == "svg") {
    print_text(draw_svg(graphs.front()));
  } else {
    for (const agent::Graph& graph : graphs) {
      print_text(format_ == "dot" ? draw_dot(graph) : draw_text(graph));
    }
  }
  return Exit::ok;
}

Result<std::string> read_configuration(const std::string& path) {
  constexpr std::size_t longest = std::size_t{1} << 20;
  const Result<FileDescriptor> file = open_input(path);
  if (!file.ok()) {
    return file.error();
  }
  std::vector<std::uint8_t> bytes(longest + 1);
  const std::ptrdiff_t got = read_up_to(file.value().get(), bytes);
  if (got < 0) {
    return system_error(static_cast<int>(-got), "cannot read the configuration", path);
  }
  if (static_cast<std::size_t>(got) > longest) {
    return Error{Exit::usage, "cannot change the configuration", "the file is longer than 1 MiB", path,
                 "give a configuration file"};
  }
  return std::string(bytes.begin(), bytes.begin() + got);
}

class SwapCommand final : public DataplaneCommand {
 public:
  SwapCommand()
      : DataplaneCommand("swap", "Change a running data plane to another configuration",
                         "  ssn dataplane swap sae-a.toml              after it was edited\n"
                         "  ssn dataplane swap sae-a.toml --dry-run    only show what would change\n"
                         "  ssn dataplane swap new.toml --check        is the file sound by itself?\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("FILE", file_, "The new configuration; its socket is the default of --socket");
    table.flag("--check", check_, "Check the file only, change nothing");
    table.flag("--dry-run", dry_run_,
               "Check also whether the process can take it, and show what would change");
  }
  std::string fallback_configuration() const override { return file_; }
  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;
  void print_json(const agent::SwapResult& result) const;

  std::string file_;
  bool check_ = false;
  bool dry_run_ = false;
};

void SwapCommand::print_json(const agent::SwapResult& result) const {
  JsonWriter json;
  begin_document(json, schema(), result.errors.empty() ? nullptr : &result.errors.front());
  json.member("applied", result.applied).member("generation", result.generation);
  json.key("errors").begin_array();
  for (const Error& error : result.errors) {
    json.begin_object()
        .member("code", static_cast<unsigned>(error.code))
        .member("name", ssn::name(error.code));
    json.member("what", error.what).member("why", error.why).member("where", error.where);
    json.member("fix", error.fix).end_object();
  }
  json.end_array().key("changes").begin_array();
  for (const std::string& change : result.changes) {
    json.value(change);
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> SwapCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  if (check_ && dry_run_) {
    return Error{Exit::usage, "cannot understand the command line",
                 "--check and --dry-run exclude each other", "ssn dataplane swap", "give one of them"};
  }
  const Result<std::string> text = read_configuration(file_);
  if (!text.ok()) {
    return text.error();
  }
  std::error_code ignored;
  // Relative paths in it are taken from its folder, so the process must know that.
  const std::string file = std::filesystem::absolute(file_, ignored).lexically_normal().string();
  const agent::SwapMode mode = check_     ? agent::SwapMode::check
                               : dry_run_ ? agent::SwapMode::dry_run
                                          : agent::SwapMode::apply;
  const Result<agent::SwapResult> answer = client.swap(mode, text.value(), file);
  if (!answer.ok()) {
    return answer.error();
  }
  const agent::SwapResult& result = answer.value();
  if (output.json) {
    print_json(result);
  }
  for (const std::string& change : result.changes) {
    if (!output.json) {
      print_text(fmt::format("{}\n", change));
    }
  }
  for (const Error& error : result.errors) {
    print_error(error);
  }
  if (!result.errors.empty()) {
    return result.errors.front().code;
  }
  if (mode == agent::SwapMode::apply && !result.applied) {
    return Error{Exit::failed, "cannot change the configuration", "the process gave no reason", file_,
                 "report this as a bug"};
  }
  print_note(output, check_     ? "the configuration is sound"
                     : dry_run_ ? fmt::format("{} changes; nothing was done", result.changes.size())
                                : fmt::format("done; this is generation {}", result.generation));
  return Exit::ok;
}

class ReadmitCommand final : public DataplaneCommand {
 public:
  ReadmitCommand()
      : DataplaneCommand(
            "readmit", "End the quarantine of a peer, or of the data plane itself",
            "  ssn dataplane readmit sae-b --config sae-a.toml          once no copy of sae-b runs\n"
            "  ssn dataplane readmit --self --config sae-b.toml --yes   at the node that was rolled "
            "back\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.optional_argument("PEER", peer_, "The peer that is in quarantine: ssn dataplane status");
    table.flag("--self", self_, "The node that is asked, which a peer proved to be rolled back or cloned");
    table.flag("-y,--yes", yes_, "Ask nothing");
  }
  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;

  std::string peer_;
  bool self_ = false;
  bool yes_ = false;
};

Result<Exit> ReadmitCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  constexpr const char* what = "cannot end the quarantine";
  if (peer_.empty() != self_) {
    return Error{Exit::usage, what, "either a peer or --self is wanted", "ssn dataplane readmit",
                 "name one peer, or give --self"};
  }
  const std::string whom = self_ ? "this node" : peer_;
  const std::string question = fmt::format(
      "Readmit {}? If a copy of it still runs, pads are used twice, and what they hid is told.", whom);
  if (Outcome confirmed = confirm(what, question, whom, yes_); !confirmed.ok()) {
    return confirmed.error();
  }
  const Result<std::string> ended = client.readmit(peer_);
  if (!ended.ok()) {
    return ended.error();
  }
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("peer", peer_).member("self", self_).member("quarantine", ended.value()).end_object();
    print_text(json.text());
  } else {
    print_note(output, fmt::format("{} is readmitted; it was in quarantine because {}", whom, ended.value()));
  }
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_dataplane_readmit_command() { return std::make_unique<ReadmitCommand>(); }
std::unique_ptr<Command> make_dataplane_status_command() { return std::make_unique<StatusCommand>(); }
std::unique_ptr<Command> make_dataplane_graph_command() { return std::make_unique<GraphCommand>(); }
std::unique_ptr<Command> make_dataplane_swap_command() { return std::make_unique<SwapCommand>(); }

}  // namespace ssn::cli
