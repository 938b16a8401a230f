// SPDX-License-Identifier: BSD-3-Clause
// Which key IDs were seen lately, to notice a key manager that delivers a key twice: its bytes would be pads
// for two messages.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "types.h"

namespace ssn::hw::etsi014 {

/// Remembers the last `capacity` IDs by a hash of 64 bits. Two IDs with one hash cost a key, nothing else.
class KeyIdMemory {
 public:
  explicit KeyIdMemory(std::size_t capacity = 65536) : order_(capacity, 0) { hashes_.reserve(capacity); }

  /// Notes the ID. False where it was seen before.
  bool fresh(const KeyId& id) {
    std::string text = id.text;
    for (char& c : text) {
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    const std::uint64_t hash = std::hash<std::string>()(text);
    if (!hashes_.insert(hash).second) {
      return false;
    }
    if (count_ >= order_.size()) {
      hashes_.erase(order_[count_ % order_.size()]);
    }
    order_[count_ % order_.size()] = hash;
    ++count_;
    return true;
  }

 private:
  std::unordered_set<std::uint64_t> hashes_;
  std::vector<std::uint64_t> order_;
  std::size_t count_ = 0;
};

}  // namespace ssn::hw::etsi014
