// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/key_value_store.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace ssn::store {
namespace {

Error over_limit(std::string what, std::size_t is, std::size_t limit) {
  return {Exit::usage, "cannot use the share database",
          what + " has " + std::to_string(is) + " bytes or parts",
          "at most " + std::to_string(limit) + " are allowed", "report this: the share store broke a limit"};
}

}  // namespace

bool key_less(Bytes left, Bytes right) noexcept {
  const std::size_t common = std::min(left.size(), right.size());
  const int order = common == 0 ? 0 : std::memcmp(left.data(), right.data(), common);
  return order != 0 ? order < 0 : left.size() < right.size();
}

Fault fault_of(const Error& error) noexcept {
  switch (error.code) {
    case Exit::integrity:
      return Fault::damaged;
    case Exit::temporary:
      return Fault::full;
    case Exit::usage:
      return Fault::invalid;
    default:
      return Fault::broken;
  }
}

Batch::Operation& Batch::next(Kind kind, Bytes key) {
  if (count_ == operations_.size()) operations_.emplace_back();
  Operation& operation = operations_[count_++];
  operation.kind = kind;
  operation.key.assign(key.begin(), key.end());
  operation.value.clear();
  return operation;
}

Buffer& Batch::put(Bytes key) { return next(Kind::put, key).value; }
void Batch::put(Bytes key, Bytes value) { next(Kind::put, key).value.assign(value.begin(), value.end()); }
void Batch::erase(Bytes key) { next(Kind::erase, key); }
void Batch::erase_range(Bytes first, Bytes end) {
  next(Kind::erase_range, first).value.assign(end.begin(), end.end());
}

std::size_t Batch::bytes() const noexcept {
  std::size_t sum = 0;
  for (const Operation& operation : operations()) sum += operation.key.size() + operation.value.size();
  return sum;
}

Outcome KeyValueStore::check_key(Bytes key) {
  if (key.empty() || key.size() > max_key_bytes) return over_limit("a key", key.size(), max_key_bytes);
  return done;
}

Outcome KeyValueStore::check(const Batch& batch) {
  const std::span<const Batch::Operation> operations = batch.operations();
  if (operations.size() > max_batch_operations) {
    return over_limit("a batch", operations.size(), max_batch_operations);
  }
  for (const Batch::Operation& operation : operations) {
    if (Outcome key = check_key(operation.key); !key.ok()) return key;
    if (operation.kind == Batch::Kind::erase_range) {
      if (Outcome end = check_key(operation.value); !end.ok()) return end;
    }
    if (operation.value.size() > max_value_bytes) {
      return over_limit("a value", operation.value.size(), max_value_bytes);
    }
  }
  return done;
}

}  // namespace ssn::store
