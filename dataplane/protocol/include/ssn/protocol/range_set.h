// SPDX-License-Identifier: BSD-3-Clause
// A set of numbers that mostly grows at its upper end: everything below `below`, and some ranges beyond.
// Fixed size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/payloads.h"

namespace ssn::protocol {

class RangeSet {
 public:
  using Range = Acknowledgement::Range;

  /// At most `ranges` of them, which is where memory ends.
  explicit RangeSet(std::size_t ranges);

  /// Adds [begin, end). False, and nothing has changed, where that would take one range too many.
  bool add(std::uint64_t begin, std::uint64_t end) noexcept;
  /// Adds everything below `below`.
  void raise(std::uint64_t below) noexcept;
  bool contains(std::uint64_t begin, std::uint64_t end) const noexcept;
  std::uint64_t below() const noexcept { return below_; }
  /// Ascending, apart, beyond below().
  std::span<const Range> ranges() const noexcept { return {ranges_.data(), count_}; }
  bool full() const noexcept { return count_ == ranges_.size(); }

 private:
  std::size_t find(std::uint64_t number) const noexcept;
  void remove(std::size_t first, std::size_t end) noexcept;

  std::uint64_t below_ = 0;
  std::vector<Range> ranges_;
  std::size_t count_ = 0;
};

}  // namespace ssn::protocol
