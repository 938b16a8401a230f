// SPDX-License-Identifier: BSD-3-Clause
// Alarms and events as people and scripts read them. All but the first are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller_client.h"
#include "json.h"

namespace ssn::cli {

/// All pages, the worst first. `last_event`, if not null: what the list knows of.
Result<std::vector<controller::Alarm>> all_alarms(client::ControllerClient& client,
                                                  const controller::AlarmFilter& filter,
                                                  std::uint64_t* last_event);

std::string alarm_table(const std::vector<controller::Alarm>& all, bool with_cleared);
/// What to do, once for each type that is raised; with an empty line before.
std::string repair_lines(const std::vector<controller::Alarm>& all);

void write_event(JsonWriter& json, const controller::Event& event);
/// One line.
std::string event_line(const controller::Event& event);

/// "90s", "15m", "2h", "7d" before now, or "2026-11-23 15:00:00" in UTC, without seconds or time too;
/// milliseconds since 1970.
std::optional<std::uint64_t> moment_of(const std::string& text, std::uint64_t now_ms);

}  // namespace ssn::cli
