// SPDX-License-Identifier: BSD-3-Clause
#include "database.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "catalogue.h"
#include "check.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

std::unique_ptr<Database> open_sqlite(const std::string& path) {
  auto opened = open_sqlite_database(path);
  EXPECT_OK(opened);
  return opened.ok() ? std::move(opened.value()) : nullptr;
}

// One contract for all of them.
class Contract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    database_ =
        std::string(GetParam()) == "memory" ? make_memory_database() : open_sqlite(folder_.path("db"));
    ASSERT_NE(database_, nullptr);
  }
  std::string get(const std::string& key) {
    const auto value = database_->get(key);
    EXPECT_OK(value);
    return value.value().value_or("(none)");
  }
  std::string scan(const std::string& from, const std::string& to, std::size_t limit = 100) {
    const auto rows = database_->scan(from, to, limit);
    EXPECT_OK(rows);
    std::string all;
    for (const Row& row : rows.value()) {
      all += row.key + "=" + row.value + ";";
    }
    return all;
  }

  Folder folder_;
  std::unique_ptr<Database> database_;
};

TEST_P(Contract, WhatIsPutIsThereUntilItIsErased) {
  EXPECT_EQ(get("a"), "(none)");
  EXPECT_OK(database_->commit({{"a", "1"}, {"b", ""}}));
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), "");
  EXPECT_OK(database_->commit({{"a", std::nullopt}, {"b", "2"}, {"c", std::nullopt}}));
  EXPECT_EQ(get("a"), "(none)");
  EXPECT_EQ(get("b"), "2");
  EXPECT_OK(database_->commit({}));
  EXPECT_EQ(database_->trouble(), "");
}

TEST_P(Contract, KeysAreBytesInTheirOrder) {
  const std::string low("a\0", 2);
  const std::string high("a\xff", 2);
  EXPECT_OK(database_->commit({{"a", "1"}, {low, "2"}, {"ab", "3"}, {high, "4"}, {"b", "5"}, {"\xff", "6"}}));
  EXPECT_EQ(scan("a", "b"), "a=1;" + low + "=2;ab=3;" + high + "=4;");
  EXPECT_EQ(scan("ab", ""), "ab=3;" + high + "=4;b=5;\xff=6;");
  EXPECT_EQ(scan("a", "b", 2), "a=1;" + low + "=2;");
  EXPECT_EQ(scan("", "a"), "");
  EXPECT_EQ(scan("c", "b"), "");
  EXPECT_EQ(scan("", "", 0), "");
}

TEST_P(Contract, DoesWhatAMapDoes) {
  std::mt19937_64 random(seed());
  std::map<std::string, std::string> model;
  for (int step = 0; step < 500; ++step) {
    Changes changes;
    for (unsigned i = 0; i < random() % 4; ++i) {
      std::string key(1 + random() % 3, ' ');
      for (char& c : key) {
        c = static_cast<char>(random() % 4 * 85);
      }
      if (random() % 3 == 0) {
        changes[key] = std::nullopt;
        model.erase(key);
      } else {
        changes[key] = model[key] = std::to_string(random() % 1000);
      }
    }
    ASSERT_OK(database_->commit(changes));
  }
  const auto rows = database_->scan("", "", 1000);
  ASSERT_OK(rows);
  std::map<std::string, std::string> found;
  for (const Row& row : rows.value()) {
    found[row.key] = row.value;
  }
  EXPECT_EQ(found, model);
}

INSTANTIATE_TEST_SUITE_P(All, Contract, testing::Values("memory", "sqlite"),
                         [](const auto& test) { return std::string(test.param); });

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void put_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Changes some(int rows, std::size_t bytes = 100) {
  Changes changes;
  for (int i = 0; i < rows; ++i) {
    changes[numbered("key", i)] = std::string(bytes, static_cast<char>('a' + i % 26));
  }
  return changes;
}

TEST(Sqlite, StaysAndIsPrivate) {
  Folder folder;
  const std::string path = folder.path("db");
  {
    const auto database = open_sqlite(path);
    ASSERT_OK(database->commit({{"a", "1"}}));
    for (const char* const end : {"", "-wal"}) {
      struct stat status{};
      ASSERT_EQ(::stat((path + end).c_str(), &status), 0) << end;
      EXPECT_EQ(status.st_mode & 0777U, 0600U) << end;
    }
  }
  EXPECT_EQ(open_sqlite(path)->get("a").value().value_or(""), "1");
  ::chmod(path.c_str(), 0644);
  EXPECT_TRUE(fails(open_sqlite_database(path), Exit::refused));
}

TEST(Sqlite, BelongsToOneProcess) {
  Folder folder;
  const auto database = open_sqlite(folder.path("db"));
  const pid_t child = ::fork();
  if (child == 0) {
    const auto second = open_sqlite_database(folder.path("db"));
    ::_exit(second.ok() ? 0 : static_cast<int>(second.error().code));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(Exit::temporary));
}

TEST(Sqlite, RefusesWhatIsNotItsOwn) {
  Folder folder;
  put_bytes(folder.path("text"),
            "no database at all, but long enough to be looked at as one. " + std::string(4096, 'x'));
  ::chmod(folder.path("text").c_str(), 0600);
  EXPECT_TRUE(fails(open_sqlite_database(folder.path("text")), Exit::integrity));
  EXPECT_TRUE(fails(open_sqlite_database(folder.path("no/such/folder")), Exit::not_found));
  EXPECT_FALSE(open_sqlite_database(folder.path("")).ok());
  // Another application_id (byte 68), then another schema (byte 60).
  open_sqlite(folder.path("db"));
  const std::string good = bytes_of(folder.path("db"));
  std::string bad = good;
  bad[68] = static_cast<char>(bad[68] + 1);
  put_bytes(folder.path("db"), bad);
  EXPECT_TRUE(fails(open_sqlite_database(folder.path("db")), Exit::refused));
  bad = good;
  bad[63] = 6;
  put_bytes(folder.path("db"), bad);
  EXPECT_TRUE(fails(open_sqlite_database(folder.path("db")), Exit::refused));
  put_bytes(folder.path("db"), good);
  EXPECT_OK(open_sqlite_database(folder.path("db")));
}

// A database of schema 1 to 4 is taken over, once: after that programs of before refuse it.
TEST(Sqlite, TheSchemaBeforeIsTakenOver) {
  Folder folder;
  const std::string path = folder.path("db");
  ASSERT_OK(open_sqlite(path)->commit({{"a", "1"}}));
  std::string bytes = bytes_of(path);
  ASSERT_EQ(bytes[63], 5);
  for (const char before : {'\1', '\2', '\3', '\4'}) {
    bytes[63] = before;
    put_bytes(path, bytes);
    EXPECT_EQ(open_sqlite(path)->get("a").value().value_or(""), "1");
    EXPECT_EQ(bytes_of(path)[63], before);  // not before all of it was found good
    EXPECT_OK(open_sqlite(path)->adopt());
    EXPECT_EQ(bytes_of(path)[63], 5);
    EXPECT_EQ(open_sqlite(path)->get("a").value().value_or(""), "1");
  }
}

// A start that fails for a damaged record leaves the file to the program that wrote it.
TEST(Sqlite, TheSchemaBeforeStaysWhereARecordIsDamaged) {
  Folder folder;
  const std::string path = folder.path("db");
  ASSERT_OK(open_sqlite(path)->commit({{"n1", "no record"}}));
  std::string bytes = bytes_of(path);
  bytes[63] = 2;
  put_bytes(path, bytes);
  const auto random = [](std::uint8_t* out, std::size_t count) { std::fill_n(out, count, std::uint8_t{1}); };
  EXPECT_TRUE(fails(Catalogue::open(*open_sqlite(path), Policy(), random, Now()), Exit::integrity));
  EXPECT_EQ(bytes_of(path)[63], 2);
  ASSERT_OK(open_sqlite(path)->commit({{"n1", std::nullopt}}));
  EXPECT_OK(Catalogue::open(*open_sqlite(path), Policy(), random, Now()));
  EXPECT_EQ(bytes_of(path)[63], 5);
}

// Cut off or with a flipped byte anywhere: an error, or exactly what was there; never something else.
// A key that changed on the disk makes a record one that nobody asks for.
TEST(Records, OneUnderAnotherKeyIsNoticedAtStart) {
  const auto database = make_memory_database();
  Changes changes;
  for (int i = 0; i < 2500; ++i) {
    const std::string key = keys::node(fmt::format("n{}", i));
    changes[key] = encode(key, NodeRecord());
  }
  ASSERT_OK(database->commit(changes));
  EXPECT_OK(check_records(*database));
  ASSERT_OK(database->commit({{keys::node("n9998"), encode(keys::node("n9999"), NodeRecord())}}));
  const Outcome checked = check_records(*database);
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().code, Exit::integrity);
  const auto opened = Catalogue::open(*database, Policy(), [](void*, std::size_t) {}, Now());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Exit::integrity);
}

TEST(Sqlite, DamageIsNoticed) {
  Folder folder;
  const std::string path = folder.path("db");
  const std::string key = keys::node("a");
  NodeRecord record;
  record.registration.agent = std::string(3000, 'a');
  {
    const auto database = open_sqlite(path);
    ASSERT_OK(database->commit({{key, encode(key, record)}}));
  }
  const std::string good = bytes_of(path);
  std::mt19937_64 random(seed());
  int noticed = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::string bad = good;
    if (trial % 10 == 0) {
      bad.resize(1 + random() % (bad.size() - 1));
    } else {
      bad[random() % bad.size()] ^= static_cast<char>(1U << random() % 8);
    }
    std::filesystem::remove(path + "-wal");
    put_bytes(path, bad);
    const auto opened = open_sqlite_database(path);
    if (!opened.ok() || !check_records(*opened.value()).ok()) {
      ++noticed;
      continue;
    }
    const auto value = opened.value()->get(key);
    if (!value.ok() || !value.value()) {
      ++noticed;  // not found: only where the table lost its page, which the check at start would have said
      EXPECT_FALSE(value.ok()) << "a record vanished without a word, trial " << trial;
      continue;
    }
    const auto read = decode<NodeRecord>(key, *value.value());
    noticed += read.ok() ? 0 : 1;
    EXPECT_TRUE(!read.ok() || read.value().registration.agent == record.registration.agent);
  }
  EXPECT_GT(noticed, 30);
}

// A small file system of its own, if this user may mount one.
class SmallDisk {
 public:
  SmallDisk() : path_(folder_.path("disk")) {
    std::filesystem::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=1m,mode=0700") == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      ::umount2(path_.c_str(), MNT_DETACH);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  void remount(unsigned long flags) const {
    ::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT | flags, "size=1m");
  }

 private:
  Folder folder_;
  const std::string path_;
  bool mounted_ = false;
};

TEST(Sqlite, AFullDiskIsAnErrorAndPasses) {
  SmallDisk disk;
  if (!disk.mounted()) {
    GTEST_SKIP() << "this user may not mount a tmpfs";
  }
  const auto database = open_sqlite(disk.path("db"));
  ASSERT_OK(database->commit({{"a", "1"}}));
  std::string filler = disk.path("filler");
  const int fd = ::open(filler.c_str(), O_CREAT | O_WRONLY, 0600);
  const std::string page(4096, 'x');
  while (::write(fd, page.data(), page.size()) > 0) {
  }
  ::close(fd);
  const Outcome full = database->commit(some(100, 4000));
  EXPECT_TRUE(fails(full, Exit::temporary));
  EXPECT_EQ(database->trouble(), "");
  EXPECT_EQ(database->get("a").value().value_or(""), "1");
  EXPECT_FALSE(database->get("key1").value().has_value());
  std::filesystem::remove(filler);
  EXPECT_OK(database->commit(some(50, 1000)));
  EXPECT_TRUE(database->get("key1").value().has_value());
}

TEST(Sqlite, AReadOnlyDiskIsRefused) {
  SmallDisk disk;
  if (!disk.mounted()) {
    GTEST_SKIP() << "this user may not mount a tmpfs";
  }
  {
    ASSERT_OK(open_sqlite(disk.path("db"))->commit({{"a", "1"}}));
  }
  disk.remount(MS_RDONLY);
  const auto opened = open_sqlite_database(disk.path("db"));
  ASSERT_FALSE(opened.ok());
  EXPECT_FALSE(opened.error().fix.empty());
  disk.remount(0);
  EXPECT_EQ(open_sqlite(disk.path("db"))->get("a").value().value_or(""), "1");
}

}  // namespace
}  // namespace ssn::controller::test
