// SPDX-License-Identifier: BSD-3-Clause
// Which files are read at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "ssn/hw/config.h"

namespace ssn::hw {
namespace {

using testing::HasSubstr;

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ssn-config-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& text, mode_t mode = 0644) {
    const std::string path = folder_ + "/ssn.toml";
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  std::string folder_;
};

TEST_F(ConfigFile, IsRead) {
  const std::string path = write("log = 'x.log'\n");
  Result<Config> config = Config::load(path);
  ASSERT_TRUE(config.ok()) << config.error().why;
  EXPECT_EQ(config.value().root().path("log"), folder_ + "/x.log");
  EXPECT_TRUE(config.value().finish().ok());
}

TEST_F(ConfigFile, MustExistAndBeAFile) {
  const Result<Config> missing = Config::load(folder_ + "/none.toml");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Exit::not_found);
  const Result<Config> folder = Config::load(folder_);
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(folder.error().why, HasSubstr("no regular file"));
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(Config::load(fifo).ok());  // and does not wait for a writer
}

TEST_F(ConfigFile, MustNotBeWritableForEverybody) {
  const std::string path = write("a = 1\n", 0646);
  const Result<Config> config = Config::load(path);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, Exit::refused);
  EXPECT_EQ(config.error().fix, "chmod o-w " + path);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(Config::load(path).ok());
}

TEST_F(ConfigFile, MustBelongToRootOrThisUser) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  const std::string path = write("a = 1\n");
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  const Result<Config> config = Config::load(path);
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.error().why, HasSubstr("another user"));
}

TEST_F(ConfigFile, MustBePrivateWhereItHoldsSecrets) {
  const std::string path = write("a = 1\n", 0640);
  const Result<Config> config = Config::load(path, {.is_private = true});
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().fix, "chmod go= " + path);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(Config::load(path, {.is_private = true}).ok());
}

TEST_F(ConfigFile, MustNotBeTooLong) {
  const std::string path = write(std::string(1001, '\n'));
  EXPECT_FALSE(Config::load(path, {.longest = 1000}).ok());
  EXPECT_TRUE(Config::load(path, {.longest = 1001}).ok());
}

}  // namespace
}  // namespace ssn::hw
