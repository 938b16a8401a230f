// SPDX-License-Identifier: BSD-3-Clause
// Shares in RocksDB while its files rot, are cut, and run out of space.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "backends.h"
#include "ssn/store/rocksdb_store.h"
#include "test_store.h"

namespace ssn::store {
namespace {

namespace fs = std::filesystem;
using test::TestRandom;

constexpr std::uint32_t cell_bytes = 128;
const ShareId sealed{1, 1, 1};
const ShareId waiting{2, 1, 1};

constexpr std::uint64_t small_buffer = std::uint64_t{128} << 10;

Result<ShareStore> open_store(const std::string& directory, std::uint64_t reserve = 0,
                              std::uint64_t write_buffer = small_buffer) {
  RocksdbOptions database;
  database.directory = directory + "/db";
  database.write_buffer_bytes = write_buffer;
  database.blob_file_bytes = std::uint64_t{128} << 10;
  Result<OpenedRocksdb> opened = open_rocksdb(database);
  if (!opened.ok()) return opened.error();
  Result<std::unique_ptr<StorageFile>> file = open_storage_file(directory + "/keys");
  if (!file.ok()) return file.error();
  Result<GenerationKeys> keys = GenerationKeys::open(std::move(file.value()), 1000);
  if (!keys.ok()) return keys.error();
  ShareStoreOptions options;
  options.reserve_bytes = reserve;
  return ShareStore::open(std::move(opened.value().store), std::move(keys.value()), options);
}

bool fill(ShareStore& store, const ShareId& share, std::uint32_t first, std::uint32_t end) {
  std::vector<PutCompletion> completions;
  for (std::uint32_t cell = first; cell < end; ++cell) {
    if (store.put(share, 0, cell, test::cell_content(share, 0, cell, cell_bytes), 0, 0) !=
        StoreResult::done) {
      return false;
    }
  }
  store.flush(0, ShareStore::Flush::all, completions);
  return std::all_of(completions.begin(), completions.end(),
                     [](const PutCompletion& put) { return put.result == StoreResult::done; });
}

// How many cells read back; a wrong byte fails the test.
std::size_t good_cells(ShareStore& store, const ShareId& share, std::uint32_t cells) {
  std::size_t good = 0;
  test::StripeReader reader(cell_bytes);
  for (std::uint32_t stripe = 0; stripe * stripe_cells < cells; ++stripe) {
    const CellRead read = reader.read(store, share, 0, stripe);
    for (std::uint32_t i = 0; i < stripe_cells; ++i) {
      if ((read.read >> i & 1U) == 0) continue;
      ++good;
      EXPECT_EQ(reader.cell(i), test::cell_content(share, 0, stripe * stripe_cells + i, cell_bytes));
    }
  }
  return good;
}

std::string kind_of(const fs::path& file) {
  const std::string name = file.filename().string();
  return file.has_extension() ? file.extension().string() : name.substr(0, name.find('-'));
}

class RocksdbRot : public testing::Test {
 protected:
  void SetUp() override {
    Result<ShareStore> opened = open_store(original_.path());
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    ShareStore& store = opened.value();
    // In tables and blob files; the last of it is in the log only.
    ASSERT_TRUE(fill(store, sealed, 0, 64 * 40));
    const AttemptRun run{0, 0};
    std::vector<PutCompletion> completions;
    ASSERT_EQ(store.seal(sealed, 64 * 40, {&run, 1}, 0, completions).result, StoreResult::done);
    ASSERT_TRUE(store.database().reclaim().ok());
    ASSERT_TRUE(fill(store, waiting, 0, 200));
  }
  // A copy with one file changed.
  template <typename Change>
  void with_damage(const fs::path& file, Change change) {
    test::TestDirectory copy;
    fs::copy(original_.path(), copy.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    change((copy.path() / fs::relative(file, original_.path())).string());
    Result<ShareStore> opened = open_store(copy.path());
    if (!opened.ok()) {
      ++refused_;
      EXPECT_FALSE(opened.error().why.empty());
      EXPECT_FALSE(opened.error().fix.empty());
      return;
    }
    const std::size_t good =
        good_cells(opened.value(), sealed, 64 * 40) + good_cells(opened.value(), waiting, 200);
    whole_ += good == 64 * 40 + 200 ? 1U : 0U;
    partly_ += good == 64 * 40 + 200 ? 0U : 1U;
  }
  test::TestDirectory original_;
  std::size_t refused_ = 0;
  std::size_t whole_ = 0;
  std::size_t partly_ = 0;
};

TEST_F(RocksdbRot, NeverGivesWrongBytes) {
  TestRandom random = TestRandom::labelled("RocksdbRot.NeverGivesWrongBytes");
  std::map<std::string, std::size_t> kinds;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(original_.path())) {
    const std::string kind = entry.is_regular_file() ? kind_of(entry.path()) : "";
    if (kind.empty() || kind == "LOCK" || kind == "LOG" || entry.file_size() == 0 || ++kinds[kind] > 3)
      continue;
    files.push_back(entry.path());
  }
  EXPECT_TRUE(kinds.contains(".blob") && kinds.contains(".sst") && kinds.contains(".log") &&
              kinds.contains("MANIFEST"))
      << "not every kind of file is there";
  for (const fs::path& file : files) {
    const std::size_t size = fs::file_size(file);
    for (int flips = 0; flips < 8; ++flips) {
      const std::size_t at = random.below(size);
      with_damage(file, [&](const std::string& path) {
        std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(static_cast<std::streamoff>(at));
        const char byte = static_cast<char>(stream.get() ^ (1 << random.below(8)));
        stream.seekp(static_cast<std::streamoff>(at));
        stream.put(byte);
      });
    }
    with_damage(file, [&](const std::string& path) { fs::resize_file(path, random.below(size)); });
    with_damage(file, [&](const std::string& path) { fs::remove(path); });
  }
  std::printf("%zu times it did not open, %zu times cells were missing, %zu times nothing was\n", refused_,
              partly_, whole_);
  EXPECT_GT(partly_, 0U);
}

// What a crash leaves at the end of the log is no damage, whatever it is.
TEST_F(RocksdbRot, TakesATornEndOfTheLog) {
  TestRandom random = TestRandom::labelled("RocksdbRot.TakesATornEndOfTheLog");
  for (const auto& entry : fs::recursive_directory_iterator(original_.path())) {
    if (entry.path().extension() != ".log" || entry.file_size() < 1000) continue;
    for (int cuts = 0; cuts < 5; ++cuts) {
      with_damage(entry.path(), [&](const std::string& path) {
        fs::resize_file(path, fs::file_size(path) - 1 - random.below(500));
      });
    }
  }
  EXPECT_EQ(refused_, 0U);
}

class RocksdbFull : public testing::TestWithParam<std::uint64_t> {};

// With the buffer as it is shipped all of it is in memory and in the log when the disk is full.
INSTANTIATE_TEST_SUITE_P(WriteBuffers, RocksdbFull,
                         testing::Values(small_buffer, RocksdbOptions{}.write_buffer_bytes));

TEST_P(RocksdbFull, GoesOnWhenObjectsAreRemovedOrSpaceIsGiven) {
  test::SmallFileSystem small(24);
  if (!small.ok()) GTEST_SKIP() << "only root can make a small file system";
  constexpr std::uint64_t reserve = std::uint64_t{4} << 20;
  Result<ShareStore> opened = open_store(small.path(), reserve, GetParam());
  ASSERT_TRUE(opened.ok()) << opened.error().why;
  ShareStore& store = opened.value();
  std::uint64_t now = 1'000'000'000;
  std::vector<PutCompletion> completions;
  std::uint64_t object = 0;
  std::map<std::uint64_t, std::uint32_t> stored;
  while (!store.status().full && object < 200) {
    ++object;
    for (std::uint32_t cell = 0; cell < 1024; ++cell) {
      const ShareId share{object, 1, 1};
      if (store.put(share, 0, cell, test::cell_content(share, 0, cell, cell_bytes), object, now) !=
          StoreResult::done) {
        break;
      }
    }
    completions.clear();
    store.flush(now += 200'000'000, ShareStore::Flush::all, completions);
    for (const PutCompletion& put : completions) stored[object] += put.result == StoreResult::done ? 1U : 0U;
  }
  ASSERT_TRUE(store.status().full);
  EXPECT_FALSE(store.status().read_only) << store.status().why.why;
  EXPECT_EQ(store.put({9999, 1, 1}, 0, 0, Buffer(64), 0, now), StoreResult::disk_full);
  for (const auto& [number, cells] : stored) EXPECT_EQ(good_cells(store, {number, 1, 1}, 1024), cells);
  const std::uint64_t half = object / 2;
  for (std::uint64_t i = 1; i <= half; ++i) {
    EXPECT_EQ(store.remove({i, 1}, completions), StoreResult::done);
  }
  for (int tries = 0; tries < 200 && store.status().full; ++tries) {
    store.flush(now += 200'000'000, ShareStore::Flush::due, completions);
  }
  ASSERT_FALSE(store.status().full) << store.status().why.why << " " << store.status().free_bytes;
  EXPECT_TRUE(fill(store, {7777, 1, 1}, 0, 100));
  EXPECT_EQ(good_cells(store, {7777, 1, 1}, 100), 100U);
  for (std::uint64_t i = half + 1; i <= object; ++i) EXPECT_EQ(good_cells(store, {i, 1, 1}, 1024), stored[i]);
}

TEST(Rocksdb, IsForOneProcess) {
  test::TestDirectory directory;
  RocksdbOptions options;
  options.directory = directory.path() + "/db";
  Result<OpenedRocksdb> first = open_rocksdb(options);
  ASSERT_TRUE(first.ok());
  const Result<OpenedRocksdb> second = open_rocksdb(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Exit::temporary);
  options.directory += "2";
  options.create = false;
  EXPECT_FALSE(open_rocksdb(options).ok());
}

}  // namespace
}  // namespace ssn::store
