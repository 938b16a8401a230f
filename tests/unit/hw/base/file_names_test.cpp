// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/file_names.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "refused_call.h"

namespace ssn::hw {
namespace {

class FileNames : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ssn-unit-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ + "/" + name; }
  std::string write(const char* name) const {
    std::ofstream(path(name)) << name;
    return path(name);
  }
  std::string read(const char* name) const {
    std::string text;
    std::ifstream(path(name)) >> text;
    return text;
  }
  // A new name is given, one that is there is kept.
  void rename() const {
    const std::string from = write("from");
    EXPECT_EQ(rename_new(from.c_str(), path("to").c_str()), 0);
    EXPECT_EQ(read("to"), "from");
    EXPECT_FALSE(std::filesystem::exists(from));
    const std::string other = write("other");
    EXPECT_EQ(rename_new(other.c_str(), path("to").c_str()), EEXIST);
    EXPECT_EQ(read("to"), "from");
    EXPECT_EQ(read("other"), "other");
    EXPECT_EQ(rename_new(path("nothing").c_str(), path("new").c_str()), ENOENT);
  }

 private:
  std::string folder_;
};

TEST_F(FileNames, DirectoryOf) {
  EXPECT_EQ(directory_of("a"), ".");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a/b"), "a");
  EXPECT_EQ(directory_of("/a/b/c"), "/a/b");
  EXPECT_EQ(directory_of(""), ".");
}

TEST_F(FileNames, RenameNeverReplaces) { rename(); }

TEST_F(FileNames, RenameNeverReplacesWhereTheFileSystemCannotPromiseIt) {
  for (const int error : {EINVAL, ENOSYS}) {
    SCOPED_TRACE(error);
    if (!test::with_call_refused(SYS_renameat2, error, [&] { rename(); })) {
      GTEST_SKIP() << "system calls cannot be filtered here";
    }
    std::filesystem::remove(path("to"));
  }
}

TEST_F(FileNames, DirectoriesAreSynced) {
  EXPECT_EQ(sync_directory(path(".")), 0);
  EXPECT_EQ(sync_directory(path("nothing")), ENOENT);
  EXPECT_EQ(sync_directory(write("file")), ENOTDIR);
  // Only a file system that cannot is believed.
  for (const auto& [error, wanted] : {std::pair{EINVAL, 0}, {EIO, EIO}}) {
    int got = -1;
    if (!test::with_call_refused(SYS_fsync, error, [&] { got = sync_directory(path(".")); })) {
      GTEST_SKIP() << "system calls cannot be filtered here";
    }
    EXPECT_EQ(got, wanted);
  }
}

}  // namespace
}  // namespace ssn::hw
