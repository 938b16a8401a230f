// SPDX-License-Identifier: BSD-3-Clause
// What the share store needs of a database: ordered keys, atomic batches, and the truth about what is
// durable. Backends: open_rocksdb() (rocksdb_store.h), MemoryStore (memory_store.h), and for tests CrashStore
// (tests/support/crash_store.h). One set of contract tests runs over all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::store {

using Bytes = std::span<const std::uint8_t>;
using Buffer = std::vector<std::uint8_t>;

inline constexpr std::size_t max_key_bytes = 64;
inline constexpr std::size_t max_value_bytes = std::size_t{2} << 20;
inline constexpr std::size_t max_scan_bytes = std::size_t{8} << 20;
inline constexpr std::size_t max_batch_operations = std::size_t{1} << 16;

/// The order of keys: byte by byte, a prefix first.
bool key_less(Bytes left, Bytes right) noexcept;
struct KeyLess {
  using is_transparent = void;
  bool operator()(Bytes left, Bytes right) const noexcept { return key_less(left, right); }
};

/// What a failure of a backend means for what is above it; fault_of() reads it from the error's code.
enum class Fault : std::uint8_t {
  damaged,  ///< Exit::integrity: bytes are there and wrong
  full,     ///< Exit::temporary: no space; recover() when there is some
  invalid,  ///< Exit::usage: the caller broke a limit of this header; nothing was done
  broken,   ///< everything else: the disk failed. What was not durable before never will be
};
Fault fault_of(const Error& error) noexcept;

/// Changes that happen together. Reused, it keeps the memory of its values. One thread at a time.
class Batch {
 public:
  enum class Kind : std::uint8_t { put, erase, erase_range };
  struct Operation {
    Kind kind = Kind::put;
    Buffer key;    ///< of a range: its first key
    Buffer value;  ///< of a put; of a range: its end, which is not in it
  };

  /// The value to fill in; valid until the next call.
  Buffer& put(Bytes key);
  void put(Bytes key, Bytes value);
  void erase(Bytes key);
  void erase_range(Bytes first, Bytes end);
  void clear() noexcept { count_ = 0; }

  bool empty() const noexcept { return count_ == 0; }
  std::span<Operation> operations() noexcept { return {operations_.data(), count_}; }
  std::span<const Operation> operations() const noexcept { return {operations_.data(), count_}; }
  std::size_t bytes() const noexcept;

 private:
  Operation& next(Kind kind, Bytes key);
  std::vector<Operation> operations_;
  std::size_t count_ = 0;
};

/// Errors: the classes of Fault. A store that said `broken` to a write says so to every later one until it is
/// opened again; get() and scan() go on where they can. Safe for threads only where the backend says so.
class KeyValueStore {
 public:
  enum class Sync : std::uint8_t {
    later,    ///< durable with the next synced batch, at the latest when the store is closed
    durable,  ///< durable, with all batches before it, when write() returns success
  };
  struct Item {
    Buffer key;
    Buffer value;
  };
  struct Space {
    std::uint64_t free_bytes = 0;   ///< that this process may still write
    std::uint64_t total_bytes = 0;  ///< of the medium
  };
  enum class Values : std::uint8_t { wanted, left_out };

  KeyValueStore() = default;
  KeyValueStore(const KeyValueStore&) = delete;
  KeyValueStore& operator=(const KeyValueStore&) = delete;
  virtual ~KeyValueStore() = default;

  /// All of the batch or none of it, now and after a crash; in its order. After a crash what was not durable
  /// is there or not, batch for batch; what a batch replaced is there as long as the batch is not. On failure
  /// nothing of it is seen by get() until the store is opened again or recover() succeeds, when all of it or
  /// nothing may appear. Empties the batch, whatever comes out; may take its buffers.
  virtual Outcome write(Batch& batch, Sync sync) = 0;
  /// False: there is no such key.
  virtual Result<bool> get(Bytes key, Buffer& value) = 0;
  /// Up to `limit` items from `first` on and before `end` (empty: to the last), ascending. Stops
  /// behind max_scan_bytes of values.
  virtual Result<std::vector<Item>> scan(Bytes first, Bytes end, std::size_t limit, Values values) = 0;
  /// Of everything stored, about; dead bytes that are not yet reclaimed included.
  virtual std::uint64_t approximate_bytes() = 0;
  virtual Result<Space> space() = 0;
  /// After `full`: makes the store writable again, or says why it is not.
  virtual Outcome recover() = 0;
  /// Gives the space of what was erased back to the medium, which may take seconds.
  virtual Outcome reclaim() = 0;
  /// For people: "rocksdb", ...
  virtual std::string_view name() const noexcept = 0;

 protected:
  /// The limits of this header; every backend asks first.
  static Outcome check(const Batch& batch);
  static Outcome check_key(Bytes key);
};

}  // namespace ssn::store
