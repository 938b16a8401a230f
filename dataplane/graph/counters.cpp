// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/counters.h"

#include <cassert>

namespace ssn::dataplane {

// Workers share no cache line: each has blocks of its own.
struct alignas(64) Counters::Block {
  static constexpr std::size_t size = 64;
  std::array<Counter, size> counters;
  std::size_t used = 0;
};

Counters::Counters(unsigned workers) : blocks_(workers) {}
Counters::~Counters() = default;

Counter& Counters::fresh(unsigned worker) {
  std::deque<std::unique_ptr<Block>>& blocks = blocks_[worker];
  if (blocks.empty() || blocks.back()->used == Block::size) {
    blocks.push_back(std::make_unique<Block>());
  }
  return blocks.back()->counters[blocks.back()->used++];
}

Counter& Counters::get(unsigned worker, std::string_view name, CounterKind kind) {
  assert(worker < blocks_.size());
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= names_max && entries_.find(name) == entries_.end()) {
    name = "counters.too_many";
    kind = CounterKind::counter;
  }
  Entry& entry = entries_.try_emplace(std::string(name)).first->second;
  if (entry.of_worker.empty()) {
    entry.kind = kind;
    entry.of_worker.resize(blocks_.size());
  }
  if (entry.of_worker[worker] == nullptr) {
    entry.of_worker[worker] = &fresh(worker);
  }
  return *entry.of_worker[worker];
}

void Counters::add_source(std::string name, CounterKind kind, std::function<std::uint64_t()> read) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.try_emplace(std::move(name)).first->second;
  entry.kind = kind;
  entry.source = std::move(read);
}

std::uint64_t Counters::sum(const Entry& entry) const {
  std::uint64_t value = entry.source ? entry.source() : 0;
  for (const Counter* counter : entry.of_worker) {
    value += counter != nullptr ? counter->read() : 0;
  }
  return value;
}

std::vector<Counters::Value> Counters::read(std::string_view prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<Value> values;
  for (auto entry = entries_.lower_bound(prefix);
       entry != entries_.end() && std::string_view(entry->first).substr(0, prefix.size()) == prefix;
       ++entry) {
    values.push_back({entry->first, sum(entry->second), entry->second.kind});
  }
  return values;
}

std::uint64_t Counters::value(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? 0 : sum(entry->second);
}

}  // namespace ssn::dataplane
