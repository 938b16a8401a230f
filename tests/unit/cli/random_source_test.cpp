// SPDX-License-Identifier: BSD-3-Clause
#include "random_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "temporary_directory.h"

namespace ssn::cli {
namespace {

using kernels::RandomGenerator;

TEST(DrbgSource, TakesANewSeedBeforeOneIsUsedUp) {
  Result<std::unique_ptr<RandomSource>> made = DrbgSource::make();
  ASSERT_TRUE(made.ok());
  auto& source = dynamic_cast<DrbgSource&>(*made.value());
  EXPECT_EQ(source.seeds(), 1U);
  std::uint64_t first = 0;
  ASSERT_EQ(source.generator().take(RandomGenerator::max_blocks - 10, first), kernels::Status::ok);
  kernels::SplitJob job;
  ASSERT_TRUE(source.prepare(job, 2, 80).ok());  // exactly the 10 that are left
  EXPECT_EQ(source.seeds(), 1U);
  EXPECT_EQ(job.generator, &source.generator());
  const std::vector<std::uint8_t> old_keys(job.generator->round_keys(), job.generator->round_keys() + 240);
  ASSERT_TRUE(source.prepare(job, 2, 81).ok());  // 12 are not there
  EXPECT_EQ(source.seeds(), 2U);
  EXPECT_EQ(source.generator().blocks_left(), RandomGenerator::max_blocks);
  EXPECT_FALSE(std::equal(old_keys.begin(), old_keys.end(), job.generator->round_keys()));
}

class Device : public test::TemporaryDirectory {};

TEST_F(Device, RefusesStoredFiles) {
  write("noise", std::string(1000, 'x'));
  const auto made = DeviceSource::make(path("noise"), 100);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Exit::refused);
}

TEST_F(Device, NoticesARepeatedByteAcrossCalls) {
  auto made = DeviceSource::make("/dev/zero", 100);
  ASSERT_TRUE(made.ok());
  kernels::SplitJob job;
  EXPECT_TRUE(made.value()->prepare(job, 1, 8).ok());  // 8 zeros are no proof yet
  const Outcome second = made.value()->prepare(job, 1, 8);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().why.find("16 times"), std::string::npos);
}

TEST_F(Device, GivesEachByteOnce) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "abcdefghij", 10), 10);
  ::close(ends[1]);
  auto made = DeviceSource::make("/dev/fd/" + std::to_string(ends[0]), 100);
  ::close(ends[0]);
  ASSERT_TRUE(made.ok());
  kernels::SplitJob job;
  ASSERT_TRUE(made.value()->prepare(job, 2, 3).ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(job.random[0]), 3), "abc");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(job.random[1]), 3), "def");
  EXPECT_EQ(job.generator, nullptr);
  EXPECT_FALSE(made.value()->prepare(job, 2, 3).ok());  // only four are left
}

}  // namespace
}  // namespace ssn::cli
