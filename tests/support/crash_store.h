// SPDX-License-Identifier: BSD-3-Clause
// A medium for share stores that fails as disks do, by a seed: operations that fail, space that ends, power
// that goes in the middle of a write. Of what was not synced then each batch is kept, dropped, or kept with a
// record torn or flipped that never was there before; each sector of the key file is old or new.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ssn/store/key_value_store.h"
#include "ssn/store/storage_file.h"
#include "test_random.h"

namespace ssn::test {

class CrashMedium {
 public:
  using Buffer = store::Buffer;
  using Items = std::map<Buffer, std::shared_ptr<const Buffer>, store::KeyLess>;
  enum class Failure : std::uint8_t {
    io_error,   ///< this operation fails; a write or sync may have happened or not
    full,       ///< the same for lack of space; only for writes
    power_off,  ///< the same, and everything after it fails until crash()
  };

  explicit CrashMedium(std::uint64_t seed) : random_(seed) {}
  CrashMedium(const CrashMedium&) = delete;
  CrashMedium& operator=(const CrashMedium&) = delete;

  /// They must not outlive the medium. A new one of each kind is a restart.
  std::unique_ptr<store::KeyValueStore> open_store();
  std::unique_ptr<store::StorageFile> open_file();

  /// The n-th operation from now on, 0 the next one, of database and key file together.
  void fail_in(std::uint64_t operations, Failure failure);
  void fail_never() {
    fails_at_ = UINT64_MAX;
    failed_ = false;
  }
  bool failed() const { return failed_; }
  std::uint64_t operations() const { return operations_; }
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  std::uint64_t used() const { return used_; }
  /// Power goes, if it is not gone, and comes back.
  void crash();

  /// What is on the medium, to look at and to rot.
  const Items& items() const { return visible_; }
  void replace(const Buffer& key, Buffer value);
  void lose(const Buffer& key);
  Buffer& file() { return file_synced_; }

 private:
  friend class CrashStore;
  friend class CrashFile;
  using Operations = std::vector<store::Batch::Operation>;

  bool fails(Failure& failure);
  void apply(Items& items, const Operations& operations) const;
  void damage_one(Operations& operations);
  void settle();
  void count_used();

  TestRandom random_;
  std::uint64_t operations_ = 0;
  std::uint64_t fails_at_ = UINT64_MAX;
  Failure failure_ = Failure::io_error;
  bool failed_ = false;
  bool dead_ = false;
  std::uint64_t capacity_ = UINT64_MAX;
  std::uint64_t used_ = 0;

  Items synced_;
  Items visible_;
  std::vector<Operations> unsynced_;
  bool limbo_ = false;  // the last of unsynced_ failed and is not visible
  Buffer file_synced_;
  Buffer file_visible_;
};

}  // namespace ssn::test
