// SPDX-License-Identifier: BSD-3-Clause
// Several threads share one implementation, its transforms and its tag keys. Wrong results show here, and
// unlocked state shows under the thread sanitizer, for which this is a program of its own.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "implementations.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::TestRandom;

constexpr std::size_t length = 1408;

struct Shared {
  explicit Shared(const kernels::Implementation& used) : implementation(used) {}

  const kernels::Implementation& implementation;
  kernels::Code code;
  kernels::Transform split, recover, syndromes;
  kernels::TagKey key;
  std::array<std::uint8_t, 32> seed{7};
};

/// Split, check, recover, locate and random over and over with buffers of its own. Returns what went wrong.
std::string work(const Shared& shared, std::uint64_t seed) {
  TestRandom random(seed);
  kernels::RandomGenerator generator;
  generator.seed(shared.seed);
  std::array<Bytes, 5> shares;
  std::array<std::uint8_t*, 5> shares_at;
  for (unsigned i = 0; i < 5; ++i) {
    shares[i].resize(length);
    shares_at[i] = shares[i].data();
  }
  const std::array<const std::uint8_t*, 5> in_at{shares_at[0], shares_at[1], shares_at[2], shares_at[3],
                                                 shares_at[4]};
  for (unsigned round = 0; round < 40; ++round) {
    const Bytes data = random.bytes(length), mask = random.bytes(16);
    Bytes out(length);
    const std::uint8_t* data_at = data.data();
    std::uint8_t* out_at = out.data();
    std::array<kernels::Tagging, 5> tagging;
    tagging.fill({&shared.key, data.data(), 48, mask.data()});
    std::uint8_t tags[5][kernels::tag_bytes];
    kernels::SplitJob job;
    job.transform = &shared.split;
    job.code = &shared.code;
    job.data = &data_at;
    job.generator = &generator;
    job.shares = shares_at.data();
    job.tagging = tagging.data();
    job.tags = tags;
    job.length = length;
    if (kernels::split(shared.implementation, job) != Status::ok) return "split failed";
    std::size_t first_bad = 0;
    if (kernels::check(shared.implementation, shared.syndromes, in_at.data(), length, first_bad) !=
            Status::ok ||
        first_bad != length) {
      return "check found fault with good shares";
    }
    kernels::RecoverJob back;
    back.transform = &shared.recover;
    back.shares = in_at.data() + 2;  // shares 3, 4, 5
    back.data = &out_at;
    back.tagging = tagging.data() + 2;
    back.tags = tags + 2;
    back.length = length;
    if (kernels::recover(shared.implementation, back) != Status::ok || out != data) return "recover failed";
    const std::size_t victim = random.below(5);
    shares[victim][random.below(length)] ^= random.nonzero_byte();
    kernels::LocateResult located;
    const Bytes indices{1, 2, 3, 4, 5};
    if (kernels::locate(shared.implementation, shared.code, indices, in_at.data(), length, located) !=
            Status::ok ||
        !located.located || !located.wrong[victim]) {
      return "locate failed";
    }
  }
  return {};
}

class Threads : public ssn::test::PerImplementation {};

TEST_P(Threads, ShareOneImplementation) {
  const auto shared = std::make_unique<Shared>(implementation());
  ASSERT_EQ(kernels::Code::make(kernels::Scheme::systematic, 3, 5, 1, shared->code), Status::ok);
  ASSERT_EQ(shared->split.make_split(shared->code), Status::ok);
  ASSERT_EQ(shared->recover.make_recover(shared->code, Bytes{3, 4, 5}), Status::ok);
  ASSERT_EQ(shared->syndromes.make_syndromes(shared->code, Bytes{1, 2, 3, 4, 5}), Status::ok);
  const Bytes r = TestRandom(1).bytes(16);
  shared->key.expand(implementation(), std::span<const std::uint8_t, 16>(r.data(), 16));

  constexpr unsigned thread_count = 4;
  const std::uint64_t seed = ssn::test::random_for_this_test().next();
  std::array<std::string, thread_count> problems;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < thread_count; ++i) {
    threads.emplace_back([&, i] { problems[i] = work(*shared, seed + i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
}

// Starting up at the same time in several threads: whatever select() and the self-test keep must be safe too.
TEST(ThreadsAtStart, SelectTogether) {
  std::array<const kernels::Implementation*, 4> chosen{};
  std::vector<std::thread> threads;
  for (const kernels::Implementation*& slot : chosen) {
    threads.emplace_back([&slot] {
      if (kernels::select(slot) != Status::ok) slot = nullptr;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const kernels::Implementation* slot : chosen) {
    EXPECT_NE(slot, nullptr);
    EXPECT_EQ(slot, chosen[0]);
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(Threads);

}  // namespace
