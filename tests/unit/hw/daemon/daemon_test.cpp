// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/daemon.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace ssn::hw {
namespace {

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() {
    daemon_.add_flag("--poll", poll_);
    daemon_.add_values("--site", sites_);
  }
  int start(std::vector<std::string> words) {
    words.insert(words.begin(), "ssn-test");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = daemon_.main(static_cast<int>(words.size()), argv.data(), [&](const auto& arguments) {
      ++runs_;
      seen_ = arguments;
      if (throws_) throw std::runtime_error("nothing left");
      return 7;
    });
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  Daemon daemon_{"ssn-test", "1.2.3", "what it is for\n"};
  Daemon::Arguments seen_;
  std::vector<std::string> sites_;
  bool poll_ = false;
  bool throws_ = false;
  int runs_ = 0;
  std::string out_, err_;
};

TEST_F(DaemonTest, ReadsItsCommandLine) {
  EXPECT_EQ(start({"--config", "a.toml", "--site=x", "--site", "y", "--ready-file=r", "--check", "--poll"}),
            7);
  EXPECT_EQ(seen_.config, "a.toml");
  EXPECT_EQ(seen_.ready_file, "r");
  EXPECT_TRUE(seen_.check);
  EXPECT_TRUE(poll_);
  EXPECT_EQ(sites_, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(start({"--config=b.toml"}), 7);
  EXPECT_EQ(seen_.config, "b.toml");
  EXPECT_TRUE(seen_.ready_file.empty());
  EXPECT_FALSE(seen_.check);
}

TEST_F(DaemonTest, SaysWhatItDoesNotUnderstand) {
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{}, "--config is missing"},
      {{"--config"}, "--config needs a value"},
      {{"--config="}, "--config needs a value"},
      {{"--config", "a", "--site"}, "--site needs a value"},
      {{"--config", "a", "--frobnicate"}, "unknown argument --frobnicate"},
      {{"--config", "a", "--poll=1"}, "unknown argument --poll=1"},
      {{"a.toml"}, "unknown argument a.toml"},
  };
  for (const auto& [words, why] : wrong) {
    EXPECT_EQ(start(words), static_cast<int>(Exit::usage)) << why;
    EXPECT_NE(err_.find(why), std::string::npos) << err_;
    EXPECT_NE(err_.find("fix:   see `ssn-test --help`"), std::string::npos) << err_;
  }
  EXPECT_EQ(runs_, 0);
}

TEST_F(DaemonTest, HelpsAndNamesItsVersion) {
  for (const char* const word : {"--help", "-h"}) {
    EXPECT_EQ(start({"--config", "a", word}), 0);
    EXPECT_EQ(out_, "what it is for\n");
  }
  EXPECT_EQ(start({"--version"}), 0);
  EXPECT_EQ(out_, "ssn-test 1.2.3\n");
  EXPECT_EQ(runs_, 0);
}

TEST_F(DaemonTest, TakesExceptionsForFailures) {
  throws_ = true;
  EXPECT_EQ(start({"--config", "a"}), static_cast<int>(Exit::failed));
  EXPECT_NE(err_.find("ssn-test: error: cannot go on: nothing left"), std::string::npos) << err_;
}

class ReadyFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "daemon-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::size_t files() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder_)) ++count;
    return count;
  }

  std::filesystem::path folder_;
};

TEST_F(ReadyFileTest, StandsWhileTheProgramIsReady) {
  const std::string path = folder_ / "ready";
  {
    const auto ready = ReadyFile::write(path, "{\"listen\": 1}\n");
    ASSERT_TRUE(ready.ok());
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str(), "{\"listen\": 1}\n");
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(files(), 0U);
  EXPECT_TRUE(ReadyFile::write("", "nobody asked").ok());
}

TEST_F(ReadyFileTest, AppearsCompleteOrNotAtAll) {
  EXPECT_EQ(ReadyFile::write(folder_ / "missing" / "ready", "x").error().code, Exit::not_found);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{100, before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto ready =
      ReadyFile::write(folder_ / "ready", std::string(200, 'x'));  // the first 100 can be written
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(ready.ok());
  EXPECT_FALSE(ready.error().fix.empty());
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace ssn::hw
