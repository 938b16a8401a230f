// SPDX-License-Identifier: BSD-3-Clause
#include "crash_store.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <optional>

namespace ssn::test {

using store::Batch;
using store::KeyValueStore;
using Span = store::Bytes;

namespace {

constexpr std::size_t sector = 512;

Error broken(const char* what) {
  return {Exit::failed, what, "input/output error", "crash medium", "replace it"};
}
Error full() {
  return {Exit::temporary, "cannot write", "no space left on device", "crash medium", "free some"};
}

}  // namespace

class CrashStore final : public KeyValueStore {
 public:
  explicit CrashStore(CrashMedium& medium) : medium_(medium) {}
  Outcome write(Batch& batch, Sync sync) override;
  Result<bool> get(Span key, store::Buffer& value) override;
  Result<std::vector<Item>> scan(Span first, Span end, std::size_t limit, Values values) override;
  std::uint64_t approximate_bytes() override { return medium_.used_; }
  Result<Space> space() override {
    return Space{medium_.capacity_ > medium_.used_ ? medium_.capacity_ - medium_.used_ : 0,
                 medium_.capacity_};
  }
  Outcome recover() override;
  Outcome reclaim() override { return done; }
  std::string_view name() const noexcept override { return "crash"; }

 private:
  CrashMedium& medium_;
  std::optional<Error> failure_;
};

Outcome CrashStore::write(Batch& batch, Sync sync) {
  Outcome checked = check(batch);
  CrashMedium::Operations operations(batch.operations().begin(), batch.operations().end());
  batch.clear();
  if (!checked.ok()) return checked;
  if (failure_) return *failure_;
  CrashMedium::Failure failure{};
  const bool fails = medium_.fails(failure);
  const bool puts = std::any_of(operations.begin(), operations.end(),
                                [](const auto& operation) { return operation.kind == Batch::Kind::put; });
  std::uint64_t bytes = 0;
  for (const auto& operation : operations) bytes += operation.key.size() + operation.value.size();
  medium_.unsynced_.push_back(std::move(operations));
  if (fails || (puts && medium_.used_ + bytes > medium_.capacity_)) {
    medium_.limbo_ = true;
    const bool space = !fails || failure == CrashMedium::Failure::full;
    failure_ = space ? full() : broken("cannot write");
    return *failure_;
  }
  medium_.apply(medium_.visible_, medium_.unsynced_.back());
  medium_.count_used();
  if (sync == Sync::durable) medium_.settle();
  return done;
}

Result<bool> CrashStore::get(Span key, store::Buffer& value) {
  if (Outcome checked = check_key(key); !checked.ok()) return checked.error();
  CrashMedium::Failure failure{};
  if (medium_.fails(failure)) return broken("cannot read");
  const auto found = medium_.visible_.find(key);
  if (found == medium_.visible_.end()) return false;
  value = *found->second;
  return true;
}

Result<std::vector<KeyValueStore::Item>> CrashStore::scan(Span first, Span end, std::size_t limit,
                                                          Values values) {
  CrashMedium::Failure failure{};
  if (medium_.fails(failure)) return broken("cannot list");
  std::vector<Item> items;
  std::size_t bytes = 0;
  for (auto at = medium_.visible_.lower_bound(first);
       at != medium_.visible_.end() && (end.empty() || store::key_less(at->first, end)) &&
       items.size() < limit && bytes < store::max_scan_bytes;
       ++at) {
    items.push_back({at->first, values == Values::wanted ? *at->second : store::Buffer()});
    bytes += items.back().value.size();
  }
  return items;
}

// Whether the batch that did not fit is there now is the medium's choice.
Outcome CrashStore::recover() {
  if (!failure_) return done;
  if (store::fault_of(*failure_) != store::Fault::full || medium_.dead_) return *failure_;
  if (medium_.limbo_) {
    if (medium_.random_.coin()) {
      medium_.apply(medium_.visible_, medium_.unsynced_.back());
    } else {
      medium_.unsynced_.pop_back();
    }
    medium_.limbo_ = false;
    medium_.count_used();
  }
  medium_.settle();
  failure_.reset();
  return done;
}

class CrashFile final : public store::StorageFile {
 public:
  explicit CrashFile(CrashMedium& medium) : medium_(medium) {}
  std::uint64_t size() const noexcept override { return medium_.file_visible_.size(); }
  Outcome read(std::uint64_t offset, std::span<std::uint8_t> bytes) override {
    CrashMedium::Failure failure{};
    if (medium_.fails(failure) || offset + bytes.size() > size()) return broken("cannot read the key file");
    std::memcpy(bytes.data(), medium_.file_visible_.data() + offset, bytes.size());
    return done;
  }
  Outcome write(std::uint64_t offset, Span bytes) override {
    assert(offset + bytes.size() <= size());
    CrashMedium::Failure failure{};
    const bool fails = medium_.fails(failure);
    if (broken_) return broken("cannot write the key file");
    std::memcpy(medium_.file_visible_.data() + offset, bytes.data(), bytes.size());
    broken_ = fails;
    if (fails) return broken("cannot write the key file");
    return done;
  }
  Outcome extend(std::uint64_t size) override {
    CrashMedium::Failure failure{};
    if (medium_.fails(failure)) {
      if (failure == CrashMedium::Failure::full) return full();
      broken_ = true;
    }
    if (broken_) return broken("cannot make the key file longer");
    medium_.file_visible_.resize(size);
    medium_.file_synced_.resize(size);
    return done;
  }
  Outcome sync() override {
    CrashMedium::Failure failure{};
    broken_ = broken_ || medium_.fails(failure);
    if (broken_) return broken("cannot sync the key file");
    medium_.file_synced_ = medium_.file_visible_;
    return done;
  }

 private:
  CrashMedium& medium_;
  bool broken_ = false;
};

std::unique_ptr<KeyValueStore> CrashMedium::open_store() { return std::make_unique<CrashStore>(*this); }
std::unique_ptr<store::StorageFile> CrashMedium::open_file() { return std::make_unique<CrashFile>(*this); }

void CrashMedium::fail_in(std::uint64_t operations, Failure failure) {
  fails_at_ = operations_ + operations;
  failure_ = failure;
  failed_ = false;
}

bool CrashMedium::fails(Failure& failure) {
  const bool now = operations_++ == fails_at_;
  failure = failure_;
  failed_ = failed_ || now;
  dead_ = dead_ || (now && failure_ == Failure::power_off);
  if (dead_) failure = Failure::power_off;
  return now || dead_;
}

void CrashMedium::apply(Items& items, const Operations& operations) const {
  for (const Batch::Operation& operation : operations) {
    switch (operation.kind) {
      case Batch::Kind::put:
        items[operation.key] = std::make_shared<const Buffer>(operation.value);
        break;
      case Batch::Kind::erase:
        items.erase(operation.key);
        break;
      case Batch::Kind::erase_range: {
        auto at = items.lower_bound(Span(operation.key));
        while (at != items.end() && store::key_less(at->first, operation.value)) at = items.erase(at);
        break;
      }
    }
  }
}

void CrashMedium::count_used() {
  used_ = 0;
  for (const auto& [key, value] : visible_) used_ += key.size() + value->size();
}

void CrashMedium::settle() {
  for (const Operations& operations : unsynced_) apply(synced_, operations);
  unsynced_.clear();
}

// A log never writes over what is there: only a record of a new key may be half written.
void CrashMedium::damage_one(Operations& operations) {
  for (Batch::Operation& operation : operations) {
    if (operation.kind != Batch::Kind::put || operation.value.empty() || random_.coin() ||
        synced_.contains(operation.key)) {
      continue;
    }
    if (random_.coin()) {
      operation.value.resize(random_.below(operation.value.size()));
    } else {
      operation.value[random_.below(operation.value.size())] ^= random_.nonzero_byte();
    }
    return;
  }
}

void CrashMedium::crash() {
  for (Operations& operations : unsynced_) {
    const unsigned fate = random_.between(0, 3);
    if (fate == 0) continue;
    if (fate == 1) damage_one(operations);
    apply(synced_, operations);
  }
  unsynced_.clear();
  limbo_ = false;
  visible_ = synced_;
  count_used();
  for (std::size_t at = 0; at < file_visible_.size(); at += sector) {
    const std::size_t count = std::min(sector, file_visible_.size() - at);
    if (random_.coin()) std::memcpy(file_synced_.data() + at, file_visible_.data() + at, count);
  }
  file_visible_ = file_synced_;
  dead_ = false;
  fail_never();
}

void CrashMedium::replace(const Buffer& key, Buffer value) {
  const auto shared = std::make_shared<const Buffer>(std::move(value));
  synced_[key] = shared;
  visible_[key] = shared;
}

void CrashMedium::lose(const Buffer& key) {
  synced_.erase(key);
  visible_.erase(key);
}

}  // namespace ssn::test
