// SPDX-License-Identifier: BSD-3-Clause
// A share store on a medium that fails by a seed, and cells whose bytes follow from where they belong.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "crash_store.h"
#include "ssn/store/share_store.h"
#include "test_random.h"

namespace ssn::test {

inline store::Buffer cell_content(const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                                  std::size_t bytes) {
  TestRandom random(share.object * 1000003 + share.generation * 10007 + share.share * 101 + attempt * 7919 +
                    std::uint64_t{cell} * 65537);
  return random.bytes(bytes);
}

inline store::ShareStoreOptions small_options() {
  store::ShareStoreOptions options;
  options.memory_bytes = std::size_t{3} << 20;
  options.reserve_bytes = 0;
  options.cached_shares = 2;
  options.max_quarantined = 4;
  return options;
}

/// Reads of one stripe.
class StripeReader {
 public:
  explicit StripeReader(std::uint32_t cell_bytes)
      : cell_bytes_(cell_bytes), memory_(store::stripe_cells * cell_bytes) {
    for (std::uint32_t i = 0; i < store::stripe_cells; ++i) places_[i] = memory_.data() + i * cell_bytes;
  }
  store::CellRead read(store::ShareStore& from, const store::ShareId& share, std::uint16_t attempt,
                       std::uint32_t stripe, std::uint64_t wanted = UINT64_MAX) {
    std::fill(memory_.begin(), memory_.end(), std::uint8_t{0xEE});
    return from.read(share, attempt, stripe, wanted, places_, cell_bytes_);
  }
  store::Buffer cell(std::uint32_t i) const { return {places_[i], places_[i] + cell_bytes_}; }

 private:
  std::uint32_t cell_bytes_;
  store::Buffer memory_;
  std::array<std::uint8_t*, store::stripe_cells> places_{};
};

struct TestStore {
  explicit TestStore(std::uint64_t seed, const store::ShareStoreOptions& how = small_options())
      : medium(seed), options(how) {}
  Outcome open() {
    store.reset();
    Result<store::GenerationKeys> keys = store::GenerationKeys::open(medium.open_file(), 100);
    if (!keys.ok()) return keys.error();
    Result<store::ShareStore> opened =
        store::ShareStore::open(medium.open_store(), std::move(keys.value()), options);
    if (!opened.ok()) return opened.error();
    store = std::make_unique<store::ShareStore>(std::move(opened.value()));
    return done;
  }
  store::StoreResult put(const store::ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                         std::uint64_t token = 0, std::uint32_t bytes = 64) {
    return store->put(share, attempt, cell, cell_content(share, attempt, cell, bytes), token, now);
  }
  std::vector<store::PutCompletion> flush(store::ShareStore::Flush how = store::ShareStore::Flush::all) {
    std::vector<store::PutCompletion> completions;
    store->flush(now, how, completions);
    return completions;
  }
  store::SealAnswer seal(const store::ShareId& share, std::uint32_t cells,
                         std::vector<store::AttemptRun> runs = {{0, 0}}) {
    std::vector<store::PutCompletion> completions;
    return store->seal(share, cells, runs, now, completions);
  }
  /// Puts cells 0 to cells - 1, and flushes; false if any was not stored.
  bool fill(const store::ShareId& share, std::uint32_t cells, std::uint16_t attempt = 0,
            std::uint32_t bytes = 64) {
    for (std::uint32_t cell = 0; cell < cells; ++cell) {
      if (put(share, attempt, cell, cell, bytes) != store::StoreResult::done) return false;
    }
    const auto completions = flush();
    for (const auto& completion : completions) {
      if (completion.result != store::StoreResult::done) return false;
    }
    return completions.size() == cells;
  }
  /// Whether cells 0 to cells - 1 read back as they were put.
  bool reads(const store::ShareId& share, std::uint32_t cells, std::uint16_t attempt = 0,
             std::uint32_t bytes = 64) {
    StripeReader reader(bytes);
    for (std::uint32_t first = 0; first < cells; first += store::stripe_cells) {
      const std::uint32_t count = std::min(cells - first, store::stripe_cells);
      const std::uint64_t wanted = count == 64 ? UINT64_MAX : (std::uint64_t{1} << count) - 1;
      const store::CellRead read = reader.read(*store, share, attempt, first / store::stripe_cells, wanted);
      if (read.result != store::StoreResult::done || read.read != wanted) return false;
      for (std::uint32_t i = 0; i < count; ++i) {
        if (reader.cell(i) != cell_content(share, attempt, first + i, bytes)) return false;
      }
    }
    return true;
  }
  std::size_t records(char type) const {
    std::size_t count = 0;
    for (const auto& [key, value] : medium.items())
      count += key[0] == static_cast<std::uint8_t>(type) ? 1U : 0U;
    return count;
  }

  CrashMedium medium;
  store::ShareStoreOptions options;
  std::unique_ptr<store::ShareStore> store;
  std::uint64_t now = 1'000'000'000;
};

}  // namespace ssn::test
