// SPDX-License-Identifier: BSD-3-Clause
// The files: bounded, private, whole lines in order whatever fails, and read while they grow and move.
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "audit_file.h"
#include "support.h"

namespace ssn::audit::test {
namespace {

class Files : public Folder {
 protected:
  AuditFileRules rules(std::uint64_t bytes = 4096, unsigned files = 3) const {
    return {path(), bytes, files};
  }
  static std::string line(std::uint64_t number, const std::string& caller = "alice") {
    Decision one = decision(caller);
    one.number = number;
    return line_of(one);
  }
  std::vector<std::uint64_t> numbers(const DecisionFilter& filter = {}, std::size_t limit = 7) const {
    std::vector<std::uint64_t> all;
    std::uint64_t after = 0;
    for (bool more = true; more;) {
      const auto page = read_decisions(path(), filter, after, limit);
      EXPECT_TRUE(page.ok());
      if (!page.ok()) break;
      for (const Decision& one : page.value().decisions) all.push_back(one.number);
      EXPECT_TRUE(!page.value().more || page.value().next > after);
      after = page.value().next;
      more = page.value().more;
    }
    return all;
  }
};

TEST_F(Files, TheOldestGoAndTheRestIsInOrder) {
  auto file = AuditFile::open(rules());
  ASSERT_TRUE(file.ok());
  for (std::uint64_t number = 1; number <= 200; ++number) {
    ASSERT_TRUE(file.value().append(line(number), number).ok());
    ASSERT_TRUE(std::filesystem::file_size(path()) <= 4096);
  }
  EXPECT_FALSE(std::filesystem::exists(path("log.3")));
  const std::vector<std::uint64_t> all = numbers();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back(), 200U);
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_EQ(all[i], all[i - 1] + 1);
  const std::size_t each = 4096 / line(100).size();
  EXPECT_GE(all.size(), 2 * each);
  for (const char* const name : {"log", "log.1", "log.2"}) {
    struct stat status{};
    ASSERT_EQ(::stat(path(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 07777, 0600U) << name;
  }
}

TEST_F(Files, NumbersGoOnAfterARestart) {
  for (std::uint64_t number = 1; number <= 60; ++number) {
    auto file = AuditFile::open(rules());
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(file.value().last(), number - 1);
    ASSERT_TRUE(file.value().append(line(number), number).ok());
  }
}

TEST_F(Files, ALineThatWasCutOffIsNone) {
  {
    auto file = AuditFile::open(rules());
    ASSERT_TRUE(file.value().append(line(1), 1).ok());
  }
  std::ofstream(path(), std::ios::app) << line(2).substr(0, 40);
  auto file = AuditFile::open(rules());
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file.value().append(line(3), 3).ok());
  EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(read_decisions(path(), {}, 0, 10).value().damaged, 1U);
}

TEST_F(Files, OthersMayNotReadThem) {
  std::ofstream(path()) << "";
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_EQ(AuditFile::open(rules()).error().code, Exit::refused);
  std::filesystem::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_FALSE(AuditFile::open(rules()).ok());
  std::filesystem::remove(path());
  std::filesystem::create_symlink(path("elsewhere"), path());
  EXPECT_FALSE(AuditFile::open(rules()).ok());
}

// A full disk, played by a limit on the size of files: no half lines, and it goes on when there is room.
TEST_F(Files, AFullDiskLeavesWholeLines) {
  (void)std::signal(SIGXFSZ, SIG_IGN);
  auto file = AuditFile::open(rules(1 << 20));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file.value().append(line(1), 1).ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = line(1).size() + 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Outcome failed = file.value().append(line(2), 2);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().where, path());
  EXPECT_EQ(std::filesystem::file_size(path()), line(1).size());
  ASSERT_TRUE(file.value().append(line(2), 2).ok());
  EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 2}));
}

// A rotation that cannot be finished pushes nothing out, however often it is tried.
TEST_F(Files, ARotationThatFailsLosesNothing) {
  auto file = AuditFile::open(rules());
  std::uint64_t number = 1;
  for (; number <= 60; ++number) ASSERT_TRUE(file.value().append(line(number), number).ok());
  const std::vector<std::uint64_t> before = numbers();
  std::filesystem::remove(path("log.2"));
  std::filesystem::create_directory(path("log.2"));
  std::ofstream(path("log.2") + "/in the way") << "";
  unsigned failures = 0;
  for (int i = 0; i < 60; ++i) {
    const bool good = file.value().append(line(number), number).ok();
    number += good ? 1 : 0;
    failures += good ? 0 : 1;
  }
  EXPECT_GT(failures, 0U);
  const auto has = [&](const char* name) { return std::filesystem::file_size(path(name)); };
  EXPECT_GT(has("log") + has("log.1"), 4096U);
  std::filesystem::remove_all(path("log.2"));
  for (int i = 0; i < 5; ++i, ++number) ASSERT_TRUE(file.value().append(line(number), number).ok());
  EXPECT_EQ(numbers().back(), number - 1);
}

TEST_F(Files, FiltersAndPages) {
  auto file = AuditFile::open(rules(1 << 20));
  for (std::uint64_t number = 1; number <= 3000; ++number) {
    Decision one = decision(number % 3 == 0 ? "bob" : "alice", number % 5 != 0,
                            number % 2 == 0 ? "Objects.Stat" : "Nodes.Report");
    one.number = number;
    one.time_ms = number;
    one.about = {{"name", fmt::format("n{}", number % 10)}};
    ASSERT_TRUE(file.value().append(line_of(one), number).ok());
  }
  EXPECT_EQ(numbers().size(), 3000U);
  EXPECT_EQ(numbers({.caller = "bob"}).size(), 1000U);
  EXPECT_EQ(numbers({.method = "Objects"}).size(), 1500U);
  EXPECT_EQ(numbers({.method = "Objects.Stat"}).size(), 1500U);
  EXPECT_EQ(numbers({.method = "Object"}).size(), 0U);
  EXPECT_EQ(numbers({.refused = true}).size(), 600U);
  EXPECT_EQ(numbers({.since_ms = 2991}).size(), 10U);
  EXPECT_EQ(numbers({.about = "n7"}).size(), 300U);
  for (const std::uint64_t after : {0U, 1U, 1499U, 2998U, 2999U, 3000U, 5000U}) {
    const auto page = read_decisions(path(), {}, after, 1);
    ASSERT_TRUE(page.ok());
    ASSERT_EQ(page.value().decisions.size(), after < 3000 ? 1U : 0U) << after;
    if (after < 3000) {
      EXPECT_EQ(page.value().decisions[0].number, after + 1);
    }
  }
}

}  // namespace
}  // namespace ssn::audit::test
