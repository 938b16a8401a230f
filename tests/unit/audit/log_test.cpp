// SPDX-License-Identifier: BSD-3-Clause
// The log of a process: what is noted is there, in order, once; what happens while its disk fails.
#include <fmt/core.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "audit_log.h"
#include "ssn/hw/config.h"
#include "support.h"

namespace ssn::audit::test {
namespace {

class Log : public Folder {
 protected:
  AuditSettings settings(bool refuse = false) const {
    AuditSettings made;
    made.file = {path("d/log"), std::uint64_t{1} << 20, 4};
    made.refuse = refuse;
    return made;
  }
  void SetUp() override {
    Folder::SetUp();
    std::filesystem::create_directory(path("d"));
  }
  std::unique_ptr<AuditLog> open(bool refuse = false) const {
    auto made = AuditLog::open(settings(refuse), {"Nodes.Report"});
    EXPECT_TRUE(made.ok());
    return made.ok() ? std::move(made.value()) : nullptr;
  }
  // From now on every write fails: what is open is full for good, and what is opened is no file.
  void fail_disk() const {
    std::filesystem::remove_all(path("d"));
    std::ofstream(path("d")) << "";
  }
  void mend_disk() const {
    std::filesystem::remove(path("d"));
    std::filesystem::create_directory(path("d"));
  }
  static void wait_until(const std::function<bool()>& holds) {
    for (int i = 0; i < 3000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(holds());
  }
};

TEST_F(Log, WhatIsNotedIsThereOnce) {
  auto log = open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) log->note(decision(fmt::format("c{}", t)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  log.reset();
  log = open();
  log->note(decision("after"));
  log->flush();
  std::uint64_t after = 0;
  std::size_t count = 0;
  for (bool more = true; more;) {
    const auto page = log->read({}, after, 300);
    ASSERT_TRUE(page.ok());
    for (const Decision& one : page.value().decisions) {
      EXPECT_EQ(one.number, ++count);
      EXPECT_NE(one.time_ms, 0U);
    }
    after = page.value().next;
    more = page.value().more;
  }
  EXPECT_EQ(count, 2001U);
}

TEST_F(Log, CountsAreWrittenAtTheEnd) {
  auto log = open();
  for (int i = 0; i < 1000; ++i) log->note(decision("mallory", false));
  for (int i = 0; i < 100; ++i) log->note(decision("h1", true, "Nodes.Report"));
  EXPECT_GT(log->counts().counted, 1000U);
  log.reset();
  std::uint64_t refused = 0;
  std::uint64_t reports = 0;
  const auto page = read_decisions(path("d/log"), {}, 0, 1000);
  ASSERT_TRUE(page.ok());
  for (const Decision& one : page.value().decisions) (one.allowed ? reports : refused) += one.times;
  EXPECT_EQ(refused, 1000U);
  EXPECT_EQ(reports, 100U);
  EXPECT_LT(page.value().decisions.size(), 20U);
}

TEST_F(Log, OneThatCannotBeKeptIsAnError) {
  fail_disk();
  const auto made = AuditLog::open(settings(), {});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().where, path("d/log"));
}

// The file is as long as it may be, and its folder is gone: nothing can be written until it is back.
TEST_F(Log, GoesOnOrRefusesAndLosesNothingThatFits) {
  for (const bool refuse : {false, true}) {
    std::filesystem::remove_all(path("d"));
    std::filesystem::create_directory(path("d"));
    AuditSettings small = settings(refuse);
    small.file.bytes_max = 30'000;
    auto made = AuditLog::open(small, {});
    ASSERT_TRUE(made.ok());
    AuditLog& log = *made.value();
    log.note(decision("alice"));
    log.flush();
    fail_disk();
    for (int i = 0; i < 400; ++i) log.note(decision(fmt::format("c{}", i)));
    wait_until([&] { return !log.trouble().empty(); });
    EXPECT_EQ(log.may_go_on().ok(), !refuse);
    if (refuse) {
      EXPECT_EQ(log.may_go_on().error().code, Exit::temporary);
    }
    EXPECT_GT(log.counts().failures, 0U);
    for (std::size_t i = 0; i < AuditLog::waiting_max + 1000; ++i) log.note(decision("more"));
    EXPECT_GT(log.counts().lost, 0U);
    mend_disk();
    wait_until([&] { return log.trouble().empty(); });
    EXPECT_TRUE(log.may_go_on().ok());
    wait_until([&] {
      std::uint64_t lost = 0;
      const auto page = read_decisions(path("d/log"), {.method = ""}, 0, 1000);
      if (page.ok()) {
        for (const Decision& one : page.value().decisions) lost += one.method.empty() ? one.times : 0;
      }
      return lost == log.counts().lost;
    });
  }
}

TEST_F(Log, SettingsAreWhatTheFileSays) {
  const auto read = [](const std::string& text) {
    auto config = hw::Config::parse(text, "/etc/x.toml");
    EXPECT_TRUE(config.ok());
    const AuditSettings settings = read_settings(config.value().root().table("audit"));
    return std::pair(settings, config.value().finish().ok());
  };
  EXPECT_TRUE(read("").first.file.path.empty());
  const auto [all, good] =
      read("[audit]\nfile = \"a\"\nfile_size = \"1 MiB\"\nfiles = 5\non_failure = \"refuse\"\n");
  EXPECT_TRUE(good);
  EXPECT_EQ(all.file.path, "/etc/a");
  EXPECT_EQ(all.file.bytes_max, std::uint64_t{1} << 20);
  EXPECT_EQ(all.file.files, 5U);
  EXPECT_TRUE(all.refuse);
  EXPECT_FALSE(read("[audit]\nfiles = 5\n").second);
  EXPECT_FALSE(read("[audit]\nfile = \"a\"\nfiles = 1\n").second);
  EXPECT_FALSE(read("[audit]\nfile = \"a\"\non_failure = \"x\"\n").second);
}

}  // namespace
}  // namespace ssn::audit::test
