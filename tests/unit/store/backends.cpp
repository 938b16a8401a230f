// SPDX-License-Identifier: BSD-3-Clause
#include "backends.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "ssn/store/memory_store.h"
#include "ssn/store/rocksdb_store.h"

namespace ssn::test {

namespace fs = std::filesystem;

TestDirectory::TestDirectory() {
  std::string name = (fs::temp_directory_path() / "ssn-store.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}
TestDirectory::~TestDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

SmallFileSystem::SmallFileSystem(unsigned mebibytes) {
  const std::string options = "size=" + std::to_string(mebibytes) + "m";
  mounted_ = ::mount("none", directory_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
}
SmallFileSystem::~SmallFileSystem() {
  if (mounted_) (void)::umount2(directory_.path().c_str(), MNT_DETACH);
}
bool SmallFileSystem::resize(unsigned mebibytes) {
  const std::string options = "size=" + std::to_string(mebibytes) + "m";
  return ::mount("none", directory_.path().c_str(), "tmpfs", MS_REMOUNT, options.c_str()) == 0;
}

std::unique_ptr<store::KeyValueStore> MemoryBackend::open() {
  return std::make_unique<store::MemoryStore>(std::uint64_t{256} << 20);
}
std::unique_ptr<store::KeyValueStore> MemoryBackend::open_small() {
  auto made = std::make_unique<store::MemoryStore>(std::uint64_t{4} << 20);
  small_ = made.get();
  return made;
}
void MemoryBackend::make_room() {
  store::Batch batch;
  const store::Buffer first = {'k'};
  batch.erase(store::Buffer{'k', 'e', 'y', '1', '0', '0', '0'});
  ASSERT_TRUE(small_->write(batch, store::KeyValueStore::Sync::durable).ok());
  batch.put(store::Buffer{'k', 'e', 'y', '1', '0', '0', '0'}, store::Buffer(10));
  ASSERT_TRUE(small_->write(batch, store::KeyValueStore::Sync::durable).ok());
}

namespace {

std::unique_ptr<store::KeyValueStore> open_at(const std::string& path) {
  store::RocksdbOptions options;
  options.directory = path;
  options.write_buffer_bytes = std::uint64_t{1} << 20;
  options.blob_file_bytes = std::uint64_t{1} << 20;
  Result<store::OpenedRocksdb> opened = store::open_rocksdb(options);
  EXPECT_TRUE(opened.ok()) << opened.error().why;
  if (!opened.ok()) return nullptr;
  EXPECT_EQ(opened.value().damage, "");
  return std::move(opened.value().store);
}

}  // namespace

std::unique_ptr<store::KeyValueStore> RocksdbBackend::open() { return open_at(path()); }
std::unique_ptr<store::KeyValueStore> RocksdbBackend::open_small() {
  small_ = std::make_unique<SmallFileSystem>(12);
  if (!small_->ok()) return nullptr;
  return open_at(small_->path() + "/db");
}
void RocksdbBackend::make_room() { ASSERT_TRUE(small_->resize(64)); }

std::unique_ptr<store::KeyValueStore> CrashBackend::open_small() {
  medium_.set_capacity(medium_.used() + (std::uint64_t{4} << 20));
  return medium_.open_store();
}

}  // namespace ssn::test
