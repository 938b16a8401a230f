// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace ssn {
namespace {

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good.value(), 7);
  Result<int> bad = Error{Exit::refused, "what", "why", "where", "fix"};
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, Exit::refused);
  EXPECT_DEATH((void)bad.value(), "ok\\(\\)");
}

TEST(Result, SystemErrorsSayWhatHelps) {
  const Error error = system_error(ENOSPC, "cannot write", "/data/file");
  EXPECT_EQ(error.what, "cannot write");
  EXPECT_EQ(error.where, "/data/file");
  EXPECT_NE(error.fix.find("free space"), std::string::npos);
  EXPECT_EQ(system_error(ENOENT, "", "").code, Exit::not_found);
  EXPECT_EQ(system_error(EAGAIN, "", "").code, Exit::temporary);
}

TEST(Result, ExitCodesHaveDistinctNames) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Exit::kernels_refused); ++code) {
    names.insert(name(static_cast<Exit>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Exit::kernels_refused) + 1);
}

}  // namespace
}  // namespace ssn
