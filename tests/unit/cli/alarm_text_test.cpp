// SPDX-License-Identifier: BSD-3-Clause
// Alarms and events as they are printed, and moments as people write them.
#include "alarm_text.h"

#include <gtest/gtest.h>

namespace ssn::cli {
namespace {

using alarms::Severity;
using controller::Alarm;
using controller::AlarmChange;
using controller::Event;

constexpr std::uint64_t now_ms = 1'795'446'000'000;  // 2026-11-23 15:00:00 UTC

TEST(AlarmText, ATableOfWhatIsWrong) {
  const Alarm down{{"node_down", "h1", ""},
                   Severity::major,
                   "it does not report any more",
                   now_ms,
                   0,
                   2,
                   {""},
                   "start it"};
  const Alarm cut{{"association_down", "s", "h1"},
                  Severity::major,
                  "gone\x1b[2J",
                  now_ms + 61'000,
                  now_ms + 62'000,
                  1,
                  {},
                  ""};
  EXPECT_EQ(alarm_table({down}, false),
            "SEVERITY  ALARM      ABOUT  RAISED               WHAT WAS SEEN\n"
            "major     node_down  h1     2026-11-23 15:00:00  it does not report any more\n");
  const std::string both = alarm_table({down, cut}, true);
  EXPECT_NE(both.find("association_down  s h1   2026-11-23 15:01:01  2026-11-23 15:01:02"), std::string::npos)
      << both;
  EXPECT_EQ(both.find('\x1b'), std::string::npos);  // what came from the network commands no terminal
  EXPECT_EQ(repair_lines({down, down, cut}), "\nnode_down: start it\n");
  EXPECT_EQ(repair_lines({cut}), "");
}

TEST(AlarmText, ALineForAnEvent) {
  Event event{7, now_ms, true, "node_down", "h1", "it is silent", AlarmChange::raised, Severity::major};
  EXPECT_EQ(event_line(event), "2026-11-23 15:00:00  raised major: node_down  h1  it is silent\n");
  event.change = AlarmChange::none;
  event.text = "two\nlines";
  EXPECT_EQ(event_line(event), "2026-11-23 15:00:00  node_down  h1  two?lines\n");
}

TEST(AlarmText, MomentsAsPeopleWriteThem) {
  EXPECT_EQ(moment_of("90s", now_ms), now_ms - 90'000);
  EXPECT_EQ(moment_of("15m", now_ms), now_ms - 900'000);
  EXPECT_EQ(moment_of("2h", now_ms), now_ms - 7'200'000);
  EXPECT_EQ(moment_of("7d", now_ms), now_ms - 604'800'000);
  EXPECT_EQ(moment_of("999999999d", now_ms), 0U);
  EXPECT_EQ(moment_of("2026-11-23 15:00:00", 0), now_ms);
  EXPECT_EQ(moment_of("2026-11-23 15:00", 0), now_ms);
  EXPECT_EQ(moment_of("2026-11-23", 0), now_ms - 54'000'000);
  for (const char* const wrong :
       {"", "1", "h", "1w", "1hh", "-1h", "yesterday", "2026-13-01", "2026-11-23 15"}) {
    EXPECT_EQ(moment_of(wrong, now_ms), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace ssn::cli
