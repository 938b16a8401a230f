// SPDX-License-Identifier: BSD-3-Clause
#include "alarm_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "object_command.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {

using controller::Alarm;
using controller::AlarmChange;
using controller::Event;

namespace {

std::string time_of(std::uint64_t ms) { return shown_time(static_cast<std::int64_t>(ms / 1000)); }

std::string_view name_of(AlarmChange change) {
  return change == AlarmChange::raised ? "raised" : change == AlarmChange::cleared ? "cleared" : "";
}

}  // namespace

std::string alarm_table(const std::vector<Alarm>& all, bool with_cleared) {
  std::vector<std::string> titles = {"SEVERITY", "ALARM", "ABOUT", "RAISED", "WHAT WAS SEEN"};
  if (with_cleared) titles.insert(titles.begin() + 4, "CLEARED");
  TextTable table(titles);
  for (const Alarm& alarm : all) {
    std::vector<std::string> cells = {std::string(alarms::name(alarm.severity)), shown_name(alarm.key.type),
                                      shown_name(alarms::subject_of(alarm.key)), time_of(alarm.raised_ms),
                                      shown_name(alarm.text)};
    if (with_cleared) cells.insert(cells.begin() + 4, time_of(alarm.cleared_ms));
    table.add(std::move(cells));
  }
  return table.text();
}

std::string repair_lines(const std::vector<Alarm>& all) {
  std::string lines;
  std::set<std::string> told;
  for (const Alarm& alarm : all) {
    if (alarm.cleared_ms != 0 || alarm.repair.empty() || !told.insert(alarm.key.type).second) continue;
    lines += fmt::format("{}{}: {}\n", lines.empty() ? "\n" : "", shown_name(alarm.key.type),
                         shown_name(alarm.repair));
  }
  return lines;
}

void write_event(JsonWriter& json, const Event& event) {
  json.begin_object().member("number", event.number).member("time_ms", event.time_ms);
  json.member("kind", event.kind).member("subject", event.subject).member("text", event.text);
  json.member("alarm", name_of(event.change));
  json.member("severity", event.change == AlarmChange::none ? "" : alarms::name(event.severity)).end_object();
}

std::string event_line(const Event& event) {
  const std::string change = event.change == AlarmChange::none ? ""
                                                               : fmt::format("{} {}: ", name_of(event.change),
                                                                             alarms::name(event.severity));
  return fmt::format("{}  {}{}  {}{}{}\n", time_of(event.time_ms), change, shown_name(event.kind),
                     shown_name(event.subject), event.text.empty() ? "" : "  ", shown_name(event.text));
}

std::optional<std::uint64_t> moment_of(const std::string& text, std::uint64_t now_ms) {
  std::uint64_t number = 0;
  char unit = '\0';
  char rest = '\0';
  if (!text.empty() && text[0] >= '0' && text[0] <= '9' && text.size() <= 10 &&
      std::sscanf(text.c_str(), "%lu%c%c", &number, &unit, &rest) == 2) {
    const std::uint64_t seconds = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400;
    if (std::string_view("smhd").find(unit) == std::string_view::npos) return std::nullopt;
    return now_ms - std::min(now_ms, number * seconds * 1000);
  }
  for (const char* const form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm broken{};
    const char* const end = ::strptime(text.c_str(), form, &broken);
    if (end != nullptr && *end == '\0') {
      const std::time_t seconds = ::timegm(&broken);
      return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds) * 1000;
    }
  }
  return std::nullopt;
}

}  // namespace ssn::cli
