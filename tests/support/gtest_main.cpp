// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "test_random.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests)) ssn::test::test_seed();  // prints how to repeat this run
  return RUN_ALL_TESTS();
}
