// SPDX-License-Identifier: BSD-3-Clause
// Where the catalogue keeps its records: an ordered map of byte strings with atomic, durable changes. Small
// enough that SQLite, memory and, one day, etcd pass the same tests.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::controller {

/// By key; no value: the record is erased.
using Changes = std::map<std::string, std::optional<std::string>>;

struct Row {
  std::string key;
  std::string value;
};

inline constexpr std::size_t key_max = 2048;
inline constexpr std::size_t value_max = std::size_t{1} << 20;

/// Thread-safe. Errors: temporary (full, busy, no memory), integrity (damaged), refused (read-only, somebody
/// else's), failed (I/O).
class Database {
 public:
  virtual ~Database() = default;

  virtual Result<std::optional<std::string>> get(std::string_view key) = 0;
  /// Rows with from <= key < to in the order of their bytes; an empty `to` has no end. At most `limit`.
  virtual Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) = 0;
  /// All of it or nothing, seen at once by all; durable when sync() says so. After an error nothing of it is
  /// seen; only where the error was in writing it may be there, whole, after the next start.
  virtual Outcome commit(const Changes& changes) = 0;
  /// How many there were; durable or not.
  virtual std::uint64_t commits() const = 0;
  /// Returns when so many are durable: one write to the disk serves all who wait at the same time. After an
  /// error nobody knows what is, and all later changes are refused.
  virtual Outcome sync(std::uint64_t commits) = 0;
  /// From now on programs that are too old for what is written will refuse it. Once all of it was found good:
  /// before, nothing of it is changed.
  virtual Outcome adopt() = 0;
  /// Why changes are refused; empty: they are not.
  virtual std::string trouble() const = 0;
};

/// Nothing stays. For tests: it is the model that others are compared with.
std::unique_ptr<Database> make_memory_database();

/// One file, made with mode 0600, with its log beside it, for this process alone. Checks all of it. A write
/// or sync that failed with an I/O error ends changes until it is opened again: no later success is believed.
Result<std::unique_ptr<Database>> open_sqlite_database(const std::string& path);

}  // namespace ssn::controller
