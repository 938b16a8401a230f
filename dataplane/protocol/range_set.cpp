// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/range_set.h"

#include <algorithm>
#include <cassert>

namespace ssn::protocol {

RangeSet::RangeSet(std::size_t ranges) : ranges_(ranges) { assert(ranges >= 1); }

// The first range that ends at or above `number`: the one that a range which begins there may touch.
std::size_t RangeSet::find(std::uint64_t number) const noexcept {
  if (count_ != 0 && ranges_[count_ - 1].end < number) return count_;  // mostly
  const auto at = std::lower_bound(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(count_),
                                   number, [](const Range& range, std::uint64_t n) { return range.end < n; });
  return static_cast<std::size_t>(at - ranges_.begin());
}

void RangeSet::remove(std::size_t first, std::size_t end) noexcept {
  std::copy(ranges_.begin() + static_cast<std::ptrdiff_t>(end),
            ranges_.begin() + static_cast<std::ptrdiff_t>(count_),
            ranges_.begin() + static_cast<std::ptrdiff_t>(first));
  count_ -= end - first;
}

void RangeSet::raise(std::uint64_t below) noexcept {
  if (below <= below_) return;
  below_ = below;
  std::size_t passed = 0;
  while (passed < count_ && ranges_[passed].begin <= below_) {
    below_ = std::max(below_, ranges_[passed].end);
    ++passed;
  }
  remove(0, passed);
}

bool RangeSet::add(std::uint64_t begin, std::uint64_t end) noexcept {
  assert(begin < end);
  if (begin <= below_) {
    raise(end);
    return true;
  }
  const std::size_t first = find(begin);
  std::size_t last = first;
  while (last < count_ && ranges_[last].begin <= end) ++last;
  if (first == last) {
    if (full()) return false;
    std::copy_backward(ranges_.begin() + static_cast<std::ptrdiff_t>(first),
                       ranges_.begin() + static_cast<std::ptrdiff_t>(count_),
                       ranges_.begin() + static_cast<std::ptrdiff_t>(count_ + 1));
    ranges_[first] = {begin, end};
    ++count_;
    return true;
  }
  ranges_[first].begin = std::min(ranges_[first].begin, begin);
  ranges_[first].end = std::max(ranges_[last - 1].end, end);
  remove(first + 1, last);
  return true;
}

bool RangeSet::contains(std::uint64_t begin, std::uint64_t end) const noexcept {
  if (end <= below_) return true;
  const std::size_t at = find(std::max(begin, below_) + 1);
  return at < count_ && ranges_[at].begin <= begin && end <= ranges_[at].end;
}

}  // namespace ssn::protocol
