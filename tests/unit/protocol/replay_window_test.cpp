// SPDX-License-Identifier: BSD-3-Clause
// The replay window against a set of everything that was ever seen.
#include "ssn/protocol/replay_window.h"

#include <gtest/gtest.h>

#include <set>

#include "implementations.h"

namespace ssn::protocol {
namespace {

using State = ReplayWindow::State;

TEST(ReplayWindow, AgreesWithASet) {
  test::TestRandom random = test::random_for_this_test();
  for (unsigned run = 0; run < 40; ++run) {
    const std::uint64_t numbers = std::uint64_t{128} << random.below(4);
    ReplayWindow window(numbers);
    std::set<std::uint64_t> seen;
    std::uint64_t highest = run % 2 == 0 ? 0 : UINT64_MAX - 5000;
    window.mark(highest);
    seen.insert(highest);
    for (unsigned step = 0; step < 3000; ++step) {
      std::uint64_t number = highest;
      const std::size_t kind = random.below(20);
      if (kind == 0) {
        number += random.below(4 * numbers);  // a leap, over the whole ring at times
      } else if (kind < 10) {
        number += random.below(3);
      } else {
        number -= std::min(number, std::uint64_t{random.below(2 * numbers)});
      }
      if (highest - number > UINT64_MAX / 2 && number < UINT64_MAX / 2)
        number = highest;  // went over the end
      const State state = window.find(number);
      if (seen.count(number) != 0) {
        ASSERT_NE(state, State::fresh) << number;
      } else if (number + (numbers - 64) >= highest || number > highest) {
        ASSERT_EQ(state, State::fresh) << number << " highest " << highest;
      } else if (highest - number >= numbers) {
        ASSERT_EQ(state, State::too_old);
      }
      if (state == State::fresh) {
        window.mark(number);
        seen.insert(number);
        highest = std::max(highest, number);
        ASSERT_EQ(window.find(number), State::seen);
      }
    }
  }
}

TEST(ReplayWindow, EdgesOfTheRing) {
  ReplayWindow window(128);
  EXPECT_EQ(window.find(0), State::fresh);
  window.mark(127);
  EXPECT_EQ(window.find(0), State::fresh);
  window.mark(0);
  EXPECT_EQ(window.find(0), State::seen);
  window.mark(128);  // the word of 0 is used again
  EXPECT_EQ(window.find(0), State::too_old);
  EXPECT_EQ(window.find(64), State::fresh);
  EXPECT_EQ(window.find(127), State::seen);
  window.mark(UINT64_MAX);
  EXPECT_EQ(window.find(UINT64_MAX), State::seen);
  EXPECT_EQ(window.find(UINT64_MAX - 1), State::fresh);
  EXPECT_EQ(window.find(UINT64_MAX - 128), State::too_old);
}

}  // namespace
}  // namespace ssn::protocol
