// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/ledger/file_ledger.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "test_random.h"

namespace ssn::ledger {
namespace {

namespace fs = std::filesystem;
using protocol::PeerRecord;
using protocol::StreamMarks;
using test::Bytes;
using test::TestRandom;

class FileLedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ssn-ledger.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = (directory_ / "alice.ledger").string();
  }
  void TearDown() override { fs::remove_all(directory_); }
  Result<FileLedger> open(FileLedger::Create create = FileLedger::Create::if_missing,
                          std::string_view node = "alice") {
    return FileLedger::open(path_, node, create, protocol::least_extent);
  }

  fs::path directory_;
  std::string path_;
};

PeerRecord one_sender(std::uint64_t epoch) {
  PeerRecord record;
  record.epoch = epoch;
  record.streams.resize(1);
  record.streams[0].sender = true;
  return record;
}

TEST_F(FileLedgerTest, IsMadeOnceAndCountsStarts) {
  const Result<FileLedger> none = open(FileLedger::Create::never);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Exit::not_found);
  for (std::uint64_t start = 1; start <= 3; ++start) {
    Result<FileLedger> ledger = open();
    ASSERT_TRUE(ledger.ok()) << ledger.error().why;
    EXPECT_EQ(ledger.value().ledger().state().incarnation, start);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator{}), 1);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(FileLedgerTest, IsNotOpenedTwice) {
  Result<FileLedger> first = open();
  ASSERT_TRUE(first.ok());
  const Result<FileLedger> second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Exit::temporary);
  EXPECT_EQ(second.error().where, path_);
}

TEST_F(FileLedgerTest, RefusesWhatIsNoLedger) {
  std::ofstream(path_) << "not a ledger";
  const Result<FileLedger> text = open();
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, Exit::integrity);
  fs::remove(path_);
  ASSERT_TRUE(open().ok());
  const Result<FileLedger> other = open(FileLedger::Create::never, "bob");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Exit::refused);
  fs::rename(path_, path_ + ".real");
  fs::create_symlink(path_ + ".real", path_);
  EXPECT_FALSE(open().ok());
}

// A disk whose n-th operation fails.
class FailingFile : public LedgerFile {
 public:
  FailingFile(int operation, int& count) : fails_(operation), count_(count) {}
  Outcome write(std::uint64_t, std::span<const std::uint8_t>) override { return next("write"); }
  Outcome sync() override { return next("sync"); }

 private:
  Outcome next(const char* what) {
    if (++count_ == fails_) return Error{Exit::failed, what, "input/output error", "disk", "replace it"};
    return done;  // from then on it claims to work
  }
  int fails_;
  int& count_;
};

TEST(FileLedger, NeverBelievesADiskThatFailedOnce) {
  for (int operation = 3; operation <= 8; ++operation) {
    int count = 0;
    Result<FileLedger> opened =
        FileLedger::open(std::make_unique<FailingFile>(operation, count),
                         protocol::Ledger::initial_image("alice"), "alice", protocol::least_extent);
    ASSERT_TRUE(opened.ok());
    FileLedger& file = opened.value();
    bool failed = false;
    for (std::uint64_t epoch = 1; epoch < 10; ++epoch) {
      ASSERT_TRUE(file.ledger().enter_epoch("bob", one_sender(epoch)).ok());
      if (!file.step().ok()) {
        failed = true;
        break;
      }
    }
    ASSERT_TRUE(failed);
    const int until = count;
    EXPECT_FALSE(file.step().ok());
    EXPECT_FALSE(file.step().ok());
    EXPECT_EQ(count, until);  // the disk was not asked again
    EXPECT_TRUE(file.ledger().failed());
  }
  for (int operation = 1; operation <= 2; ++operation) {
    int count = 0;
    EXPECT_FALSE(FileLedger::open(std::make_unique<FailingFile>(operation, count),
                                  protocol::Ledger::initial_image("alice"), "alice")
                     .ok());
  }
}

// A child takes offsets as fast as it may and reports each, and is killed: the file's mark is never below.
TEST_F(FileLedgerTest, IsAheadOfAProcessThatIsKilled) {
  TestRandom random = TestRandom::labelled("FileLedger.IsAheadOfAProcessThatIsKilled");
  ASSERT_TRUE(open().ok());
  for (std::uint64_t round = 1; round <= 20; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Result<FileLedger> file =
          FileLedger::open(path_, "alice", FileLedger::Create::never, protocol::least_extent);
      if (!file.ok() || !file.value().ledger().enter_epoch("bob", one_sender(round)).ok()) ::_exit(1);
      if (!file.value().step().ok()) ::_exit(1);
      StreamMarks marks;
      file.value().ledger().attach("bob", 0, marks);
      for (std::uint64_t used = 0;;) {
        if (used + 4096 <= marks.granted()) {
          used += 4096;
          marks.advance(used);
          if (::write(pipe_ends[1], &used, sizeof used) != sizeof used) ::_exit(1);
        }
        if (!file.value().step().ok()) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t used = 0;
    std::uint64_t last = 0;
    const std::uint64_t until = 4096 * (1 + random.below(200));
    while (last < until && ::read(pipe_ends[0], &used, sizeof used) == sizeof used) last = used;
    ASSERT_GE(last, until);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    while (::read(pipe_ends[0], &used, sizeof used) == sizeof used) last = used;  // what it still said
    ::close(pipe_ends[0]);
    Result<FileLedger> file = open(FileLedger::Create::never);
    ASSERT_TRUE(file.ok()) << file.error().why;
    const PeerRecord* bob = file.value().ledger().peer("bob");
    ASSERT_NE(bob, nullptr);
    ASSERT_EQ(bob->epoch, round);
    EXPECT_FALSE(bob->open);
    EXPECT_GE(bob->streams.at(0).sent, last);
  }
}

}  // namespace
}  // namespace ssn::ledger
