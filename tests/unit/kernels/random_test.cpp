// SPDX-License-Identifier: BSD-3-Clause
// The generator against OpenSSL's AES-256-CTR with a zero IV.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "implementations.h"
#include "openssl.h"
#include "scenario.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::RandomGenerator;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::random_for_this_test;
using ssn::test::openssl::aes256_keystream;

class Random : public ssn::test::PerImplementation {
 protected:
  void seed(RandomGenerator& generator) {
    generator.seed(std::span<const std::uint8_t, RandomGenerator::seed_bytes>(seed_.data(), seed_.size()));
  }
  Bytes next(RandomGenerator& generator, std::size_t length) {
    Bytes out(length);
    EXPECT_EQ(kernels::random(implementation(), generator, out.data(), length), Status::ok);
    return out;
  }

  ssn::test::TestRandom random_ = random_for_this_test();
  Bytes seed_ = random_.bytes(RandomGenerator::seed_bytes);
};

TEST_P(Random, EqualsOpenSslAtAllLengths) {
  std::vector<std::size_t> lengths{1344, 1408, 1472, 8192, 8896, 9000, 65535, 65536, 65537, 1 << 20};
  for (std::size_t length = 1; length <= 700; ++length) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    seed_ = random_.bytes(RandomGenerator::seed_bytes);
    RandomGenerator generator;
    seed(generator);
    ASSERT_EQ(next(generator, length), aes256_keystream(seed_, 0, length)) << length;
    ASSERT_EQ(generator.blocks_left(), RandomGenerator::max_blocks - (length + 15) / 16);
  }
}

TEST_P(Random, PiecesInGuardedBuffers) {
  ssn::test::Scenario scenario(implementation(), 3000);
  for (unsigned i = 0; i < 500; ++i) {
    ssn::test::Options options;
    options.length = 1 + random_.below(3000);
    options.outputs = {random_.coin(), static_cast<unsigned>(random_.below(64))};
    ASSERT_EQ(scenario.random(options, random_), "");
  }
}

TEST_P(Random, TheCounterCarriesPast32Bits) {
  for (std::uint64_t before = 0; before <= 40; ++before) {
    RandomGenerator generator;
    seed(generator);
    std::uint64_t first = 1;
    const std::uint64_t start = (std::uint64_t{1} << 32) - before;
    ASSERT_EQ(generator.take(start, first), Status::ok);
    ASSERT_EQ(first, 0U);
    ASSERT_EQ(next(generator, 1000), aes256_keystream(seed_, start, 1000)) << before << " blocks before";
  }
  for (const unsigned bits : {8U, 16U, 24U, 31U, 33U, 35U}) {
    RandomGenerator generator;
    seed(generator);
    std::uint64_t first = 0;
    const std::uint64_t start = (std::uint64_t{1} << bits) - 5;
    ASSERT_EQ(generator.take(start, first), Status::ok);
    ASSERT_EQ(next(generator, 500), aes256_keystream(seed_, start, 500)) << "2 to the power " << bits;
  }
}

TEST_P(Random, EndsAtItsLimit) {
  RandomGenerator generator;
  seed(generator);
  std::uint64_t first = 0;
  ASSERT_EQ(generator.take(RandomGenerator::max_blocks - 3, first), Status::ok);
  Bytes out(64, 0xEE);
  EXPECT_EQ(kernels::random(implementation(), generator, out.data(), 49), Status::random_exhausted);
  EXPECT_EQ(out, Bytes(64, 0xEE)) << "a refused call wrote";
  EXPECT_EQ(generator.blocks_left(), 3U) << "a refused call took blocks";
  EXPECT_EQ(next(generator, 48), aes256_keystream(seed_, RandomGenerator::max_blocks - 3, 48));
  EXPECT_EQ(generator.blocks_left(), 0U);
  EXPECT_EQ(kernels::random(implementation(), generator, out.data(), 1), Status::random_exhausted);
  EXPECT_EQ(generator.take(1, first), Status::random_exhausted);
  EXPECT_EQ(generator.take(~std::uint64_t{0}, first), Status::random_exhausted);
}

TEST_P(Random, NeedsASeedAndStartsAnewWithOne) {
  RandomGenerator generator;
  Bytes out(16, 0xEE);
  EXPECT_EQ(generator.blocks_left(), 0U);
  EXPECT_EQ(kernels::random(implementation(), generator, out.data(), 16), Status::random_exhausted);
  EXPECT_EQ(out, Bytes(16, 0xEE));
  seed(generator);
  const Bytes once = next(generator, 100);
  EXPECT_NE(next(generator, 100), once);
  seed(generator);
  EXPECT_EQ(next(generator, 100), once);
  seed_[31] ^= 1;
  seed(generator);
  EXPECT_NE(next(generator, 100), once);
}

SSN_FOR_EVERY_IMPLEMENTATION(Random);

}  // namespace
