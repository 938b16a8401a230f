// SPDX-License-Identifier: BSD-3-Clause
// `ssn reshare` and `ssn shareholder`: shares made anew. The controller decides; this asks and shows.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <thread>

#include "confirm.h"
#include "object_command.h"
#include "progress.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using controller::ReshareOperation;
using controller::ReshareStep;
using controller::ReshareView;

constexpr std::uint32_t page = 1000;
constexpr std::chrono::milliseconds between_looks{500};

std::string_view step_of(const ReshareView& job) {
  return !job.is_over() && job.round == 0 && job.step == ReshareStep::transfer ? "waiting"
                                                                               : controller::name(job.step);
}

void write_job(JsonWriter& json, const ReshareView& job) {
  json.begin_object().member("job", job.id == 0 ? "" : id_text(job.id)).member("object", id_text(job.object));
  json.member("owner", job.owner).member("name", job.name);
  json.member("operation", controller::name(job.operation)).member("step", step_of(job));
  json.member("reason", job.reason).member("trouble", job.trouble);
  json.member("cells", job.cells).member("cell_bytes", job.cell_bytes).member("through", job.through);
  json.member("round", job.round).member("share", job.share);
  json.member("k", job.k)
      .member("n", job.n)
      .member("target_k", job.target_k)
      .member("target_n", job.target_n);
  json.member("source_generation", job.source_generation);
  json.member("target_generation", job.target_generation);
  json.key("away").begin_array();
  for (const std::string& node : job.away) json.value(node);
  json.end_array().key("takers").begin_array();
  for (const std::string& node : job.takers) json.value(node);
  json.end_array().member("computational", job.computational).member("unverified", job.unverified);
  json.member("started_ms", job.started_ms).member("ended_ms", job.ended_ms).end_object();
}

void print_jobs(const std::vector<ReshareView>& jobs) {
  TextTable table({"JOB", "OPERATION", "STEP", "DONE>", "SHARES OF", "TO", "STARTED (UTC)", "NAME", ""});
  for (const ReshareView& job : jobs) {
    table.add({job.id == 0 ? "-" : id_text(job.id), std::string(controller::name(job.operation)),
               std::string(step_of(job)),
               fmt::format("{} %", job.cells == 0 ? 0 : job.through * 100 / job.cells), shown_names(job.away),
               shown_names(job.takers), shown_time(static_cast<std::int64_t>(job.started_ms / 1000)),
               shown_name(job.name), shown_name(job.trouble)});
  }
  if (!table.empty()) print_text(table.text());
}

void write_upkeep(JsonWriter& json, const controller::Upkeep& upkeep) {
  json.key("upkeep").begin_object().member("repair_after_ms", upkeep.repair_after_ms);
  json.member("lost", upkeep.lost).member("held", upkeep.held);
  json.member("refresh_every_ms", upkeep.refresh_every_ms).member("old", upkeep.old);
  json.member("oldest_ms", upkeep.oldest_ms).end_object();
}

// "3", "1000 or more".
std::string shown_count(std::uint64_t objects) {
  return fmt::format("{}{}", objects, objects >= controller::page_max ? " or more" : "");
}

std::string shown_span(std::uint64_t ms) { return format_duration(static_cast<double>(ms) / 1000); }

std::string text_of(const controller::Upkeep& upkeep) {
  const std::string held = upkeep.held == 0 ? "" : fmt::format(" ({} held: somebody cancelled)", upkeep.held);
  const std::string repair = upkeep.repair_after_ms == 0
                                 ? "repaired on order only"
                                 : "repaired after " + shown_span(upkeep.repair_after_ms);
  const std::string old = upkeep.refresh_every_ms == 0
                              ? "renewed on order only"
                              : fmt::format("{} to be renewed, every {}", shown_count(upkeep.old),
                                            shown_span(upkeep.refresh_every_ms));
  return fmt::format("lost shares  {} objects{}, {}\nold shares   the oldest {}, {}\n",
                     shown_count(upkeep.lost), held, repair, shown_span(upkeep.oldest_ms), old);
}

// All pages. A page behind the one before, or the controller leads us in circles.
Result<std::vector<ReshareView>> all_jobs(client::ControllerClient& client, bool running) {
  std::vector<ReshareView> jobs;
  std::uint64_t after = 0;
  do {
    Result<controller::ReshareViewPage> next = client.reshares(after, page, running);
    if (!next.ok()) return next.error();
    if (next.value().next != 0 && next.value().next <= after) {
      return Error{Exit::integrity, "cannot list the jobs", "the controller repeats itself", "",
                   "report this as a bug"};
    }
    after = next.value().next;
    std::move(next.value().jobs.begin(), next.value().jobs.end(), std::back_inserter(jobs));
  } while (after != 0);
  return jobs;
}

class ReshareCommand : public CatalogueCommand {
 public:
  ReshareCommand(const char* name, const char* summary, const char* examples)
      : CatalogueCommand(name, "reshare"), summary_(summary), examples_(examples) {}
  const char* summary() const noexcept override { return summary_; }
  const char* examples() const noexcept override { return examples_; }

 private:
  const char* summary_;
  const char* examples_;
};

class ListCommand final : public ReshareCommand {
 public:
  ListCommand()
      : ReshareCommand("list", "List jobs that make shares anew",
                       "  ssn reshare list --config operator.toml         those that run\n"
                       "  ssn reshare list --all --json                   and those that are over\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.flag("--all", all_, "Also those that are over, as long as they are remembered");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const Result<std::vector<ReshareView>> jobs = all_jobs(client, !all_);
    if (!jobs.ok()) return jobs.error();
    const Result<controller::Upkeep> upkeep = client.upkeep();  // owners are not told of it
    if (!upkeep.ok() && upkeep.error().code != Exit::refused) return upkeep.error();
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.key("jobs").begin_array();
      for (const ReshareView& job : jobs.value()) write_job(json, job);
      json.end_array();
      if (upkeep.ok()) write_upkeep(json, upkeep.value());
      json.end_object();
      print_text(json.text());
      return Exit::ok;
    }
    print_jobs(jobs.value());
    if (upkeep.ok()) print_text(text_of(upkeep.value()));
    print_note(output, fmt::format("{} jobs", jobs.value().size()));
    return Exit::ok;
  }

  bool all_ = false;
};

class WatchCommand final : public ReshareCommand {
 public:
  WatchCommand()
      : ReshareCommand("watch", "Show how far the jobs are, until all are over",
                       "  ssn reshare watch --config operator.toml\n") {}

 private:
  void declare_more(OptionTable&) override {}
  // Jobs of a replacement begin one after the other. Owners are not told of any.
  static Result<bool> more_will_come(client::ControllerClient& client) {
    const Result<std::vector<controller::Replacement>> replacements = client.replacements();
    if (replacements.ok()) return !replacements.value().empty();
    return replacements.error().code == Exit::refused ? Result<bool>(false) : replacements.error();
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    std::uint64_t total = 0;  // bytes of the jobs that were seen
    std::map<std::uint64_t, std::uint64_t> seen;
    Progress progress("re-share", output.quiet || output.json);
    for (bool running = true; running;) {
      const Result<std::vector<ReshareView>> jobs = all_jobs(client, true);
      if (!jobs.ok()) return jobs.error();
      std::uint64_t left = 0;
      for (const ReshareView& job : jobs.value()) {
        const std::uint64_t bytes = job.cells * job.cell_bytes;
        if (seen.emplace(job.id, bytes).second) total += bytes;
        left += bytes - std::min(job.through, job.cells) * job.cell_bytes;
      }
      progress.set_total(total);
      progress.update(total - std::min(left, total));
      const Result<bool> more = more_will_come(client);
      if (!more.ok()) return more.error();
      running = !jobs.value().empty() || more.value();
      if (running) std::this_thread::sleep_for(between_looks);
    }
    progress.finish();
    const Result<std::vector<ReshareView>> all = all_jobs(client, false);
    if (!all.ok()) return all.error();
    std::vector<ReshareView> undone;
    std::copy_if(
        all.value().begin(), all.value().end(), std::back_inserter(undone),
        [&](const ReshareView& job) { return seen.contains(job.id) && job.step == ReshareStep::undone; });
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("jobs", std::uint64_t{seen.size()}).member("bytes", total).key("undone").begin_array();
      for (const ReshareView& job : undone) write_job(json, job);
      json.end_array().end_object();
      print_text(json.text());
    } else {
      print_jobs(undone);
      print_note(output, fmt::format("{} jobs are over, {} of them undone", seen.size(), undone.size()));
    }
    return undone.empty() ? Exit::ok : Exit::degraded;
  }
};

class StartCommand final : public ReshareCommand {
 public:
  StartCommand()
      : ReshareCommand(
            "start", "Make the shares of an object anew",
            "  ssn reshare start photos/cat.raw --config owner.toml   repair what is lost\n"
            "  ssn reshare start photos/cat.raw --refresh             new shares, same holders\n"
            "  ssn reshare start photos/cat.raw --k 4 --n 7           for another k and n\n"
            "  ssn reshare start photos/cat.raw --refresh --dry-run   only say what would be done\n") {}

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.argument("NAME", request_.name, "The object");
    table.flag("--refresh", refresh_, "New shares for the same holders");
    table.number("--k", request_.k, 0, controller::shares_max, optional,
                 "New shares, any so many of which restore the object");
    table.number("--n", request_.n, 0, controller::shares_max, optional, "New shares, so many");
    table.text("--from", request_.away, "NODE", optional, "For operators: the share of this node");
    table.text("--to", request_.to, "NODE", optional, "For operators: to this node");
    table.flag("--exchange", exchange_, "The share as it is, from --from, to another node");
    table.flag("--dry-run", dry_run_, "Only say what would be done");
    table.text("--owner", request_.owner, "NAME", optional, "For operators: whose object");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    const bool other = request_.k != 0 || request_.n != 0;
    const bool nodes = !request_.away.empty() || !request_.to.empty();
    if ((refresh_ ? 1 : 0) + (other ? 1 : 0) + (exchange_ ? 1 : 0) > 1 || ((refresh_ || other) && nodes)) {
      return Error{
          Exit::usage, "cannot re-share the object",
          "--refresh, --k with --n, and --exchange exclude each other; --from and --to are for repairs",
          request_.name, "give one of them"};
    }
    request_.operation = refresh_    ? ReshareOperation::refresh
                         : other     ? ReshareOperation::redistribute
                         : exchange_ ? ReshareOperation::exchange
                                     : ReshareOperation::repair;
    const Result<ReshareView> job = client.start_reshare(request_, dry_run_);
    if (!job.ok()) return job.error();
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("dry_run", dry_run_).key("job");
      write_job(json, job.value());
      json.end_object();
      print_text(json.text());
    } else {
      print_jobs({job.value()});
    }
    return Exit::ok;
  }

  controller::ReshareRequest request_;
  bool refresh_ = false;
  bool exchange_ = false;
  bool dry_run_ = false;
};

class CancelCommand final : public ReshareCommand {
 public:
  CancelCommand()
      : ReshareCommand(
            "cancel", "Undo a job that is not committed yet",
            "  ssn reshare cancel 6923d0a41b2c3d4e --config operator.toml\n"
            "  ssn reshare cancel --replacement sae-h1     begin with no more repairs of its shares\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.optional_argument("JOB", job_, "The job, as `ssn reshare list` shows it");
    table.text("--replacement", node_, "NODE", OptionTable::Need::optional,
               "For operators: the replacement of this node instead; jobs that run go on");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    if (job_.empty() == node_.empty()) {
      return Error{Exit::usage, "cannot cancel the job", "give a job or --replacement", "", "see --help"};
    }
    JsonWriter json;
    if (!node_.empty()) {
      if (Outcome cancelled = client.cancel_replacement(node_); !cancelled.ok()) return cancelled.error();
      begin_document(json, schema(), nullptr);
      json.member("replacement", node_).end_object();
    } else {
      std::uint64_t id = 0;
      const auto end = job_.data() + job_.size();
      const auto parsed = std::from_chars(job_.data(), end, id, 16);
      if (parsed.ec != std::errc() || parsed.ptr != end || id == 0) {
        return Error{Exit::usage, "cannot cancel the job", "this is no number of a job", job_,
                     "give it as `ssn reshare list` shows it"};
      }
      const Result<ReshareView> job = client.cancel_reshare(id);
      if (!job.ok()) return job.error();
      begin_document(json, schema(), nullptr);
      json.key("job");
      write_job(json, job.value());
      json.end_object();
      if (!output.json) print_jobs({job.value()});
    }
    if (output.json) print_text(json.text());
    return Exit::ok;
  }

  std::string job_;
  std::string node_;
};

class ReplaceCommand final : public CatalogueCommand {
 public:
  ReplaceCommand() : CatalogueCommand("replace", "shareholder") {}
  const char* summary() const noexcept override { return "Repair all shares of a node onto another one"; }
  const char* examples() const noexcept override {
    return "  ssn shareholder replace sae-h1 sae-h6 --dry-run --config operator.toml   what that would be\n"
           "  ssn shareholder replace sae-h1 sae-h6 --yes                              begin with it\n"
           "  ssn shareholder replace sae-h1                                           onto whoever is best\n"
           "  ssn reshare watch                                                        how far it is\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    table.argument("FROM", from_,
                   "The node whose shares are made anew; it gets no others, and erases what it has");
    table.optional_argument("TO", to_, "Their new holder; left out: whoever is best, for each object");
    table.flag("--dry-run", dry_run_, "Only say what would be done");
    table.flag("--yes", yes_, "Do not ask; needed where standard input is no terminal");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override {
    if (dry_run_) return plan(client, output);
    const std::string question =
        fmt::format("have all shares of {} made anew elsewhere, and erased there?", shown_name(from_));
    if (Outcome confirmed = confirm("cannot replace the node", question, from_, yes_); !confirmed.ok()) {
      return confirmed.error();
    }
    const Result<controller::Replacement> begun = client.replace_node(from_, to_);
    if (!begun.ok()) return begun.error();
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("dry_run", false).member("from", from_).member("to", to_);
      json.member("started", begun.value().started).member("left", begun.value().left);
      json.member("trouble", begun.value().trouble).end_object();
      print_text(json.text());
    } else {
      print_note(output, fmt::format("begun; {} is out of service, its shares go to {}: ssn reshare list",
                                     shown_name(from_), to_.empty() ? "others" : shown_name(to_)));
    }
    return Exit::ok;
  }
  Result<Exit> plan(client::ControllerClient& client, const OutputOptions& output);

  std::string from_;
  std::string to_;
  bool dry_run_ = false;
  bool yes_ = false;
};

Result<Exit> ReplaceCommand::plan(client::ControllerClient& client, const OutputOptions& output) {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::map<std::string, std::uint64_t> takers;
  std::vector<controller::PlanTrouble> troubles;
  std::uint64_t trouble_count = 0;
  std::uint64_t after = 0;
  do {
    const Result<controller::ReplacementPlan> next = client.plan_replacement(from_, to_, after, page);
    if (!next.ok()) return next.error();
    for (const ReshareView& job : next.value().planned) {
      ++objects;
      bytes += job.cells * job.cell_bytes;
      for (const std::string& node : job.takers) ++takers[node];
    }
    trouble_count += next.value().troubles.size();
    for (const controller::PlanTrouble& trouble : next.value().troubles) {
      if (troubles.size() < 100) troubles.push_back(trouble);
    }
    if (next.value().next != 0 && next.value().next <= after) {
      return Error{Exit::integrity, "cannot plan the replacement", "the controller repeats itself", "",
                   "report this as a bug"};
    }
    after = next.value().next;
  } while (after != 0);
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("dry_run", true).member("from", from_).member("to", to_);
    json.member("objects", objects).member("bytes", bytes).key("takers").begin_array();
    for (const auto& [node, count] : takers) {
      json.begin_object().member("node", node).member("objects", count).end_object();
    }
    json.end_array().member("cannot", trouble_count).key("troubles").begin_array();
    for (const controller::PlanTrouble& trouble : troubles) {
      json.begin_object().member("object", id_text(trouble.object)).member("why", trouble.why).end_object();
    }
    json.end_array().end_object();
    print_text(json.text());
  } else {
    print_text(fmt::format("{} shares of {}, {}\n", objects, shown_name(from_), format_bytes(bytes)));
    for (const auto& [node, count] : takers)
      print_text(fmt::format("{} of them to {}\n", count, shown_name(node)));
    for (const controller::PlanTrouble& trouble : troubles) {
      print_text(fmt::format("not now: object {}: {}\n", id_text(trouble.object), shown_name(trouble.why)));
    }
  }
  return trouble_count != 0 ? Exit::degraded : Exit::ok;
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_reshare_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<ListCommand>());
  commands.push_back(std::make_unique<WatchCommand>());
  commands.push_back(std::make_unique<StartCommand>());
  commands.push_back(std::make_unique<CancelCommand>());
  commands.push_back(std::make_unique<ReplaceCommand>());
  return commands;
}

}  // namespace ssn::cli
