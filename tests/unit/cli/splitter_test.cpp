// SPDX-License-Identifier: BSD-3-Clause
#include "splitter.h"

#include <gtest/gtest.h>

#include "combiner.h"
#include "temporary_directory.h"
#include "test_random.h"

namespace ssn::cli {
namespace {

class SplitAndCombine : public test::TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    ASSERT_EQ(kernels::select(implementation_), kernels::Status::ok);
  }

  const kernels::Implementation* implementation_ = nullptr;
};

TEST_F(SplitAndCombine, RandomLayoutsRestoreFromRandomShares) {
  auto random = test::TestRandom::labelled("layouts");
  for (int round = 0; round < 60; ++round) {
    SplitOptions options;
    options.scheme = static_cast<kernels::Scheme>(random.between(1, 4));
    options.k = random.between(2, 12);
    options.n = random.between(options.k, 16);
    options.data_blocks = options.scheme == kernels::Scheme::rs     ? options.k
                          : options.scheme == kernels::Scheme::ramp ? random.between(1, options.k - 1)
                                                                    : 1;
    options.block_bytes = random.between(64, 200);
    options.input = path("f");
    options.force = true;
    const test::Bytes data = random.bytes(random.below(4000));
    write("f", {data.begin(), data.end()});
    Progress quiet("", true);
    const Result<SplitReport> split_report = split(options, *implementation_, quiet);
    ASSERT_TRUE(split_report.ok()) << split_report.error().why;

    CombineOptions combine_options;
    for (const std::uint8_t share : random.share_indices(random.between(options.k, options.n), options.n)) {
      combine_options.shares.push_back(split_report.value().shares[share - 1U]);
    }
    combine_options.output = path("g");
    combine_options.force = true;
    const CombineReport report = combine(combine_options, *implementation_, quiet);
    ASSERT_FALSE(report.error.has_value()) << report.error->why;
    EXPECT_EQ(read("g"), std::string(data.begin(), data.end()));
    const bool surplus = combine_options.shares.size() > options.k;
    EXPECT_EQ(report.checked_blocks, surplus ? report.blocks : 0);
    for (const ShareInput& input : report.shares) {
      EXPECT_EQ(input.state, ShareState::good) << input.detail;
    }
  }
}

TEST_F(SplitAndCombine, ParametersOutOfRangeAreUsageErrors) {
  write("f", "data");
  SplitOptions options;
  options.k = 3;
  options.n = 2;
  options.input = path("f");
  Progress quiet("", true);
  const Result<SplitReport> report = split(options, *implementation_, quiet);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::usage);
  EXPECT_EQ(names(), std::vector<std::string>{"f"});
}

TEST(KernelError, ChoosesTheCode) {
  EXPECT_EQ(kernel_error(kernels::Status::too_many_points, "").code, Exit::usage);
  EXPECT_EQ(kernel_error(kernels::Status::self_test_failed, "").code, Exit::kernels_refused);
  EXPECT_EQ(kernel_error(kernels::Status::missing_buffer, "").code, Exit::failed);
}

}  // namespace
}  // namespace ssn::cli
