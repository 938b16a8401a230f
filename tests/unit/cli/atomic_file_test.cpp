// SPDX-License-Identifier: BSD-3-Clause
#include "atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "temporary_directory.h"

namespace ssn::cli {
namespace {

class OutputFiles : public test::TemporaryDirectory {
 protected:
  static Outcome put(OutputSet& set, std::size_t i, std::string_view text) {
    return set.write(i, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
};

TEST_F(OutputFiles, AppearTogetherAtCommit) {
  OutputSet set(false);
  ASSERT_TRUE(set.add(path("a")).ok());
  ASSERT_TRUE(set.add(path("b")).ok());
  ASSERT_TRUE(put(set, 0, "one").ok());
  ASSERT_TRUE(put(set, 1, "two").ok());
  EXPECT_EQ(names().size(), 2U);
  EXPECT_FALSE(std::filesystem::exists(path("a")));
  ASSERT_TRUE(set.commit().ok());
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read("a"), "one");
  EXPECT_EQ(read("b"), "two");
  struct stat status{};
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(OutputFiles, VanishWithoutCommit) {
  {
    OutputSet set(false);
    ASSERT_TRUE(set.add(path("a")).ok());
    ASSERT_TRUE(put(set, 0, "one").ok());
    EXPECT_EQ(names().size(), 1U);
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(OutputFiles, RefuseExistingTargets) {
  write("a", "old");
  OutputSet set(false);
  const Outcome added = set.add(path("a"));
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, Exit::refused);
}

TEST_F(OutputFiles, RefuseTargetsThatAppearMeanwhile) {
  OutputSet set(false);
  ASSERT_TRUE(set.add(path("a")).ok());
  ASSERT_TRUE(set.add(path("b")).ok());
  write("b", "faster");
  const Outcome committed = set.commit();
  ASSERT_FALSE(committed.ok());
  EXPECT_EQ(committed.error().code, Exit::refused);
  EXPECT_FALSE(std::filesystem::exists(path("a")));
  EXPECT_EQ(read("b"), "faster");
}

TEST_F(OutputFiles, ForceReplacesAndUndoRestores) {
  write("a", "old a");
  write("b", "old b");
  {
    OutputSet set(true);
    ASSERT_TRUE(set.add(path("a")).ok());
    ASSERT_TRUE(set.add(path("b")).ok());
    ASSERT_TRUE(set.add(path("c")).ok());
    ASSERT_TRUE(put(set, 0, "new a").ok());
    std::filesystem::create_directory(path("c"));  // cannot be replaced
    EXPECT_FALSE(set.commit().ok());
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(read("a"), "old a");
  EXPECT_EQ(read("b"), "old b");

  OutputSet set(true);
  ASSERT_TRUE(set.add(path("a")).ok());
  ASSERT_TRUE(put(set, 0, "new").ok());
  ASSERT_TRUE(set.commit().ok());
  EXPECT_EQ(read("a"), "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(OutputFiles, ReservedSpaceIsCutToWhatWasWritten) {
  OutputSet set(false);
  ASSERT_TRUE(set.add(path("a")).ok());
  ASSERT_TRUE(set.reserve(0, 1 << 20).ok());
  ASSERT_TRUE(set.skip(0, 4).ok());
  ASSERT_TRUE(put(set, 0, "body").ok());
  const std::uint8_t head[4] = {'h', 'e', 'a', 'd'};
  ASSERT_TRUE(set.write_at(0, 0, head).ok());
  ASSERT_TRUE(set.commit().ok());
  EXPECT_EQ(read("a"), "headbody");
}

TEST_F(OutputFiles, MissingDirectoryIsNotFound) {
  OutputSet set(false);
  const Outcome added = set.add(path("missing/a"));
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, Exit::not_found);
}

}  // namespace
}  // namespace ssn::cli
