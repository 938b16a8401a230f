// SPDX-License-Identifier: BSD-3-Clause
// The backends of key_value_store.h, each in a place of its own that is gone afterwards.
#pragma once

#include <memory>
#include <string>

#include "crash_store.h"
#include "ssn/store/key_value_store.h"
#include "test_random.h"

namespace ssn::test {

/// A directory that is removed with all that is in it.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A file system of a few MiB in memory. Only root can have one.
class SmallFileSystem {
 public:
  explicit SmallFileSystem(unsigned mebibytes);
  ~SmallFileSystem();
  SmallFileSystem(const SmallFileSystem&) = delete;
  SmallFileSystem& operator=(const SmallFileSystem&) = delete;
  bool ok() const { return mounted_; }
  std::string path() const { return directory_.path(); }
  bool resize(unsigned mebibytes);

 private:
  TestDirectory directory_;
  bool mounted_ = false;
};

class MemoryBackend {
 public:
  static constexpr bool persistent = false;
  std::unique_ptr<store::KeyValueStore> open();
  /// Of a few MiB. Null: not here.
  std::unique_ptr<store::KeyValueStore> open_small();
  void make_room();
  static const char* why_not_small() { return ""; }

 private:
  store::KeyValueStore* small_ = nullptr;
};

class RocksdbBackend {
 public:
  static constexpr bool persistent = true;
  std::unique_ptr<store::KeyValueStore> open();
  std::unique_ptr<store::KeyValueStore> open_small();
  void make_room();
  static const char* why_not_small() { return "only root can make a small file system"; }
  std::string path() const { return directory_.path() + "/db"; }

 private:
  TestDirectory directory_;
  std::unique_ptr<SmallFileSystem> small_;
};

class CrashBackend {
 public:
  static constexpr bool persistent = true;
  std::unique_ptr<store::KeyValueStore> open() { return medium_.open_store(); }
  std::unique_ptr<store::KeyValueStore> open_small();
  void make_room() { medium_.set_capacity(UINT64_MAX); }
  static const char* why_not_small() { return ""; }
  CrashMedium& medium() { return medium_; }

 private:
  CrashMedium medium_{test_seed()};
};

}  // namespace ssn::test
