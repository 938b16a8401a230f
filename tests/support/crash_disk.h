// SPDX-License-Identifier: BSD-3-Clause
// A disk that holds one file and crashes: of what was written and not yet synced each block is kept, lost or
// torn.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>

#include "test_random.h"

namespace ssn::test {

class CrashDisk {
 public:
  static constexpr std::size_t block = 4096;
  explicit CrashDisk(Bytes image) : durable_(std::move(image)) {}

  void write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += block) {
      const auto piece = bytes.subspan(at, std::min(block, bytes.size() - at));
      unsynced_[offset + at] = Bytes(piece.begin(), piece.end());
    }
  }
  void sync() {
    for (const auto& [offset, bytes] : unsynced_) put(offset, bytes, bytes.size());
    unsynced_.clear();
  }
  void crash(TestRandom& random) {
    for (const auto& [offset, bytes] : unsynced_) {
      const unsigned fate = random.between(0, 3);
      if (fate == 0) continue;
      // Torn at a sector, or in it.
      const std::size_t kept = fate == 1 ? 512 * random.below(9) : fate == 2 ? random.below(block) : block;
      put(offset, bytes, std::min(kept, bytes.size()));
    }
    unsynced_.clear();
  }
  const Bytes& image() const { return durable_; }
  void restore(const Bytes& image) {
    unsynced_.clear();
    durable_ = image;
  }

 private:
  void put(std::uint64_t offset, const Bytes& bytes, std::size_t count) {
    std::copy_n(bytes.begin(), count, durable_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  Bytes durable_;
  std::map<std::uint64_t, Bytes> unsynced_;
};

}  // namespace ssn::test
