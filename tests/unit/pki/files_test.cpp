// SPDX-License-Identifier: BSD-3-Clause
#include "files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

#include "../cli/temporary_directory.h"
#include "refused_call.h"

namespace ssn::pki {
namespace {

class Files : public test::TemporaryDirectory {
 protected:
  void create() const {
    ASSERT_TRUE(create_file(path("a"), "one", 0600, "test").ok());
    EXPECT_EQ(read("a"), "one");
    struct stat status{};
    ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    const Outcome again = create_file(path("a"), "two", 0600, "test");
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, Exit::refused);
    EXPECT_EQ(read("a"), "one");
    ASSERT_TRUE(replace_file(path("a"), "three", 0600, "test").ok());
    EXPECT_EQ(read("a"), "three");
    EXPECT_EQ(names(), std::vector<std::string>{"a"});  // nothing temporary
  }
};

TEST_F(Files, AreCreatedOnceAndReplacedWhole) { create(); }

TEST_F(Files, AreCreatedOnceWhereTheFileSystemCannotPromiseIt) {
  if (!test::with_call_refused(SYS_renameat2, EINVAL, [&] { create(); })) {
    GTEST_SKIP() << "system calls cannot be filtered here";
  }
}

TEST_F(Files, SayBeforeThatTheyCannotBeCreated) {
  EXPECT_TRUE(check_new(path("a"), "test").ok());
  write("a", "text");
  EXPECT_EQ(check_new(path("a"), "test").error().code, Exit::refused);
  EXPECT_EQ(check_new(path("b/a"), "test").error().code, Exit::not_found);
  EXPECT_EQ(check_new(path("a/b"), "test").error().code, Exit::not_found);
  EXPECT_EQ(check_folder_of(path("a/b"), "test").error().code, Exit::not_found);
  EXPECT_TRUE(check_folder_of(path("a"), "test").ok());
  // A link that leads nowhere is in the way, too.
  ASSERT_EQ(::symlink("nowhere", path("l").c_str()), 0);
  EXPECT_EQ(check_new(path("l"), "test").error().code, Exit::refused);
}

TEST_F(Files, AreReadUpToALimit) {
  write("a", "0123456789");
  ASSERT_EQ(::chmod(path("a").c_str(), 0644), 0);
  EXPECT_EQ(read_file(path("a"), 10, false, "test").value(), "0123456789");
  EXPECT_EQ(read_file(path("a"), 9, false, "test").error().code, Exit::refused);
  EXPECT_EQ(read_file(path("a"), 10, true, "test").error().code, Exit::refused);
  EXPECT_EQ(read_file(path("."), 10, false, "test").error().code, Exit::refused);
  EXPECT_EQ(read_file(path("b"), 10, false, "test").error().code, Exit::not_found);
  write("a", "");
  EXPECT_EQ(read_file(path("a"), 0, false, "test").value(), "");
}

TEST_F(Files, GrowByWholeLines) {
  EXPECT_EQ(append_line(path("a"), "line", "test").error().code, Exit::not_found);
  write("a", "");
  ASSERT_TRUE(append_line(path("a"), "one", "test").ok());
  write("a", "one\ncut o");
  ASSERT_TRUE(append_line(path("a"), "two", "test").ok());
  EXPECT_EQ(read("a"), "one\ntwo\n");
  write("a", "cut o");
  ASSERT_TRUE(append_line(path("a"), "one", "test").ok());
  EXPECT_EQ(read("a"), "one\n");
}

}  // namespace
}  // namespace ssn::pki
