// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

TEST(CpuList, IsRead) {
  EXPECT_THAT(parse_cpu_list("0-3,8\n").value(), testing::ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(parse_cpu_list("5,1,1-2").value(), testing::ElementsAre(1, 2, 5));
  EXPECT_TRUE(parse_cpu_list("").value().empty());
  EXPECT_TRUE(parse_cpu_list("\n").value().empty());
}

TEST(CpuList, IsRefused) {
  for (const char* text :
       {"a", "1-", "-1", "3-1", "1,,2", "1,", "1 2", "0-99999999", "4294967296", "1-2-3"}) {
    const Result<std::vector<unsigned>> list = parse_cpu_list(text);
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_EQ(list.error().code, Exit::usage);
  }
}

TEST(CpuList, IsWritten) {
  EXPECT_EQ(format_cpu_list({}), "");
  EXPECT_EQ(format_cpu_list({8, 0, 1, 2, 3}), "0-3,8");
  EXPECT_EQ(format_cpu_list({1, 3, 5}), "1,3,5");
}

}  // namespace
}  // namespace ssn::hw
