// SPDX-License-Identifier: BSD-3-Clause
// The inventory is sound, and docs/alarms.md is it.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "alarm_types.h"

namespace ssn::alarms {
namespace {

constexpr const char* page = SSN_SOURCE_ROOT "/docs/alarms.md";
constexpr const char* begin = "<!-- inventory -->\n";
constexpr const char* end = "<!-- end -->\n";

std::string delay(std::uint32_t ms) {
  return ms == 0            ? "at once"
         : ms % 60'000 == 0 ? fmt::format("after {} min", ms / 60'000)
                            : fmt::format("after {} s", ms / 1000);
}

std::string rendered() {
  std::string text;
  for (const AlarmType& type : inventory()) {
    text += fmt::format("### {}\n\n{}, {}, about: {}. Raised by: {}; {}, cleared {}.{}\n\n", type.name,
                        name(type.severity), name(type.category), name(type.resource), raisers_of(type),
                        delay(type.raise_after_ms), delay(type.clear_after_ms),
                        type.fails_node ? " The node has failed: `[reshare] after` counts." : "");
    text += fmt::format("- What is wrong: {}.\n- What it may come from: {}.\n- What to do: {}.\n",
                        type.meaning, type.cause, type.repair);
    text += fmt::format("- How it ends: {}.\n\n", type.cleared_when);
  }
  return text;
}

TEST(Inventory, IsWhatTheDocumentSays) {
  std::stringstream read;
  read << std::ifstream(page).rdbuf();
  std::string text = read.str();
  const std::size_t from = text.find(begin);
  const std::size_t to = text.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  const std::size_t at = from + std::string(begin).size();
  if (std::getenv("SSN_UPDATE_DOCS") != nullptr) {
    text.replace(at, to - at, rendered());
    std::ofstream(page) << text;
    return;
  }
  EXPECT_EQ(text.substr(at, to - at), rendered()) << "SSN_UPDATE_DOCS=1 writes it anew";
}

TEST(Inventory, IsFoundByName) {
  std::set<std::string_view> names;
  for (const AlarmType& type : inventory()) {
    EXPECT_EQ(find_type(type.name), &type);
    EXPECT_TRUE(names.insert(type.name).second) << type.name;
    EXPECT_NE(type.severity, Severity::none) << type.name;
    EXPECT_NE(type.raisers, 0) << type.name;
    EXPECT_EQ(severity_of(name(type.severity)), type.severity);
    for (const std::string_view text : {type.meaning, type.cause, type.repair, type.cleared_when}) {
      EXPECT_FALSE(text.empty() || text.ends_with('.')) << type.name;
    }
    // What makes the controller move shares is said by the node itself or by the controller, never by others.
    EXPECT_FALSE(type.fails_node && type.of_another) << type.name;
  }
  EXPECT_EQ(find_type(""), nullptr);
  EXPECT_EQ(find_type("node_dow"), nullptr);
  EXPECT_EQ(find_type("zzz"), nullptr);
  EXPECT_EQ(severity_of("terrible"), Severity::none);
}

}  // namespace
}  // namespace ssn::alarms
