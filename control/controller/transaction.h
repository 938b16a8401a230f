// SPDX-License-Identifier: BSD-3-Clause
// Records read and changed together: reads see what was put before, and nothing is written before commit().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "database.h"
#include "record.h"

namespace ssn::controller {

class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) {}

  template <typename Record>
  Result<std::optional<Record>> get(const std::string& key) {
    std::optional<std::string> bytes;
    if (const auto changed = changes_.find(key); changed != changes_.end()) {
      bytes = changed->second;
    } else {
      Result<std::optional<std::string>> read = database_.get(key);
      if (!read.ok()) {
        return read.error();
      }
      bytes = std::move(read.value());
    }
    if (!bytes) {
      return std::optional<Record>();
    }
    Result<Record> record = decode<Record>(key, *bytes);
    return record.ok() ? Result<std::optional<Record>>(std::move(record.value())) : record.error();
  }
  /// As get(); a default one where there is none.
  template <typename Record>
  Result<Record> get_or_new(const std::string& key) {
    Result<std::optional<Record>> found = get<Record>(key);
    return found.ok() ? Result<Record>(found.value() ? std::move(*found.value()) : Record()) : found.error();
  }
  template <typename Record>
  void put(const std::string& key, const Record& record) {
    changes_[key] = encode(key, record);
  }
  void erase(const std::string& key) { changes_[key] = std::nullopt; }
  bool empty() const noexcept { return changes_.empty(); }
  Outcome commit() { return changes_.empty() ? Outcome(done) : database_.commit(changes_); }

 private:
  Database& database_;
  Changes changes_;
};

}  // namespace ssn::controller
