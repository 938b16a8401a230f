// SPDX-License-Identifier: BSD-3-Clause
// `ssn alarms` and `ssn events`: what is wrong in the storage network, and what happened in it.
#include "alarm_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>

#include "object_command.h"

namespace ssn::cli {

using controller::Alarm;
using controller::Event;

namespace {

constexpr std::uint32_t page = 1000;
constexpr std::chrono::seconds again{1};  // after the controller was away

void write_alarm(JsonWriter& json, const Alarm& alarm) {
  json.begin_object().member("type", alarm.key.type).member("resource", alarm.key.resource);
  json.member("peer", alarm.key.peer).member("severity", alarms::name(alarm.severity));
  json.member("raised", alarm.cleared_ms == 0).member("text", alarm.text).member("repair", alarm.repair);
  json.member("raised_ms", alarm.raised_ms).member("cleared_ms", alarm.cleared_ms);
  json.member("times", alarm.times).key("sources").begin_array();
  for (const std::string& source : alarm.sources) {
    json.value(source.empty() ? "controller" : source);
  }
  json.end_array().end_object();
}

void print_event(const Event& event, std::string_view schema, bool as_json) {
  if (as_json) {
    JsonWriter json;
    begin_document(json, schema, nullptr);
    json.key("events").begin_array();
    write_event(json, event);
    json.end_array().end_object();
    print_text(json.text());
  } else {
    print_text(event_line(event));
  }
  std::fflush(stdout);
}

// Until a signal ends it: what is new, over controllers that end and start again.
Exit follow(client::ControllerClient& client, std::uint64_t after, bool only_alarms,
            const OutputOptions& output, std::string_view schema) {
  for (bool told = false;;) {
    const Outcome watched =
        client.watch_events(after, only_alarms, [&](const std::vector<Event>& events, std::uint64_t lost) {
          if (told) print_note(output, "the controller answers again");
          told = false;
          if (lost != 0) print_warning(fmt::format("{} events before these are not kept any more", lost));
          for (const Event& event : events) {
            after = event.number;
            print_event(event, schema, output.json);
          }
          return std::ferror(stdout) == 0;
        });
    if (watched.ok()) return Exit::failed;  // nobody reads what is printed
    if (watched.error().code != Exit::temporary) {
      print_error(watched.error());
      return watched.error().code;
    }
    if (!told) print_warning(fmt::format("{}; it is asked again", watched.error().why));
    told = true;
    std::this_thread::sleep_for(again);
  }
}

class AlarmsCommand final : public CatalogueCommand {
 public:
  AlarmsCommand() : CatalogueCommand("alarms") {}
  const char* summary() const noexcept override { return "What is wrong in the storage network"; }
  const char* examples() const noexcept override {
    return "  ssn alarms --config operator.toml            what is wrong now, and what to do about it\n"
           "  ssn alarms --follow                          and what changes from now on\n"
           "  ssn alarms --severity major --check          for scripts: 3 if there is one\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.flag("--all", filter_.all, "Also alarms that were cleared, as long as they are remembered");
    table.flag("--follow", follow_, "Go on with what is raised and cleared from now on");
    table.choice("--severity", severity_, {"warning", "minor", "major", "critical"},
                 "Only of this severity or worse");
    table.text("--type", filter_.type, "NAME", optional, "Only of this type");
    table.text("--about", filter_.resource, "NAME", optional, "Only about this node or object");
    table.flag("--check", check_, "End with 3 if one is shown that is raised");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  void print_all(const std::vector<Alarm>& all) const;

  controller::AlarmFilter filter_;
  std::string severity_;
  bool follow_ = false;
  bool check_ = false;
};

void AlarmsCommand::print_all(const std::vector<Alarm>& all) const {
  print_text(alarm_table(all, filter_.all));
  print_text(repair_lines(all));
}

Result<Exit> AlarmsCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  filter_.least = alarms::severity_of(severity_);
  if (follow_ && check_) {
    return Error{Exit::usage, "cannot follow alarms", "--follow and --check exclude each other", "",
                 "give one of them"};
  }
  std::uint64_t last_event = 0;
  const Result<std::vector<Alarm>> all = all_alarms(client, filter_, &last_event);
  if (!all.ok()) {
    return all.error();
  }
  const auto raised = std::count_if(all.value().begin(), all.value().end(),
                                    [](const Alarm& alarm) { return alarm.cleared_ms == 0; });
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("raised", static_cast<std::uint64_t>(raised)).key("alarms").begin_array();
    for (const Alarm& alarm : all.value()) {
      write_alarm(json, alarm);
    }
    json.end_array().end_object();
    print_text(json.text());
  } else {
    if (!all.value().empty()) {
      print_all(all.value());
    }
    print_note(output, raised == 0 ? "no alarm is raised" : fmt::format("{} raised", raised));
  }
  if (follow_) {
    std::fflush(stdout);
    return follow(client, last_event, true, output, "ssn.events/1");
  }
  return check_ && raised != 0 ? Exit::degraded : Exit::ok;
}

class EventsCommand final : public CatalogueCommand {
 public:
  EventsCommand() : CatalogueCommand("events") {}
  const char* summary() const noexcept override { return "What happened in the storage network"; }
  const char* examples() const noexcept override {
    return "  ssn events --since 1h --config operator.toml   what happened in the last hour\n"
           "  ssn events --follow                            what happens from now on\n"
           "  ssn events --since '2026-11-23 15:00' --json   since a moment, in UTC\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--since", since_, "TIME", optional,
               "Only later than this: 90s, 15m, 2h, 7d ago, or a moment in UTC (default: all that are kept; "
               "with --follow: none)");
    table.flag("--follow", follow_, "Go on with what happens from now on");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  Result<Exit> list(client::ControllerClient& client, std::uint64_t since_ms, const OutputOptions& output,
                    std::uint64_t& after) const;

  std::string since_;
  bool follow_ = false;
};

Result<Exit> EventsCommand::list(client::ControllerClient& client, std::uint64_t since_ms,
                                 const OutputOptions& output, std::uint64_t& after) const {
  std::uint64_t count = 0;
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("events").begin_array();
  for (;;) {
    const Result<std::vector<Event>> events = client.events(after, page);
    if (!events.ok()) return events.error();
    for (const Event& event : events.value()) {
      if (event.number <= after) {
        return Error{Exit::integrity, "cannot list events", "the controller repeats itself", "",
                     "report this as a bug"};
      }
      after = event.number;
      if (event.time_ms < since_ms) continue;
      ++count;
      if (output.json) {
        write_event(json, event);
      } else {
        print_text(event_line(event));
      }
    }
    if (events.value().size() < page) break;
  }
  json.end_array().end_object();
  if (output.json) {
    print_text(json.text());
  } else {
    print_note(output, fmt::format("{} events", count));
  }
  return Exit::ok;
}

Result<Exit> EventsCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                     std::chrono::system_clock::now().time_since_epoch())
                                                     .count());
  const std::optional<std::uint64_t> since_ms = moment_of(since_, now_ms);
  if (!since_.empty() && !since_ms) {
    return Error{Exit::usage, "cannot list events", "this is no time", since_,
                 "write it like 15m or '2026-11-23 15:00'"};
  }
  std::uint64_t after = 0;
  if (!follow_ || since_ms) {
    const Result<Exit> listed = list(client, since_ms.value_or(0), output, after);
    if (!listed.ok() || !follow_) return listed;
    std::fflush(stdout);
    return follow(client, after, false, output, schema());
  }
  const Result<controller::AlarmPage> latest = client.alarms({}, "", 1);
  if (!latest.ok()) return latest.error();
  return follow(client, latest.value().last_event, false, output, schema());
}

}  // namespace

Result<std::vector<Alarm>> all_alarms(client::ControllerClient& client, const controller::AlarmFilter& filter,
                                      std::uint64_t* last_event) {
  std::vector<Alarm> all;
  std::string after;
  do {
    Result<controller::AlarmPage> next = client.alarms(filter, after, page);
    if (!next.ok()) return next.error();
    if (last_event != nullptr && after.empty()) *last_event = next.value().last_event;
    for (Alarm& alarm : next.value().alarms) {
      all.push_back(std::move(alarm));
    }
    if (!next.value().next.empty() && next.value().next <= after) {
      return Error{Exit::integrity, "cannot list alarms", "the controller repeats itself", "",
                   "report this as a bug"};
    }
    after = next.value().next;
  } while (!after.empty());
  // What was cleared comes last, the worst first, and of those the oldest.
  std::sort(all.begin(), all.end(), [](const Alarm& a, const Alarm& b) {
    const auto rank = [](const Alarm& alarm) {
      return std::tuple(alarm.cleared_ms != 0, -static_cast<int>(alarm.severity), alarm.raised_ms,
                        alarm.key.type, alarm.key.resource, alarm.key.peer);
    };
    return rank(a) < rank(b);
  });
  return all;
}

std::vector<std::unique_ptr<Command>> make_alarm_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<AlarmsCommand>());
  commands.push_back(std::make_unique<EventsCommand>());
  return commands;
}

}  // namespace ssn::cli
