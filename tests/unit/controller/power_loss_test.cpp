// SPDX-License-Identifier: BSD-3-Clause
// The machine loses power at random moments while several threads change a database. What it wrote and synced
// is watched where SQLite and we hand it to the kernel: the functions below stand before those of the C
// library.
#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "support.h"

namespace ssn::controller::test {
namespace {

// A file as the disk has it, and what was written since and may be lost.
struct File {
  struct Operation {
    std::uint64_t at = 0;
    std::string bytes;
    bool cut = false;  // it ends at `at`
  };
  std::string durable;
  std::vector<Operation> later;

  static void apply(std::string& image, const Operation& operation, std::size_t bytes) {
    if (operation.cut) {
      image.resize(operation.at);
      return;
    }
    if (image.size() < operation.at + bytes) image.resize(operation.at + bytes);
    image.replace(operation.at, bytes, operation.bytes, 0, bytes);
  }
  void sync(std::size_t operations) {
    for (std::size_t i = 0; i < operations; ++i) apply(durable, later[i], later[i].bytes.size());
    later.erase(later.begin(), later.begin() + static_cast<std::ptrdiff_t>(operations));
  }
  // Each operation is there, lost, or torn at a sector.
  std::string after_power_loss(std::mt19937_64& random) const {
    std::string image = durable;
    for (const Operation& operation : later) {
      const std::uint64_t fate = random() % 4;
      if (fate == 0) continue;
      const std::size_t sectors = operation.bytes.size() / 512;
      apply(image, operation, fate == 1 && sectors != 0 ? random() % sectors * 512 : operation.bytes.size());
    }
    return image;
  }
};

// The files of one folder.
class Disk {
 public:
  void watch(const std::string& folder) {
    const std::lock_guard lock(mutex);
    files.clear();
    folder_ = folder;
  }
  // Null: not one of them. With `mutex` held.
  File* of(int fd) {
    std::array<char, 4096> path{};
    const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size());
    if (folder_.empty() || length < 0) return nullptr;
    const std::string name(path.data(), static_cast<std::size_t>(length));
    return name.starts_with(folder_ + "/") ? &files[name.substr(folder_.size() + 1)] : nullptr;
  }

  std::mutex mutex;
  std::map<std::string, File> files;

 private:
  std::string folder_;
};

Disk& disk() {
  static Disk one;
  return one;
}

ssize_t watched_write(int fd, const void* from, std::size_t length, off_t at) {
  const std::lock_guard lock(disk().mutex);
  const ssize_t written = ::syscall(SYS_pwrite64, fd, from, length, at);
  if (File* const file = disk().of(fd); file != nullptr && written > 0) {
    file->later.push_back({static_cast<std::uint64_t>(at),
                           {static_cast<const char*>(from), static_cast<std::size_t>(written)}});
  }
  return written;
}

int watched_cut(int fd, off_t size) {
  const std::lock_guard lock(disk().mutex);
  const auto result = static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  if (File* const file = disk().of(fd); file != nullptr && result == 0) {
    file->later.push_back({static_cast<std::uint64_t>(size), "", true});
  }
  return result;
}

// Takes its time, and covers what was written before it began.
int watched_sync(int fd) {
  std::string name;
  std::size_t covered = 0;
  {
    const std::lock_guard lock(disk().mutex);
    const File* const file = disk().of(fd);
    for (const auto& [path, known] : disk().files) {
      if (&known == file) name = path, covered = known.later.size();
    }
  }
  if (name.empty()) return static_cast<int>(::syscall(SYS_fdatasync, fd));
  std::this_thread::sleep_for(std::chrono::microseconds(200));
  const std::lock_guard lock(disk().mutex);
  File& file = disk().files[name];
  file.sync(std::min(covered, file.later.size()));
  return 0;
}

constexpr int threads = 4;

// Each thread counts in a record of its own and, in the same change, in a second one; some changes are large,
// so that the log is often checkpointed.
class Writers {
 public:
  Writers(Database& database, std::uint64_t random_seed) : database_(database) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i, random_seed] { work(i, random_seed + static_cast<std::uint64_t>(i)); });
    }
  }
  ~Writers() {
    ending_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  std::array<std::atomic<std::uint64_t>, threads> durable{};
  std::atomic<std::uint64_t> begun{0};

 private:
  void work(int which, std::uint64_t random_seed) {
    std::mt19937_64 random(random_seed);
    for (std::uint64_t count = 1; !ending_; ++count) {
      Changes changes{{fmt::format("a{}", which), std::to_string(count)},
                      {fmt::format("b{}", which), std::to_string(count)}};
      for (std::uint64_t i = 0; i < random() % 8; ++i) {
        changes[fmt::format("c{}.{}", which, random() % 64)] = std::string(random() % 20'000, 'x');
      }
      ++begun;
      ASSERT_OK(database_.commit(changes));
      ASSERT_OK(database_.sync(database_.commits()));
      durable[static_cast<std::size_t>(which)] = count;
    }
  }

  Database& database_;
  std::atomic<bool> ending_{false};
  std::vector<std::thread> threads_;
};

std::uint64_t count_in(Database& database, const std::string& key) {
  const auto value = database.get(key);
  EXPECT_OK(value);
  return value.ok() && value.value() ? std::stoull(*value.value()) : 0;
}

TEST(PowerLoss, WhatWasSyncedIsThereAndAllOfIt) {
  std::mt19937_64 random(seed());
  Folder folder;
  disk().watch(folder.path("life"));
  std::filesystem::create_directory(folder.path("life"));
  auto database = open_sqlite_database(folder.path("life/db"));
  ASSERT_OK(database);
  std::uint64_t changes = 0;
  {
    Writers writers(*database.value(), random());
    for (int loss = 0; loss < 60; ++loss) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
      std::array<std::uint64_t, threads> promised{};
      std::map<std::string, std::string> images;
      {
        const std::lock_guard lock(disk().mutex);
        std::copy(writers.durable.begin(), writers.durable.end(), promised.begin());
        for (const auto& [name, file] : disk().files) {
          // What was removed while it was opened is gone: SQLite syncs the folder then.
          if (std::filesystem::exists(folder.path("life/" + name)))
            images[name] = file.after_power_loss(random);
        }
      }
      const std::string after = folder.path(fmt::format("after{}", loss));
      std::filesystem::create_directory(after);
      for (const auto& [name, image] : images) {
        std::ofstream(after + "/" + name, std::ios::binary) << image;
        ::chmod((after + "/" + name).c_str(), 0600);
      }
      const auto found = open_sqlite_database(after + "/db");
      ASSERT_OK(found);
      for (std::size_t i = 0; i < threads; ++i) {
        const std::uint64_t a = count_in(*found.value(), fmt::format("a{}", i));
        EXPECT_GE(a, promised[i]) << "a durable change is gone, loss " << loss;
        EXPECT_EQ(a, count_in(*found.value(), fmt::format("b{}", i))) << "half a change, loss " << loss;
      }
      std::filesystem::remove_all(after);
    }
    changes = writers.begun;
  }
  fmt::print("{} changes\n", changes);
  EXPECT_GT(changes, 200U);
  database.value().reset();
  disk().watch("");
}

}  // namespace
}  // namespace ssn::controller::test

// In place of those of the C library, for all of this process. With 64-bit offsets pwrite() is pwrite64() in
// assembler, and so is ftruncate().
extern "C" {
ssize_t pwrite(int fd, const void* from, std::size_t length, off_t at) {
  return ssn::controller::test::watched_write(fd, from, length, at);
}
int ftruncate(int fd, off_t size) noexcept { return ssn::controller::test::watched_cut(fd, size); }
int fsync(int fd) { return ssn::controller::test::watched_sync(fd); }
int fdatasync(int fd) { return ssn::controller::test::watched_sync(fd); }
}
