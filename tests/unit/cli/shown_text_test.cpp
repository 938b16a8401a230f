// SPDX-License-Identifier: BSD-3-Clause
#include "shown_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace ssn::cli {
namespace {

using Items = std::vector<std::string>;

TEST(ShownText, ListsAreSplit) {
  EXPECT_EQ(split_list(""), Items());
  EXPECT_EQ(split_list(",,"), Items());
  EXPECT_EQ(split_list("a"), Items({"a"}));
  EXPECT_EQ(split_list(",a,,bc, d,"), Items({"a", "bc", " d"}));
}

TEST(ShownText, ListsAreJoined) {
  EXPECT_EQ(join_list({}), "");
  EXPECT_EQ(join_list({"a"}), "a");
  EXPECT_EQ(join_list({"a", "b"}), "a, b");
  EXPECT_EQ(join_list({"a", "b", "c"}, "; "), "a; b; c");
}

TEST(ShownText, Times) {
  EXPECT_EQ(shown_time(0), "-");
  EXPECT_EQ(shown_time(1), "1970-01-01 00:00:01");
  EXPECT_EQ(shown_time(1795403045), "2026-11-23 03:04:05");
  EXPECT_EQ(shown_time(std::numeric_limits<std::int64_t>::max()), "-");
}

}  // namespace
}  // namespace ssn::cli
