// SPDX-License-Identifier: BSD-3-Clause
// RocksDB with large values in blob files (BlobDB). Its headers are in rocksdb_store.cpp and nowhere else.
#pragma once

#include <memory>
#include <string>

#include "ssn/store/key_value_store.h"

namespace ssn::store {

struct RocksdbOptions {
  std::string directory;  ///< is made if it is missing; its parent must be there
  bool create = true;     ///< otherwise a missing database is an error
  std::uint64_t write_buffer_bytes = std::uint64_t{32} << 20;  ///< each of up to three
  std::uint64_t cache_bytes = std::uint64_t{16} << 20;         ///< of index blocks and small values
  std::uint64_t blob_file_bytes = std::uint64_t{64} << 20;     ///< the unit in which space is reclaimed
};

struct OpenedRocksdb {
  std::unique_ptr<KeyValueStore> store;
  /// Not empty: the log was damaged elsewhere than at its end, and what lay behind the damage is lost. What
  /// the share store misses because of it, it finds by itself.
  std::string damage;
};

/// Any thread may use it, all at once. Errors: Exit::temporary where another process has it open, or the disk
/// is full; Exit::integrity where it cannot be read; Exit::failed for the disk.
Result<OpenedRocksdb> open_rocksdb(const RocksdbOptions& options);

}  // namespace ssn::store
