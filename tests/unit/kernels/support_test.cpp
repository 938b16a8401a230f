// SPDX-License-Identifier: BSD-3-Clause
// The tools that the other tests trust: guards must fault, changed margins must show, the reference must obey
// the field's laws.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "guarded.h"
#include "implementations.h"
#include "reference.h"

namespace {

using ssn::test::BufferPool;
using ssn::test::Bytes;
using ssn::test::random_for_this_test;
namespace reference = ssn::test::reference;

TEST(GuardedBuffers, FaultOnTheFirstByteBeyond) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  BufferPool pool(5000);
  volatile std::uint8_t* at_end = pool.take(1000, {true, 0});
  volatile std::uint8_t* at_start = pool.take(1000, {false, 0});
  at_end[999] = 1;
  at_start[0] = 1;
  EXPECT_DEATH(at_end[1000] = 1, "");
  EXPECT_DEATH(static_cast<void>(at_end[1000]), "");
  EXPECT_DEATH(at_start[-1] = 1, "");
  EXPECT_DEATH(static_cast<void>(at_start[-1]), "");
}

TEST(GuardedBuffers, NoticeChangedMargins) {
  BufferPool pool(100);
  std::uint8_t* at = pool.take(10, {false, 20});
  EXPECT_TRUE(pool.intact());
  at[0] = at[9] = 1;
  EXPECT_TRUE(pool.intact());
  at[10] ^= 1;
  EXPECT_FALSE(pool.intact());
  at[10] ^= 1;
  at[-1] ^= 1;
  EXPECT_FALSE(pool.intact());
  pool.reset();
  at = pool.take(100, {true, 0});
  EXPECT_TRUE(pool.intact());
  at[-1] ^= 1;
  EXPECT_FALSE(pool.intact());
}

TEST(Reference, IsAFieldOfTheRightPolynomial) {
  EXPECT_EQ(reference::multiply(0x80, 2), 0x1D);
  for (unsigned a = 1; a < 256; ++a) {
    const auto x = static_cast<std::uint8_t>(a);
    EXPECT_EQ(reference::multiply(x, reference::inverse(x)), 1);
    for (unsigned b = 0; b < 256; ++b) {
      const auto y = static_cast<std::uint8_t>(b);
      EXPECT_EQ(reference::multiply(x, y), reference::multiply(y, x));
    }
  }
}

TEST(Reference, InvertsAndRanks) {
  ssn::test::TestRandom random = random_for_this_test();
  reference::Matrix matrix(7, 7);
  do {
    random.fill(matrix.entries.data(), matrix.entries.size());
  } while (reference::rank(matrix) != 7);
  const reference::Matrix identity = reference::product(matrix, reference::inverse(matrix));
  for (unsigned r = 0; r < 7; ++r) {
    for (unsigned c = 0; c < 7; ++c) EXPECT_EQ(identity.at(r, c), r == c ? 1 : 0);
  }
  for (unsigned c = 0; c < 7; ++c) matrix.at(6, c) = reference::multiply(9, matrix.at(2, c));
  EXPECT_EQ(reference::rank(matrix), 6U);
}

TEST(Reference, SubsetsAreAllAndDistinct) {
  std::set<Bytes> seen;
  ssn::test::for_each_subset(3, 7, [&](const Bytes& subset) { EXPECT_TRUE(seen.insert(subset).second); });
  EXPECT_EQ(seen.size(), 35U);
}

}  // namespace
