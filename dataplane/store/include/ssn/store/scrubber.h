// SPDX-License-Identifier: BSD-3-Clause
// Reads every record again and again within a rate limit, so that rot is found while others can still repair
// it. Its place is kept in the database and survives a restart.
#pragma once

#include <cstdint>

#include "ssn/store/share_store.h"

namespace ssn::store {

struct ScrubOptions {
  std::uint64_t bytes_per_second = 16U << 20;  ///< 0: scrubbing rests
  std::uint64_t rest_ns = 3'600'000'000'000;   ///< between the end of a pass and the next one
  std::uint64_t save_ns = 10'000'000'000;      ///< how often its place is written
};

struct ScrubStatus {
  std::uint64_t passes = 0;   ///< since the store was made
  std::uint64_t records = 0;  ///< of this pass
  std::uint64_t bytes = 0;
  std::uint64_t damaged = 0;  ///< found in this pass
  ShareId place;              ///< where it is
  std::uint32_t stripe = 0;
};

/// On the store's thread.
class Scrubber {
 public:
  /// Both must stay until its end.
  Scrubber(ShareStore& store, const ScrubOptions& options);
  /// Checks at most about `most` bytes, fewer where the rate wants it. True: there may be more to do now.
  bool step(std::uint64_t now, std::uint64_t most = std::uint64_t{1} << 20);
  std::uint64_t next_step() const noexcept { return next_; }
  const ScrubStatus& status() const noexcept { return status_; }
  void set_rate(std::uint64_t bytes_per_second) noexcept { options_.bytes_per_second = bytes_per_second; }
  /// Writes its place; at the latest with the store's next batch it is durable.
  Outcome save();

 private:
  void load();
  void advance(std::uint64_t now);

  ShareStore& store_;
  ScrubOptions options_;
  ScrubStatus status_;
  std::uint64_t next_ = 0;
  std::uint64_t saved_ = 0;
};

}  // namespace ssn::store
