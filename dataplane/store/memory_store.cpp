// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/memory_store.h"

#include <string>
#include <utility>

namespace ssn::store {
Outcome MemoryStore::write(Batch& batch, Sync) {
  if (Outcome checked = check(batch); !checked.ok()) {
    batch.clear();
    return checked;
  }
  bool puts = false;
  for (const Batch::Operation& operation : batch.operations()) puts |= operation.kind == Batch::Kind::put;
  if (puts && used_ + batch.bytes() > capacity_) {
    const std::string limit = std::to_string(capacity_);
    batch.clear();
    return Error{Exit::temporary, "cannot store in memory", "more than its " + limit + " bytes",
                 "memory share store", "remove objects, or give it more"};
  }
  for (Batch::Operation& operation : batch.operations()) {
    if (operation.kind == Batch::Kind::erase_range) {
      auto at = items_.lower_bound(Bytes(operation.key));
      while (at != items_.end() && key_less(at->first, operation.value)) {
        used_ -= at->first.size() + at->second.size();
        at = items_.erase(at);
      }
      continue;
    }
    if (const auto old = items_.find(Bytes(operation.key)); old != items_.end()) {
      used_ -= old->first.size() + old->second.size();
      if (operation.kind == Batch::Kind::put) {
        old->second.swap(operation.value);
        used_ += old->first.size() + old->second.size();
      } else {
        items_.erase(old);
      }
    } else if (operation.kind == Batch::Kind::put) {
      used_ += operation.key.size() + operation.value.size();
      items_.emplace(operation.key, std::move(operation.value));
    }
  }
  batch.clear();
  return done;
}

Result<bool> MemoryStore::get(Bytes key, Buffer& value) {
  if (Outcome checked = check_key(key); !checked.ok()) return checked.error();
  const auto found = items_.find(key);
  if (found == items_.end()) return false;
  value = found->second;
  return true;
}

Result<std::vector<KeyValueStore::Item>> MemoryStore::scan(Bytes first, Bytes end, std::size_t limit,
                                                           Values values) {
  std::vector<Item> items;
  std::size_t bytes = 0;
  for (auto at = items_.lower_bound(first); at != items_.end() && (end.empty() || key_less(at->first, end)) &&
                                            items.size() < limit && bytes < max_scan_bytes;
       ++at) {
    items.push_back({at->first, values == Values::wanted ? at->second : Buffer()});
    bytes += items.back().value.size();
  }
  return items;
}

Result<KeyValueStore::Space> MemoryStore::space() {
  return Space{capacity_ > used_ ? capacity_ - used_ : 0, capacity_};
}

}  // namespace ssn::store
