// SPDX-License-Identifier: BSD-3-Clause
// The ledger in a file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ssn/hw/result.h"
#include "ssn/protocol/ledger.h"

namespace ssn::ledger {

/// What FileLedger does with the file once it is read; tests put a failing disk here.
class LedgerFile {
 public:
  LedgerFile() = default;
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;
  virtual ~LedgerFile() = default;
  virtual Outcome write(std::uint64_t offset, std::span<const std::uint8_t> bytes) = 0;
  /// Returns when everything that was written is on the disk.
  virtual Outcome sync() = 0;
};

/// One thread at a time. No other process has the file while this one does.
class FileLedger {
 public:
  enum class Create {
    never,
    if_missing,  ///< a node that runs for the first time
  };

  /// Opens and locks the file, reads it, and makes the start of this process durable. temporary: another
  /// process of this node runs.
  static Result<FileLedger> open(const std::string& path, std::string_view node, Create create,
                                 std::uint64_t extent = protocol::default_extent);
  /// Over an image that was read from `file`.
  static Result<FileLedger> open(std::unique_ptr<LedgerFile> file, std::span<const std::uint8_t> image,
                                 std::string_view node, std::uint64_t extent = protocol::default_extent);

  protocol::Ledger& ledger() noexcept { return *ledger_; }

  /// Takes in the workers' progress and writes until nothing is left to write. After the first failure the
  /// ledger is failed(), and every call gives that error again.
  Outcome step();

 private:
  FileLedger() = default;

  std::unique_ptr<LedgerFile> file_;
  std::unique_ptr<protocol::Ledger> ledger_;
  std::unique_ptr<Error> failure_;
};

}  // namespace ssn::ledger
