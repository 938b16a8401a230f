// SPDX-License-Identifier: BSD-3-Clause
// Which granules of a key stream's ring are done with: two bits each, for the ring and for as much history
// behind it, so that a late duplicate is told from a range whose pad is gone. Fixed size.
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssn::protocol {

/// Positions count granules from the begin of the stream. Holds [base - capacity, base + capacity), from 0.
class RangeWindow {
 public:
  enum class State : std::uint8_t {
    open,   ///< no granule of it is done with
    taken,  ///< all were used or kept
    gone,   ///< some were discarded and none used: of no use any more
    mixed,  ///< some were used or kept, others not
  };

  /// `capacity`: granules in the ring; a power of two >= 64.
  explicit RangeWindow(std::uint64_t capacity);

  std::uint64_t base() const noexcept { return base_; }
  std::uint64_t capacity() const noexcept { return half_; }
  /// The first position that is still remembered.
  std::uint64_t oldest() const noexcept { return base_ > half_ ? base_ - half_ : 0; }

  /// Of `count` >= 1 granules within [oldest(), base() + capacity()).
  State state(std::uint64_t first, std::uint64_t count) const noexcept;
  /// Marks open granules in [base(), base() + capacity()) as taken; returns how many were open, which is
  /// `count` unless the caller broke the rules.
  std::uint64_t take(std::uint64_t first, std::uint64_t count) noexcept;
  /// For single granules within [oldest(), base() + capacity()), fast.
  bool is_done(std::uint64_t granule) const noexcept {
    assert(holds(granule, 1));
    return (done_[word_of(granule)] >> (granule % 64) & 1U) != 0;
  }
  void take_one(std::uint64_t granule) noexcept {
    assert(granule >= base_ && !is_done(granule));
    done_[word_of(granule)] |= std::uint64_t{1} << (granule % 64);
  }
  /// Whether every granule is open; the common case of state(), fast.
  bool all_open(std::uint64_t first, std::uint64_t count) const noexcept {
    return open_prefix(first, count) == count;
  }
  /// How many of the `count` granules from the first one on are open.
  std::uint64_t open_prefix(std::uint64_t first, std::uint64_t count) const noexcept {
    assert(holds(first, count));
    if (count > 64) return first_done(first, first + count) - first;
    const std::uint64_t done = pair_at(first) & low_bits(count);
    return done == 0 ? count : static_cast<std::uint64_t>(std::countr_zero(done));
  }
  /// Marks open granules as taken; asserts that all of them were open.
  void take_all(std::uint64_t first, std::uint64_t count) noexcept {
    assert(first >= base_ && holds(first, count));
    if (count > 64) return take_many(first, count);
    const std::uint64_t mask = low_bits(count);
    assert((pair_at(first) & mask) == 0);
    done_[word_of(first)] |= mask << (first % 64);
    done_[word_after(first)] |= (mask >> 1) >> (63 - first % 64);
  }
  /// Marks those that are open as gone and returns how many those were.
  std::uint64_t drop(std::uint64_t first, std::uint64_t count) noexcept;
  /// The first open granule at or above `from`, at most `limit`.
  std::uint64_t first_open(std::uint64_t from, std::uint64_t limit) const noexcept;
  /// The first granule at or above `from` that is not open, at most `limit`.
  std::uint64_t first_done(std::uint64_t from, std::uint64_t limit) const noexcept;
  /// Where the granules that are done with from base() on end, at most `limit`, which never falls. Looks at
  /// what it has not yet seen done only.
  std::uint64_t done_prefix(std::uint64_t limit) noexcept {
    done_until_ = first_open(done_until_ > base_ ? done_until_ : base_, limit);
    return done_until_;
  }
  /// Open granules in [first, first + count).
  std::uint64_t count_open(std::uint64_t first, std::uint64_t count) const noexcept;
  /// Moves the window up; everything below `base` is done with.
  void advance(std::uint64_t base) noexcept;

 private:
  template <typename Visit>
  void each_word(std::uint64_t first, std::uint64_t count, Visit visit) const noexcept;
  bool holds(std::uint64_t first, std::uint64_t count) const noexcept {
    return count <= 2 * half_ && first >= oldest() && first <= base_ + half_ &&
           count <= base_ + half_ - first;
  }
  std::size_t word_of(std::uint64_t granule) const noexcept {
    return static_cast<std::size_t>((granule & (2 * half_ - 1)) / 64);
  }
  std::size_t word_after(std::uint64_t granule) const noexcept {
    return (word_of(granule) + 1) & (done_.size() - 1);
  }
  /// The done bits of 64 granules: of two words, without a branch on where they begin.
  std::uint64_t pair_at(std::uint64_t first) const noexcept {
    return done_[word_of(first)] >> (first % 64) | (done_[word_after(first)] << 1) << (63 - first % 64);
  }
  /// `count` <= 64 ones.
  static std::uint64_t low_bits(std::uint64_t count) noexcept {
    return count == 0 ? 0 : ~std::uint64_t{0} >> (64 - count);
  }
  void take_many(std::uint64_t first, std::uint64_t count) noexcept;
  std::uint64_t first_with(std::uint64_t from, std::uint64_t limit, std::uint64_t flip) const noexcept;

  std::uint64_t half_;  // granules in the ring
  std::uint64_t base_ = 0;
  std::uint64_t done_until_ = 0;     // from base_ on, as far as is known: nothing is opened again
  std::vector<std::uint64_t> done_;  // taken or gone
  std::vector<std::uint64_t> gone_;
};

}  // namespace ssn::protocol
