// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/range_window.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace ssn::protocol {
namespace {

constexpr unsigned word_bits = 64;

// `count` ones from bit `shift` up; count + shift <= 64.
std::uint64_t ones(std::uint64_t shift, std::uint64_t count) noexcept {
  return (count == word_bits ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << shift;
}

// Without the instruction, which the oldest CPUs that we run on lack, popcount is a call into libgcc; a run
// of ones, which is what honest packets leave, needs none.
std::uint64_t count_ones(std::uint64_t bits) noexcept {
  if (bits == 0) return 0;
  const std::uint64_t run = bits >> std::countr_zero(bits);
  return (run & (run + 1)) == 0 ? static_cast<std::uint64_t>(std::bit_width(run))
                                : static_cast<std::uint64_t>(std::popcount(bits));
}

}  // namespace

RangeWindow::RangeWindow(std::uint64_t capacity)
    : half_(capacity), done_(2 * capacity / word_bits), gone_(2 * capacity / word_bits) {
  assert(std::has_single_bit(capacity) && capacity >= word_bits);
}

// visit(word index, mask) for each word of the bitmaps that the granules touch.
template <typename Visit>
void RangeWindow::each_word(std::uint64_t first, std::uint64_t count, Visit visit) const noexcept {
  assert(holds(first, count));
  while (count > 0) {
    const std::uint64_t bit = first & (2 * half_ - 1);
    const std::uint64_t shift = bit % word_bits;
    const std::uint64_t here = std::min(count, word_bits - shift);
    visit(bit / word_bits, ones(shift, here));
    first += here;
    count -= here;
  }
}

RangeWindow::State RangeWindow::state(std::uint64_t first, std::uint64_t count) const noexcept {
  assert(count >= 1);
  bool any_done = false;
  bool any_open = false;
  bool any_gone = false;
  bool any_taken = false;
  each_word(first, count, [&](std::uint64_t word, std::uint64_t mask) {
    const std::uint64_t done = done_[word] & mask;
    const std::uint64_t gone = gone_[word] & mask;
    any_done |= done != 0;
    any_open |= done != mask;
    any_gone |= gone != 0;
    any_taken |= gone != done;
  });
  if (!any_done) return State::open;
  if (!any_taken) return State::gone;
  return any_open || any_gone ? State::mixed : State::taken;
}

void RangeWindow::take_many(std::uint64_t first, std::uint64_t count) noexcept {
  std::uint64_t done = 0;
  each_word(first, count, [&](std::uint64_t word, std::uint64_t mask) {
    done |= done_[word] & mask;
    done_[word] |= mask;
  });
  assert(done == 0);
}

std::uint64_t RangeWindow::take(std::uint64_t first, std::uint64_t count) noexcept {
  assert(first >= base_);
  std::uint64_t flipped = 0;
  each_word(first, count, [&](std::uint64_t word, std::uint64_t mask) {
    flipped += count_ones(mask & ~done_[word]);
    done_[word] |= mask;
  });
  return flipped;
}

std::uint64_t RangeWindow::drop(std::uint64_t first, std::uint64_t count) noexcept {
  assert(first >= base_);
  std::uint64_t flipped = 0;
  each_word(first, count, [&](std::uint64_t word, std::uint64_t mask) {
    const std::uint64_t open = mask & ~done_[word];
    flipped += count_ones(open);
    done_[word] |= open;
    gone_[word] |= open;
  });
  return flipped;
}

std::uint64_t RangeWindow::count_open(std::uint64_t first, std::uint64_t count) const noexcept {
  std::uint64_t open = 0;
  each_word(first, count,
            [&](std::uint64_t word, std::uint64_t mask) { open += count_ones(mask & ~done_[word]); });
  return open;
}

// The first granule whose done bit, XOR flip, is set.
std::uint64_t RangeWindow::first_with(std::uint64_t from, std::uint64_t limit,
                                      std::uint64_t flip) const noexcept {
  assert(from <= limit && holds(from, limit - from));
  while (from < limit) {
    const std::uint64_t bit = from & (2 * half_ - 1);
    const std::uint64_t shift = bit % word_bits;
    const std::uint64_t wanted = (done_[bit / word_bits] ^ flip) >> shift;
    if (wanted != 0) {
      return std::min(limit, from + static_cast<std::uint64_t>(std::countr_zero(wanted)));
    }
    from += word_bits - shift;
  }
  return limit;
}

std::uint64_t RangeWindow::first_open(std::uint64_t from, std::uint64_t limit) const noexcept {
  return first_with(from, limit, ~std::uint64_t{0});
}

std::uint64_t RangeWindow::first_done(std::uint64_t from, std::uint64_t limit) const noexcept {
  return first_with(from, limit, 0);
}

void RangeWindow::advance(std::uint64_t base) noexcept {
  assert(base >= base_ && base - base_ <= half_);
  const std::uint64_t fresh = base_ + half_;  // the first granule that comes into view
  const std::uint64_t count = base - base_;
  base_ = base;
  each_word(fresh, count, [&](std::uint64_t word, std::uint64_t mask) {
    done_[word] &= ~mask;
    gone_[word] &= ~mask;
  });
}

}  // namespace ssn::protocol
