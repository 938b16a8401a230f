// SPDX-License-Identifier: BSD-3-Clause
// A file that is written in place and synced: what lies under the key file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ssn/store/key_value_store.h"

namespace ssn::store {

/// One thread at a time. Errors are those of KeyValueStore.
class StorageFile {
 public:
  StorageFile() = default;
  StorageFile(const StorageFile&) = delete;
  StorageFile& operator=(const StorageFile&) = delete;
  virtual ~StorageFile() = default;

  virtual std::uint64_t size() const noexcept = 0;
  /// All of `bytes`; beyond the end is an error.
  virtual Outcome read(std::uint64_t offset, std::span<std::uint8_t> bytes) = 0;
  /// Within the file. After a crash each sector of 512 bytes that was not synced is the old or the new one.
  virtual Outcome write(std::uint64_t offset, Bytes bytes) = 0;
  /// Makes it longer, with zeros, on the disk already.
  virtual Outcome extend(std::uint64_t size) = 0;
  /// After a failure nothing written since the last success is believed to be there.
  virtual Outcome sync() = 0;
};

/// Opens or makes a file that only this user can read, and locks it against a second process.
Result<std::unique_ptr<StorageFile>> open_storage_file(const std::string& path);

}  // namespace ssn::store
