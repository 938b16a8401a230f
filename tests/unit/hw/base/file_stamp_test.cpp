// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/file_stamp.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace ssn::hw {
namespace {

class FileStamps : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ssn-unit-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const char* name, const char* text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  std::string folder_;
};

TEST_F(FileStamps, ChangeWithContentsAndWithReplacement) {
  const std::string path = write("file", "one");
  const FileStamp first = stamp_of(path);
  EXPECT_EQ(stamp_of(path), first);
  write("file", "longer");
  const FileStamp second = stamp_of(path);
  EXPECT_NE(second, first);
  // The same size and the same time of modification, put in its place.
  const std::string other = write("other", "equals");
  std::filesystem::last_write_time(other, std::filesystem::last_write_time(path));
  ASSERT_EQ(::rename(other.c_str(), path.c_str()), 0);
  EXPECT_NE(stamp_of(path), second);
}

TEST_F(FileStamps, FollowLinks) {
  const std::string path = write("file", "one");
  const std::string link = folder_ + "/link";
  ASSERT_EQ(::symlink("file", link.c_str()), 0);
  EXPECT_EQ(stamp_of(link), stamp_of(path));
}

TEST_F(FileStamps, WhatIsNotThereHasThatOfZeros) {
  EXPECT_EQ(stamp_of(""), FileStamp{});
  EXPECT_EQ(stamp_of(folder_ + "/none"), FileStamp{});
  const std::string path = write("file", "one");
  EXPECT_NE(stamp_of(path), FileStamp{});
}

}  // namespace
}  // namespace ssn::hw
