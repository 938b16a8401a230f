// SPDX-License-Identifier: BSD-3-Clause
// The suite passes what is right and finds what is wrong.
#include "conformance/conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_random.h"

namespace ssn::hw::offload {
namespace {

using testing::HasSubstr;

std::string outcome(const ConformanceReport& report) {
  std::string text;
  for (const CheckReport& check : report.checks) {
    text += std::string(name(check.verdict)) + " " + check.name + ": " + check.detail + "\n";
  }
  return text;
}

Verdict verdict(const ConformanceReport& report, const std::string& check) {
  for (const CheckReport& one : report.checks) {
    if (one.name == check) {
      return one.verdict;
    }
  }
  ADD_FAILURE() << "there is no check " << check;
  return Verdict::skipped;
}

ConformanceReport test(const OffloadDevice::Options& driver, unsigned patience_seconds,
                       const std::string& only = "") {
  const ConformanceOptions options{
      .seed = test::test_seed(), .patience_seconds = patience_seconds, .only = only, .on_check = {}};
  Result<ConformanceReport> report = test_offload_driver(driver, options);
  EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().what + ": " + report.error().why);
  return report.ok() ? std::move(report.value()) : ConformanceReport();
}

// ---- Drivers that keep the rules ------------------------------------------------------------------------

struct Good {
  const char* name;
  OffloadDevice::Options driver;
  std::vector<std::string> skipped;
};

class GoodDriver : public testing::TestWithParam<Good> {};

TEST_P(GoodDriver, Passes) {
  const ConformanceReport report = test(GetParam().driver, 60);
  EXPECT_EQ(report.count(Verdict::failed), 0U) << outcome(report);
  for (const CheckReport& check : report.checks) {
    const bool expected = std::find(GetParam().skipped.begin(), GetParam().skipped.end(), check.name) !=
                          GetParam().skipped.end();
    EXPECT_EQ(check.verdict == Verdict::skipped, expected) << check.name << ": " << check.detail;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Drivers, GoodDriver,
    testing::Values(
        Good{"cpu", {.driver = "cpu"}, {"unsupported", "back-pressure", "deadline-near"}},
        Good{"cpu_scalar",
             {.driver = "cpu", .settings = {{"kernels", "scalar"}}},
             {"unsupported", "back-pressure", "deadline-near"}},
        Good{"async_example", {.driver = "async-example"}, {"unsupported", "order"}},
        Good{"async_example_aligned",
             {.driver = "async-example", .settings = {{"alignment", "64"}, {"seed", "9"}}},
             {"unsupported", "order"}},
        Good{"fault_none", {.driver = "fault"}, {"unsupported"}},
        Good{"fault_slow", {.driver = "fault", .settings = {{"fault", "slow"}}}, {"unsupported", "order"}},
        Good{"fault_partial", {.driver = "fault", .settings = {{"fault", "partial"}}}, {"unsupported"}},
        Good{"fault_over_async",
             {.driver = "fault",
              .settings = {{"driver", "async-example"}, {"fault", "slow"}, {"driver.seed", "4"}}},
             {"unsupported", "order"}},
        Good{"out_of_tree",
             {.driver = std::string(SSN_EXAMPLE_DRIVERS) + "/ssn-offload-example.so"},
             {"tag-keys", "seal", "open", "split+pad", "split+seal", "open+recover", "scatter", "in-place",
              "tags"}}),
    [](const auto& tested) { return std::string(tested.param.name); });

// ---- Drivers that do not --------------------------------------------------------------------------------

struct Bad {
  const char* fault;
  const char* found_by;  ///< the check that is there for it
};

class BadDriver : public testing::TestWithParam<Bad> {};

TEST_P(BadDriver, Fails) {
  // Every fault at its usual rate of one in eight jobs, so that finding it is no luck.
  // Only jobs that wait for each other can be reordered, which is a matter of time: it may take several runs.
  Verdict found = Verdict::passed;
  std::string said;
  for (unsigned seed = 1; seed <= 10 && found != Verdict::failed; ++seed) {
    const ConformanceReport report =
        test({.driver = "fault", .settings = {{"fault", GetParam().fault}}}, seed, GetParam().found_by);
    found = verdict(report, GetParam().found_by);
    said += outcome(report);
  }
  EXPECT_EQ(found, Verdict::failed) << said;
}

INSTANTIATE_TEST_SUITE_P(Faults, BadDriver,
                         testing::Values(Bad{"refuse", "dot"}, Bad{"reorder", "order"}, Bad{"corrupt", "dot"},
                                         Bad{"corrupt-tag", "seal"}, Bad{"forge", "tags"},
                                         Bad{"unerased", "tags"}, Bad{"misname", "tags"},
                                         Bad{"delay", "deadline-near"}, Bad{"lose", "in-flight"},
                                         Bad{"timeout", "deadline-far"}, Bad{"twice", "bursts"},
                                         Bad{"overrun", "bursts"}, Bad{"linger", "bursts"},
                                         Bad{"touch-input", "dot"}, Bad{"lenient", "refusals"},
                                         Bad{"overfill", "back-pressure"}),
                         [](const auto& tested) {
                           std::string name = tested.param.fault;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Conformance, StopsGivingJobsToADeviceThatLosesThem) {
  const ConformanceReport report = test({.driver = "fault", .settings = {{"fault", "lose"}}}, 1);
  EXPECT_EQ(report.count(Verdict::failed), 1U) << outcome(report);
  EXPECT_EQ(verdict(report, "teardown"), Verdict::skipped);
  EXPECT_EQ(verdict(report, "matrices"), Verdict::passed);
}

TEST(Conformance, TheSameSeedGivesTheSameFindings) {
  // That of a fault whose text depends on the contents of the jobs.
  const auto text = [](std::uint64_t seed) {
    Result<ConformanceReport> report =
        test_offload_driver({.driver = "fault", .settings = {{"fault", "corrupt"}}},
                            {.seed = seed, .patience_seconds = 60, .only = "scatter", .on_check = {}});
    return report.ok() ? outcome(report.value()) : report.error().why;
  };
  EXPECT_EQ(text(7), text(7));
  EXPECT_NE(text(7), text(8));
}

TEST(Conformance, SaysWhenNothingCanBeChecked) {
  Result<ConformanceReport> report =
      test_offload_driver({.driver = "cpu"}, {.only = "no-such", .on_check = {}});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::usage);
  EXPECT_THAT(report.error().why, HasSubstr("no-such"));
  report = test_offload_driver({.driver = "no-such-driver"}, {});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::not_found);
}

}  // namespace
}  // namespace ssn::hw::offload
