// SPDX-License-Identifier: BSD-3-Clause
// GoogleTest over every implementation of this build. Include in tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ssn/kernels/kernels.h"
#include "test_random.h"

namespace ssn::kernels {
/// For readable failures.
inline void PrintTo(Status status, std::ostream* out) { *out << '"' << describe(status) << '"'; }
}  // namespace ssn::kernels

namespace ssn::test {

/// A stream that depends on the run's seed and on the name of the running test.
inline TestRandom random_for_this_test() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  return TestRandom::labelled(std::string(info->test_suite_name()) + "." + info->name());
}

class PerImplementation : public testing::TestWithParam<const kernels::Implementation*> {
 protected:
  void SetUp() override {
    if (!kernels::supported(implementation())) {
      GTEST_SKIP() << "this CPU or operating system does not support the implementation "
                   << kernels::name(implementation()) << " (" << kernels::description(implementation())
                   << ")";
    }
  }
  static const kernels::Implementation& implementation() { return *GetParam(); }
};

inline std::string implementation_name(const testing::TestParamInfo<const kernels::Implementation*>& info) {
  return std::string(kernels::name(*info.param));
}

}  // namespace ssn::test

#define SSN_FOR_EVERY_IMPLEMENTATION(suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(                                                                              \
      Every, suite,                                                                                      \
      testing::ValuesIn(ssn::kernels::implementations().begin(), ssn::kernels::implementations().end()), \
      ssn::test::implementation_name)
