// SPDX-License-Identifier: BSD-3-Clause
// A controller that lost its place can order nothing, whatever was restarted meanwhile.
#include "term_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace ssn::dataplane::test {
namespace {

class Terms : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "term-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/node.ledger.term"; }
  std::uint64_t on_disk() const {
    const Result<TermFile> term = TermFile::open(path());
    EXPECT_TRUE(term.ok()) << term.error().why;
    return term.ok() ? term.value().highest() : ~std::uint64_t{0};
  }

  std::string folder_;
};

TEST_F(Terms, OnlyGrowAndOutliveARestart) {
  Result<TermFile> term = TermFile::open(path());
  ASSERT_TRUE(term.ok());
  EXPECT_EQ(term.value().highest(), 0U);
  for (const std::uint64_t seen : {7U, 3U, 7U, 12U, 0U}) ASSERT_TRUE(term.value().see(seen).ok());
  EXPECT_EQ(term.value().highest(), 12U);
  EXPECT_EQ(on_disk(), 12U);
  ASSERT_TRUE(term.value().see(~std::uint64_t{0} - 1).ok());
  EXPECT_EQ(on_disk(), ~std::uint64_t{0} - 1);
}

TEST_F(Terms, WhatIsNoNumberIsAnError) {
  for (const char* const text : {"", "x\n", "12", "12\n\n", "-1\n", "99999999999999999999\n"}) {
    std::ofstream(path()) << text;
    const Result<TermFile> term = TermFile::open(path());
    ASSERT_FALSE(term.ok()) << text;
  }
}

TEST_F(Terms, WhatIsNotOnDiskCountsForNothing) {
  Result<TermFile> term = TermFile::open(path());
  ASSERT_TRUE(term.ok());
  std::filesystem::remove_all(folder_);
  EXPECT_FALSE(term.value().see(5).ok());
  EXPECT_EQ(term.value().highest(), 0U);
}

}  // namespace
}  // namespace ssn::dataplane::test
