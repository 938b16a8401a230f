// SPDX-License-Identifier: BSD-3-Clause
// `ssn audit`: who asked the controller for what, and whether it was allowed (Y.3808, 10.2: access control).
#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "alarm_text.h"
#include "object_command.h"
#include "shown_text.h"

namespace ssn::cli {
namespace {

using audit::Decision;

constexpr const char* what = "cannot list access decisions";
constexpr std::uint32_t page = 1000;
constexpr std::chrono::seconds each{1};

void write_decision(JsonWriter& json, const Decision& decision) {
  json.begin_object().member("number", decision.number).member("time_ms", decision.time_ms);
  json.member("request", decision.request).member("method", decision.method);
  json.member("caller", decision.caller).key("roles").begin_array();
  for (const std::string& role : decision.roles) json.value(role);
  json.end_array().member("fingerprint", decision.fingerprint).member("address", decision.address);
  json.key("about").begin_object();
  for (const auto& [name, value] : decision.about) json.member(name, value);
  json.end_object().member("decision", decision.allowed ? "allowed" : "refused");
  json.member("result", decision.result).member("reason", decision.reason);
  json.member("times", decision.times).end_object();
}

std::string line_for_people(const Decision& decision) {
  std::string about;
  for (const auto& [name, value] : decision.about) about += fmt::format(" {}={}", name, value);
  std::string line =
      fmt::format("{}  {:<7}  {} {}  {}{}", shown_time(static_cast<std::int64_t>(decision.time_ms / 1000)),
                  decision.allowed ? "allowed" : "refused", decision.caller.empty() ? "-" : decision.caller,
                  decision.address, decision.method.empty() ? "(the log)" : decision.method, about);
  if (decision.result != "ok") line += fmt::format("  {}: {}", decision.result, decision.reason);
  if (decision.times > 1) line += fmt::format("  ({} times)", decision.times);
  return shown_name(line) + "\n";
}

class AuditCommand final : public CatalogueCommand {
 public:
  AuditCommand() : CatalogueCommand("audit") {}
  const char* summary() const noexcept override {
    return "Who asked the controller for what, and who was refused";
  }
  const char* examples() const noexcept override {
    return "  ssn audit --refused --since 1d --config operator.toml   who was refused since yesterday\n"
           "  ssn audit --caller alice --method Objects.OpenRead      what alice read\n"
           "  ssn audit --follow                                      what is decided from now on\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--caller", filter_.caller, "NAME", optional, "Only of this caller, as in its certificate");
    table.text("--method", filter_.method, "NAME", optional,
               "Only of this call (Objects.OpenRead) or service (Objects)");
    table.text("--about", filter_.about, "VALUE", optional, "Only about this object, owner, node or job");
    table.flag("--refused", filter_.refused, "Only what was refused");
    table.text(
        "--since", since_, "TIME", optional,
        "Only later than this: 90s, 15m, 2h, 7d ago, or a moment in UTC (default: all that is kept; with "
        "--follow: now)");
    table.flag("--follow", follow_, "Go on with what is decided from now on");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  Outcome take_all(client::ControllerClient& client, const std::function<void(const Decision&)>& take);
  Result<Exit> follow(client::ControllerClient& client, const OutputOptions& output);

  audit::DecisionFilter filter_;
  std::string since_;
  bool follow_ = false;
  std::uint64_t after_ = 0;
  std::uint64_t damaged_ = 0;
};

// All behind `after_` that there is now.
Outcome AuditCommand::take_all(client::ControllerClient& client,
                               const std::function<void(const Decision&)>& take) {
  for (bool more = true; more;) {
    const Result<audit::DecisionPage> next = client.decisions(filter_, after_, page);
    if (!next.ok()) return next.error();
    for (const Decision& decision : next.value().decisions) take(decision);
    damaged_ += next.value().damaged;
    more = next.value().more;
    if (next.value().next < after_ || (more && next.value().next == after_)) {
      return Error{Exit::integrity, what, "the controller repeats itself", "", "report this as a bug"};
    }
    after_ = next.value().next;
  }
  return done;
}

// Until a signal ends it, over controllers that end and start again.
Result<Exit> AuditCommand::follow(client::ControllerClient& client, const OutputOptions& output) {
  for (bool told = false;;) {
    const Outcome taken = take_all(client, [&](const Decision& decision) {
      if (output.json) {
        JsonWriter json;
        begin_document(json, schema(), nullptr);
        json.key("decisions").begin_array();
        write_decision(json, decision);
        json.end_array().end_object();
        print_text(json.text());
      } else {
        print_text(line_for_people(decision));
      }
    });
    if (std::fflush(stdout) != 0) return Exit::failed;  // nobody reads what is printed
    if (!taken.ok() && taken.error().code != Exit::temporary) return taken.error();
    if (!taken.ok() && !told) print_warning(fmt::format("{}; it is asked again", taken.error().why));
    if (taken.ok() && told) print_note(output, "the controller answers again");
    told = !taken.ok();
    std::this_thread::sleep_for(each);
  }
}

Result<Exit> AuditCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                     std::chrono::system_clock::now().time_since_epoch())
                                                     .count());
  const std::optional<std::uint64_t> since_ms = moment_of(since_, now_ms);
  if (!since_.empty() && !since_ms) {
    return Error{Exit::usage, what, "this is no time", since_, "write it like 15m or '2026-11-23 15:00'"};
  }
  filter_.since_ms = since_ms.value_or(follow_ ? now_ms : 0);
  if (follow_) return follow(client, output);
  std::uint64_t count = 0;
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("decisions").begin_array();
  const Outcome taken = take_all(client, [&](const Decision& decision) {
    ++count;
    if (output.json) {
      write_decision(json, decision);
    } else {
      print_text(line_for_people(decision));
    }
  });
  if (!taken.ok()) return taken.error();
  json.end_array().member("damaged", damaged_).end_object();
  if (output.json) {
    print_text(json.text());
  } else {
    print_note(output, fmt::format("{} records", count));
  }
  if (damaged_ != 0) print_warning(fmt::format("{} lines of the log are no records", damaged_));
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_audit_command() { return std::make_unique<AuditCommand>(); }

}  // namespace ssn::cli
