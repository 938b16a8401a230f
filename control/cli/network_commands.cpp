// SPDX-License-Identifier: BSD-3-Clause
// `ssn nodes` and `ssn explain`: the network as the controller sees it, and why shares lie where they do.
#include <fmt/core.h>

#include "node_text.h"
#include "object_command.h"
#include "progress.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using controller::Label;
using controller::Labels;
using controller::NodeChoice;
using controller::PlacementRule;

constexpr std::pair<Label, const char*> labels[] = {{Label::site, "site"},
                                                    {Label::operated_by, "operator"},
                                                    {Label::power, "power"},
                                                    {Label::key_manager, "key_manager"}};

class NodesCommand final : public CatalogueCommand {
 public:
  NodesCommand() : CatalogueCommand("nodes") {}
  const char* summary() const noexcept override { return "List the nodes of the storage network"; }
  const char* examples() const noexcept override {
    return "  ssn nodes --config operator.toml           who is up, and where it stands\n"
           "  ssn nodes --paths --config operator.toml   and what the pads between them cross\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.flag("--paths", paths_, "Show key managers and relays that pads cross, too");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_json(const std::vector<controller::Node>& nodes) const;
  void print_all(const std::vector<controller::Node>& nodes) const;

  bool paths_ = false;
};

// The operator's word; what only the node says has a question mark.
std::string shown_label(const controller::Node& node, Label label) {
  const std::string& said = node.labels[label];
  const std::string& claimed = node.claimed[label];
  if (said.empty()) {
    return claimed.empty() ? "-" : shown_name(claimed) + "?";
  }
  return claimed.empty() || claimed == said
             ? shown_name(said)
             : fmt::format("{} (not {})", shown_name(said), shown_name(claimed));
}

void write_labels(JsonWriter& json, const char* key, const Labels& from) {
  json.key(key).begin_object();
  for (const auto& [label, name] : labels) {
    json.member(name, from[label]);
  }
  json.end_object();
}

void NodesCommand::print_json(const std::vector<controller::Node>& nodes) const {
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("nodes").begin_array();
  for (const controller::Node& node : nodes) {
    json.begin_object();
    write_node(json, node);
    json.member("up", node.up).member("read_only", node.read_only);
    json.member("agent", node.agent).member("version", node.version);
    write_labels(json, "labels", node.labels);
    write_labels(json, "claimed", node.claimed);
    json.member("delivered_once", node.delivered_once).key("key_paths").begin_array();
    for (const controller::KeyPath& path : node.key_paths) {
      json.begin_object().member("peer", path.peer).key("crosses").begin_array();
      for (const std::string& name : path.crosses) {
        json.value(name);
      }
      json.end_array().end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

void NodesCommand::print_all(const std::vector<controller::Node>& nodes) const {
  TextTable table(
      {"", "NODE", "ROLE", "STATE", "SERVICE", "FREE>", "SITE", "OPERATOR", "POWER", "KEY MANAGER"});
  for (const controller::Node& node : nodes) {
    const std::string state(node_state(node));
    table.add({state == "up" ? "" : "!", shown_name(node.name), node_roles(node), state,
               std::string(controller::name(node.service)), format_bytes(node_free_bytes(node)),
               shown_label(node, Label::site), shown_label(node, Label::operated_by),
               shown_label(node, Label::power), shown_label(node, Label::key_manager)});
  }
  print_text(table.text());
  if (!paths_) {
    return;
  }
  TextTable paths({"FROM", "TO", "PADS CROSS"});
  for (const controller::Node& node : nodes) {
    for (const controller::KeyPath& path : node.key_paths) {
      paths.add({shown_name(node.name), shown_name(path.peer),
                 path.crosses.empty() ? "nothing" : shown_names(path.crosses)});
    }
  }
  print_text("\n");
  print_text(paths.empty() ? "no node says what its pads cross\n" : paths.text());
}

Result<Exit> NodesCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const Result<std::vector<controller::Node>> nodes = client.nodes();
  if (!nodes.ok()) {
    return nodes.error();
  }
  if (output.json) {
    print_json(nodes.value());
  } else {
    print_all(nodes.value());
    print_note(output, fmt::format("{} nodes", nodes.value().size()));
  }
  return Exit::ok;
}

class ExplainCommand final : public CatalogueCommand {
 public:
  ExplainCommand() : CatalogueCommand("explain") {}
  const char* summary() const noexcept override {
    return "Say why shares lie where they do, or where they would";
  }
  const char* examples() const noexcept override {
    return "  ssn explain photos/cat.raw --config owner.toml   which rule chose or refused each node\n"
           "  ssn explain --dry-run --k 3 --n 5                the same of a write that nobody makes\n"
           "  ssn explain --dry-run --pad-shares yes --json\n";
  }

 private:
  void declare_more(OptionTable& table) override;
  Result<controller::WriteRequest> request() const;
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_json(const controller::Explanation& explanation) const;
  void print_all(const controller::Explanation& explanation) const;

  std::string name_;
  std::string owner_;
  bool dry_run_ = false;
  std::string class_;
  std::string scheme_;
  unsigned k_ = 0;
  unsigned n_ = 0;
  std::uint64_t size_ = 0;
  std::string pad_shares_;
  std::string ssa_;
};

void ExplainCommand::declare_more(OptionTable& table) {
  using enum OptionTable::Need;
  constexpr unsigned shares = controller::shares_max;
  table.optional_argument("NAME", name_, "The object");
  table.flag("--dry-run", dry_run_, "Explain a write instead, which is not made");
  table.text("--class", class_, "NAME", optional, "As in ssn put (default: the owner's)");
  table.choice("--scheme", scheme_, {"shamir", "shamir-classic", "ramp", "rs"},
               "With --dry-run: how it is shared (default: the controller's policy)");
  table.number("-k,--k", k_, 1, shares, optional, "How many shares restore it (default: policy)");
  table.number("-n,--n", n_, 1, shares, optional, "How many shares to make (default: policy)");
  table.size("--size", size_, 1, std::uint64_t{1} << 50, "How large it is (default: no room is needed)");
  table.choice("--pad-shares", pad_shares_, {"auto", "yes", "no"}, "As in ssn put (default: policy)");
  table.text("--ssa", ssa_, "NODE", optional, "The agent that makes the shares (default: any)");
  table.text("--owner", owner_, "NAME", optional, "For operators: whose object");
}

Result<controller::WriteRequest> ExplainCommand::request() const {
  const bool of_write =
      !scheme_.empty() || k_ != 0 || n_ != 0 || size_ != 0 || !pad_shares_.empty() || !ssa_.empty();
  if (dry_run_ == !name_.empty() || (!dry_run_ && of_write)) {
    return Error{Exit::usage, "cannot explain this",
                 dry_run_        ? "an object and --dry-run exclude each other"
                 : name_.empty() ? "neither an object nor --dry-run is given"
                                 : "options of a write go with --dry-run",
                 name_, "give NAME, or --dry-run with options"};
  }
  controller::WriteRequest request;
  using controller::PadShares;
  using controller::Scheme;
  for (const Scheme scheme : {Scheme::shamir, Scheme::shamir_classic, Scheme::ramp, Scheme::rs}) {
    request.scheme = controller::name(scheme) == scheme_ ? scheme : request.scheme;
  }
  for (const PadShares pads : {PadShares::automatic, PadShares::yes, PadShares::no}) {
    request.pad_shares = controller::name(pads) == pad_shares_ ? pads : request.pad_shares;
  }
  request.class_name = class_;
  request.k = k_;
  request.n = n_;
  request.ssa = ssa_;
  if (size_ != 0) {
    request.size = size_;
  }
  return request;
}

void ExplainCommand::print_json(const controller::Explanation& explanation) const {
  const controller::Layout& layout = explanation.layout;
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.member("name", name_).member("dry_run", dry_run_).member("ssa", explanation.ssa);
  json.member("refused", explanation.refused).member("refused_rule", explanation.refused_rule);
  json.member("scheme", controller::name(layout.scheme)).member("k", layout.k).member("n", layout.n);
  json.member("reason", layout.reason).member("pad_rows", layout.kept_rows);
  json.member("pad_rule", controller::name(layout.pad_rule)).member("pad_reason", layout.pad_reason);
  json.key("nodes").begin_array();
  for (const NodeChoice& choice : explanation.choices) {
    json.begin_object().member("node", choice.node).member("site", choice.site);
    json.member("holds", choice.holds).member("share", choice.share);
    json.member("rule", controller::name(choice.rule)).member("subject", choice.subject);
    json.member("free_bytes", choice.free_bytes).member("weight", choice.weight);
    json.key("path");
    if (choice.path.peer.empty()) {
      json.null();
    } else {
      json.begin_object().member("connected", choice.path.connected);
      json.member("pad_bytes", choice.path.pad_bytes);
      json.member("pad_bytes_per_second", choice.path.pad_bytes_per_second);
      json.member("round_trip_us", choice.path.round_trip_us).end_object();
    }
    json.end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

std::string why(const NodeChoice& choice) {
  switch (choice.rule) {
    case PlacementRule::not_needed:
      return "others came first";
    case PlacementRule::chosen:
      return fmt::format("share {}", choice.share);
    case PlacementRule::excluded:
      return shown_name(choice.subject);
    case PlacementRule::full:
      return "no room for a share";
    case PlacementRule::domain_full:
      return choice.subject.empty()
                 ? "with it the others would find no place"
                 : fmt::format("{} may not have one more share", shown_name(choice.subject));
  }
  return "";
}

std::string pads_of(const controller::PeerReport& path) {
  return path.peer.empty() ? "-" : path.connected ? format_bytes(path.pad_bytes) : "no link";
}

void ExplainCommand::print_all(const controller::Explanation& explanation) const {
  const controller::Layout& layout = explanation.layout;
  print_text(fmt::format("{}, any {} of {} shares, SSA {}\n", controller::name(layout.scheme), layout.k,
                         layout.n, shown_name(explanation.ssa)));
  if (!layout.reason.empty()) {
    print_text(shown_name(layout.reason) + "\n");
  }
  if (!layout.pad_reason.empty()) {
    print_text(fmt::format("pad shares {}: {}\n", layout.kept_rows != 0 ? "on" : "off",
                           shown_name(layout.pad_reason)));
  }
  if (!explanation.refused.empty()) {
    print_text(fmt::format("{}: {}\n", dry_run_ ? "it would be refused" : "it could not be placed now",
                           shown_name(explanation.refused)));
  }
  TextTable table({"NODE", "SITE", "FREE>", "PADS>", "TRIP>", "WEIGHT>", "HOLDS>", "RULE", "NOW"});
  for (const NodeChoice& choice : explanation.choices) {
    table.add({shown_name(choice.node), choice.site.empty() ? "-" : shown_name(choice.site),
               choice.free_bytes == 0 ? "-" : format_bytes(choice.free_bytes), pads_of(choice.path),
               choice.path.round_trip_us == 0 ? "-" : fmt::format("{} us", choice.path.round_trip_us),
               choice.weight == 0 ? "-" : fmt::format("{:.3f}", choice.weight / 1000.0),
               choice.holds == 0 ? "-" : fmt::format("{}", choice.holds),
               std::string(controller::name(choice.rule)), why(choice)});
  }
  print_text("\n");
  print_text(table.text());
}

Result<Exit> ExplainCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const Result<controller::WriteRequest> write = request();
  if (!write.ok()) {
    return write.error();
  }
  const Result<controller::Explanation> explanation = client.explain(name_, owner_, write.value());
  if (!explanation.ok()) {
    return explanation.error();
  }
  if (output.json) {
    print_json(explanation.value());
  } else {
    print_all(explanation.value());
  }
  return dry_run_ && !explanation.value().refused.empty() ? Exit::degraded : Exit::ok;
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_network_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<ExplainCommand>());
  commands.push_back(std::make_unique<NodesCommand>());
  return commands;
}

}  // namespace ssn::cli
