// SPDX-License-Identifier: BSD-3-Clause
#include <mutex>

#include "database.h"

namespace ssn::controller {
namespace {

class MemoryDatabase final : public Database {
 public:
  Result<std::optional<std::string>> get(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    const auto found = rows_.find(key);
    return found == rows_.end() ? std::optional<std::string>() : std::optional(found->second);
  }

  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<Row> rows;
    for (auto at = rows_.lower_bound(from);
         at != rows_.end() && rows.size() < limit && (to.empty() || at->first < to); ++at) {
      rows.push_back({at->first, at->second});
    }
    return rows;
  }

  Outcome commit(const Changes& changes) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : changes) {
      if (value) {
        rows_[key] = *value;
      } else {
        rows_.erase(key);
      }
    }
    ++commits_;
    return done;
  }

  std::uint64_t commits() const override {
    const std::lock_guard lock(mutex_);
    return commits_;
  }
  Outcome sync(std::uint64_t) override { return done; }
  Outcome adopt() override { return done; }
  std::string trouble() const override { return ""; }

 private:
  mutable std::mutex mutex_;
  std::uint64_t commits_ = 0;
  std::map<std::string, std::string, std::less<>> rows_;
};

}  // namespace

std::unique_ptr<Database> make_memory_database() { return std::make_unique<MemoryDatabase>(); }

}  // namespace ssn::controller
