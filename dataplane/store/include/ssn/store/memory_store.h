// SPDX-License-Identifier: BSD-3-Clause
// A key-value store in this process' memory: for benchmarks and tests. Nothing of it survives the process.
#pragma once

#include <map>

#include "ssn/store/key_value_store.h"

namespace ssn::store {

/// One thread at a time.
class MemoryStore final : public KeyValueStore {
 public:
  /// Refuses to hold more than `capacity` bytes of keys and values.
  explicit MemoryStore(std::uint64_t capacity) : capacity_(capacity) {}

  Outcome write(Batch& batch, Sync sync) override;
  Result<bool> get(Bytes key, Buffer& value) override;
  Result<std::vector<Item>> scan(Bytes first, Bytes end, std::size_t limit, Values values) override;
  std::uint64_t approximate_bytes() override { return used_; }
  Result<Space> space() override;
  Outcome recover() override { return done; }
  Outcome reclaim() override { return done; }
  std::string_view name() const noexcept override { return "memory"; }

 private:
  std::map<Buffer, Buffer, KeyLess> items_;
  std::uint64_t capacity_;
  std::uint64_t used_ = 0;
};

}  // namespace ssn::store
