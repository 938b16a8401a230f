// SPDX-License-Identifier: BSD-3-Clause
// Many seeds of the network simulator, over the library as it is shipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "runs.h"

namespace ssn::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

// Seeds that once found something that no other did.
constexpr std::uint64_t telling_seeds[] = {700653, 703133, 270831721809218, 940181};

// The first seeds are always the same, so that a change of the code is seen; as many are new in every run.
TEST(NetworkSimulator, NothingIsBroken) {
  const std::uint64_t runs = number_of("SSN_SIM_RUNS", sanitized ? 60 : 520);
  Totals totals;
  for (std::uint64_t i = 0; i < runs; ++i) {
    const std::uint64_t seed = i % 2 == 0 ? 1 + i / 2 : test::TestRandom(test::test_seed() + i).next() >> 16;
    const Report report = run_seed(seed);
    totals.add(report);
    EXPECT_GE(report.cells, 256U) << "seed " << seed;
    for (const std::string& violation : report.violations) {
      ADD_FAILURE() << violation << "\nto repeat: ssn-sim --seed " << seed;
    }
    if (HasFailure()) break;
  }
  // Branches so rare that a run may not meet them by chance.
  for (const std::uint64_t seed : telling_seeds) totals.add(run_seed(seed));
  std::printf("%s", text_of(totals).c_str());
  if (HasFailure() || runs < 500) return;
  for (const std::string_view mark : Marks::expected()) {
    EXPECT_GT(totals.marks.of(mark), 0U) << "never met: " << mark;
  }
}

TEST(NetworkSimulator, NothingIsBrokenAgain) {
  for (const std::uint64_t seed : telling_seeds) {
    for (const std::string& violation : run_seed(seed).violations) {
      ADD_FAILURE() << violation << "\nto repeat: ssn-sim --seed " << seed;
    }
  }
}

TEST(NetworkSimulator, ASeedDoesTheSameAgain) {
  for (const std::uint64_t seed : {3U, 11U, 17U}) {
    const Report first = run_seed(seed);
    const Report again = run_seed(seed);
    EXPECT_EQ(first.digest, again.digest) << "seed " << seed;
    EXPECT_EQ(first.steps, again.steps) << "seed " << seed;
    EXPECT_EQ(first.marks.all(), again.marks.all()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace ssn::sim
