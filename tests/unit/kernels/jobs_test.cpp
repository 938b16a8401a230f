// SPDX-License-Identifier: BSD-3-Clause
// What operations refuse, that a refusal writes nothing, and the aliasing that kernels.h allows.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "implementations.h"
#include "reference.h"

namespace {

namespace kernels = ssn::kernels;
namespace reference = ssn::test::reference;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::random_for_this_test;

constexpr std::size_t length = 100;

/// A complete (3,5) split with pads and tags, and the recovery of its first shares; tests take one thing
/// away.
class Jobs : public ssn::test::PerImplementation {
 protected:
  void SetUp() override {
    PerImplementation::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(kernels::Code::make(kernels::Scheme::systematic, 3, 5, 1, code_), Status::ok);
    ASSERT_EQ(split_transform_->make_split(code_), Status::ok);
    ASSERT_EQ(recover_transform_->make_recover(code_, Bytes{5, 4, 3}), Status::ok);
    key_.expand(implementation(), std::span<const std::uint8_t, 16>(r_.data(), 16));
    generator_.seed(seed_);
    for (unsigned i = 0; i < 5; ++i) {
      pads_.push_back(random_.bytes(length));
      shares_.emplace_back(length, std::uint8_t{0xEE});
      tagging_[i] = {&key_, header_.data(), header_.size(), r_.data()};
    }
    blocks_ = {random_.bytes(length), random_.bytes(length)};
    for (unsigned i = 0; i < 5; ++i) {
      pads_at_[i] = pads_[i].data();
      shares_at_[i] = shares_[i].data();
      inputs_at_[i] = shares_[i].data();
    }
    random_at_ = {blocks_[0].data(), blocks_[1].data()};
  }

  kernels::SplitJob split_job() {
    kernels::SplitJob job;
    job.transform = split_transform_.get();
    job.code = &code_;
    job.data = &data_at_;
    job.random = random_at_.data();
    job.pads = pads_at_.data();
    job.shares = shares_at_.data();
    job.tagging = tagging_.data();
    job.tags = tags_;
    job.length = length;
    return job;
  }

  kernels::RecoverJob recover_job() {
    kernels::RecoverJob job;
    job.transform = recover_transform_.get();
    job.shares = inputs_at_.data();
    job.pads = pads_at_.data();
    job.data = &out_at_;
    job.tagging = tagging_.data();
    job.tags = tags_;
    job.length = length;
    return job;
  }

  void expect_refused(const kernels::SplitJob& job, Status expected) {
    const std::uint64_t left = generator_.blocks_left();
    EXPECT_EQ(kernels::split(implementation(), job), expected);
    for (const Bytes& share : shares_) EXPECT_EQ(share, Bytes(length, 0xEE)) << "a refused job wrote a share";
    EXPECT_EQ(generator_.blocks_left(), left) << "a refused job took random blocks";
  }

  void expect_refused(const kernels::RecoverJob& job, Status expected) {
    EXPECT_EQ(kernels::recover(implementation(), job), expected);
    EXPECT_EQ(out_, Bytes(length, 0xEE)) << "a refused job wrote data";
  }

  ssn::test::TestRandom random_ = random_for_this_test();
  kernels::Code code_;
  std::unique_ptr<kernels::Transform> split_transform_ = std::make_unique<kernels::Transform>();
  std::unique_ptr<kernels::Transform> recover_transform_ = std::make_unique<kernels::Transform>();
  Bytes r_ = random_.bytes(16), header_ = random_.bytes(20);
  Bytes data_ = random_.bytes(length), out_ = Bytes(length, 0xEE);
  std::vector<Bytes> pads_, shares_, blocks_;
  std::array<std::uint8_t, 32> seed_{1, 2, 3};
  kernels::RandomGenerator generator_;
  kernels::TagKey key_;
  std::array<kernels::Tagging, 5> tagging_;
  std::uint8_t tags_[5][kernels::tag_bytes] = {};
  const std::uint8_t* data_at_ = data_.data();
  std::uint8_t* out_at_ = out_.data();
  std::array<const std::uint8_t*, 2> random_at_{};
  std::array<const std::uint8_t*, 5> pads_at_{};
  std::array<const std::uint8_t*, 5> inputs_at_{};
  std::array<std::uint8_t*, 5> shares_at_{};
};

TEST_P(Jobs, CompleteOnesSucceed) {
  EXPECT_EQ(kernels::split(implementation(), split_job()), Status::ok);
  kernels::RecoverJob job = recover_job();
  std::swap(inputs_at_[0], inputs_at_[4]);  // the transform wants shares 5, 4, 3
  std::swap(inputs_at_[1], inputs_at_[3]);
  std::swap(pads_at_[0], pads_at_[4]);
  std::swap(pads_at_[1], pads_at_[3]);
  std::uint8_t tags[3][kernels::tag_bytes];
  for (unsigned i = 0; i < 3; ++i) std::copy(tags_[4 - i], tags_[4 - i] + kernels::tag_bytes, tags[i]);
  job.tags = tags;
  EXPECT_EQ(kernels::recover(implementation(), job), Status::ok);
  EXPECT_EQ(out_, data_);
}

TEST_P(Jobs, SplitRefusesWhatIsMissing) {
  using Job = kernels::SplitJob;
  const std::vector<void (*)(Job&)> removals{
      [](Job& job) { job.transform = nullptr; }, [](Job& job) { job.code = nullptr; },
      [](Job& job) { job.data = nullptr; },      [](Job& job) { job.shares = nullptr; },
      [](Job& job) { job.tags = nullptr; },
  };
  for (const auto remove : removals) {
    Job job = split_job();
    remove(job);
    expect_refused(job, Status::missing_buffer);
  }
  Job job = split_job();
  job.random = nullptr;
  expect_refused(job, Status::no_random_source);
  job = split_job();
  job.length = 0;
  expect_refused(job, Status::length_is_zero);
}

TEST_P(Jobs, SplitRefusesHolesInLists) {
  data_at_ = nullptr;
  expect_refused(split_job(), Status::missing_buffer);
  data_at_ = data_.data();
  for (const std::uint8_t*& at : random_at_) {
    const std::uint8_t* const was = std::exchange(at, nullptr);
    expect_refused(split_job(), Status::missing_buffer);
    at = was;
  }
  for (unsigned i = 0; i < 5; ++i) {
    pads_at_[i] = nullptr;
    expect_refused(split_job(), Status::missing_buffer);
    pads_at_[i] = pads_[i].data();
    shares_at_[i] = nullptr;
    expect_refused(split_job(), Status::missing_buffer);
    shares_at_[i] = shares_[i].data();
    const kernels::Tagging whole = tagging_[i];
    tagging_[i].key = nullptr;
    expect_refused(split_job(), Status::missing_buffer);
    tagging_[i] = whole;
    tagging_[i].mask = nullptr;
    expect_refused(split_job(), Status::missing_buffer);
    tagging_[i] = whole;
    tagging_[i].header = nullptr;
    expect_refused(split_job(), Status::missing_buffer);
    tagging_[i] = whole;
  }
  EXPECT_EQ(kernels::split(implementation(), split_job()), Status::ok);
}

TEST_P(Jobs, SplitNeedsASeededGeneratorThatLasts) {
  kernels::SplitJob job = split_job();
  job.random = nullptr;
  kernels::RandomGenerator unseeded;
  job.generator = &unseeded;
  expect_refused(job, Status::random_exhausted);
  job.generator = &generator_;
  std::uint64_t first = 0;
  ASSERT_EQ(generator_.take(generator_.blocks_left() - 13, first), Status::ok);
  expect_refused(job, Status::random_exhausted);  // two blocks of 100 bytes are 14 blocks of 16
  EXPECT_EQ(generator_.blocks_left(), 13U);
  job.length = 96;
  EXPECT_EQ(kernels::split(implementation(), job), Status::ok);
  EXPECT_EQ(generator_.blocks_left(), 1U);
}

// A share far behind the first can be the sum of all columns, here share 255 of ramp (3,1,255).
TEST_P(Jobs, GeneratedBlocksServeEveryOrderOfRows) {
  constexpr unsigned n = 255;
  kernels::Code code;
  ASSERT_EQ(kernels::Code::make(kernels::Scheme::ramp, 3, n, 1, code), Status::ok);
  ASSERT_EQ(split_transform_->make_split(code), Status::ok);
  std::vector<Bytes> generated(n, Bytes(length)), given(n, Bytes(length));
  std::vector<std::uint8_t*> generated_at, given_at;
  for (unsigned i = 0; i < n; ++i) {
    generated_at.push_back(generated[i].data());
    given_at.push_back(given[i].data());
  }
  kernels::SplitJob job;
  job.transform = split_transform_.get();
  job.code = &code;
  job.data = &data_at_;
  job.generator = &generator_;
  job.shares = generated_at.data();
  job.length = length;
  ASSERT_EQ(kernels::split(implementation(), job), Status::ok);
  const std::array<const std::uint8_t*, 2> blocks{generated[0].data(), generated[1].data()};
  job.random = blocks.data();
  job.shares = given_at.data();
  ASSERT_EQ(kernels::split(implementation(), job), Status::ok);
  EXPECT_EQ(generated, given);
  for (std::size_t i = 0; i < length; ++i) {
    ASSERT_EQ(generated[254][i], generated[0][i] ^ generated[1][i] ^ data_[i]) << "column " << i;
  }
}

TEST_P(Jobs, GivenRandomBlocksWinOverTheGenerator) {
  kernels::SplitJob job = split_job();
  job.pads = nullptr;
  job.tagging = nullptr;
  job.generator = &generator_;
  const std::uint64_t left = generator_.blocks_left();
  EXPECT_EQ(kernels::split(implementation(), job), Status::ok);
  EXPECT_EQ(shares_[0], blocks_[0]);
  EXPECT_EQ(shares_[1], blocks_[1]);
  EXPECT_EQ(generator_.blocks_left(), left);
}

TEST_P(Jobs, RecoverRefusesWhatIsMissing) {
  using Job = kernels::RecoverJob;
  const std::vector<void (*)(Job&)> removals{
      [](Job& job) { job.transform = nullptr; },
      [](Job& job) { job.shares = nullptr; },
      [](Job& job) { job.data = nullptr; },
      [](Job& job) { job.tags = nullptr; },
  };
  for (const auto remove : removals) {
    Job job = recover_job();
    remove(job);
    expect_refused(job, Status::missing_buffer);
  }
  Job job = recover_job();
  job.length = 0;
  expect_refused(job, Status::length_is_zero);
  for (unsigned i = 0; i < 3; ++i) {
    inputs_at_[i] = nullptr;
    expect_refused(recover_job(), Status::missing_buffer);
    inputs_at_[i] = shares_[i].data();
    pads_at_[i] = nullptr;
    expect_refused(recover_job(), Status::missing_buffer);
    pads_at_[i] = pads_[i].data();
    tagging_[i].mask = nullptr;
    expect_refused(recover_job(), Status::missing_buffer);
    tagging_[i].mask = r_.data();
  }
  out_at_ = nullptr;
  expect_refused(recover_job(), Status::missing_buffer);
}

TEST_P(Jobs, SmallOperationsRefuseWhatIsMissing) {
  const kernels::Implementation& impl = implementation();
  std::uint8_t* out = out_.data();
  const std::uint8_t* in = data_.data();
  EXPECT_EQ(kernels::pad(impl, nullptr, in, out, length), Status::missing_buffer);
  EXPECT_EQ(kernels::pad(impl, in, nullptr, out, length), Status::missing_buffer);
  EXPECT_EQ(kernels::pad(impl, in, in, nullptr, length), Status::missing_buffer);
  EXPECT_EQ(kernels::pad(impl, in, in, out, 0), Status::length_is_zero);
  EXPECT_EQ(kernels::random(impl, generator_, nullptr, length), Status::missing_buffer);
  EXPECT_EQ(kernels::random(impl, generator_, out, 0), Status::length_is_zero);
  EXPECT_EQ(kernels::tag(impl, tagging_[0], nullptr, length, out), Status::missing_buffer);
  EXPECT_EQ(kernels::tag(impl, tagging_[0], in, length, nullptr), Status::missing_buffer);
  EXPECT_EQ(kernels::tag(impl, tagging_[0], in, 0, out), Status::length_is_zero);
  EXPECT_EQ(kernels::tag(impl, {}, in, length, out), Status::missing_buffer);
  EXPECT_EQ(kernels::tag(impl, {&key_, nullptr, 1, r_.data()}, in, length, out), Status::missing_buffer);
  EXPECT_EQ(kernels::tag(impl, {&key_, nullptr, 0, nullptr}, in, length, out), Status::missing_buffer);
  EXPECT_EQ(kernels::verify(impl, tagging_[0], in, length, nullptr), Status::missing_buffer);
  EXPECT_EQ(kernels::verify(impl, tagging_[0], in, 0, out), Status::length_is_zero);
  EXPECT_EQ(kernels::dot(impl, *recover_transform_, inputs_at_.data(), nullptr, length),
            Status::missing_buffer);
  EXPECT_EQ(kernels::dot(impl, *recover_transform_, nullptr, &out, length), Status::missing_buffer);
  EXPECT_EQ(kernels::dot(impl, *recover_transform_, inputs_at_.data(), &out, 0), Status::length_is_zero);
  const auto syndromes = std::make_unique<kernels::Transform>();
  ASSERT_EQ(syndromes->make_syndromes(code_, Bytes{1, 2, 3, 4}), Status::ok);
  std::size_t first_bad = 0;
  EXPECT_EQ(kernels::check(impl, *syndromes, nullptr, length, first_bad), Status::missing_buffer);
  EXPECT_EQ(kernels::check(impl, *syndromes, inputs_at_.data(), 0, first_bad), Status::length_is_zero);
  inputs_at_[3] = nullptr;
  EXPECT_EQ(kernels::check(impl, *syndromes, inputs_at_.data(), length, first_bad), Status::missing_buffer);
  EXPECT_EQ(out_, Bytes(length, 0xEE));
}

TEST_P(Jobs, AKeyOfAnotherImplementationStops) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (const kernels::Implementation* other : kernels::implementations()) {
    if (other == &implementation() || !kernels::supported(*other)) continue;
    EXPECT_DEATH(kernels::tag(*other, tagging_[0], data_.data(), length, out_.data()),
                 "another|expanded|owner");
    return;
  }
  GTEST_SKIP() << "there is no second implementation on this CPU";
}

// Under a key of zeros the tag would be the mask itself.
TEST_P(Jobs, AnErasedKeyStops) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  key_.erase();
  EXPECT_DEATH(kernels::tag(implementation(), tagging_[0], data_.data(), length, out_.data()), "expanded");
}

// A single output may be any one input or pad; here each input of dot in turn, for several shapes.
TEST_P(Jobs, DotMayReplaceAnyOneInput) {
  const auto transform = std::make_unique<kernels::Transform>();
  for (const unsigned columns : {1U, 2U, 3U, 4U, 5U, 6U, 9U, 17U}) {
    for (const unsigned size : {1U, 63U, 64U, 65U, 200U, 1408U}) {
      std::vector<reference::Matrix> matrices(3, reference::Matrix(1, columns));
      random_.fill(matrices[0].entries.data(), columns);
      matrices[1].entries.assign(columns, 1);
      matrices[2].at(0, columns / 2) = 1;  // a copy
      for (const reference::Matrix& matrix : matrices) {
        ASSERT_EQ(transform->make_matrix(matrix.entries, 1, columns), Status::ok);
        for (unsigned replaced = 0; replaced < columns; ++replaced) {
          std::vector<Bytes> in(columns);
          for (Bytes& block : in) block = random_.bytes(size);
          const Bytes expected = reference::combine(matrix, in)[0];
          std::vector<const std::uint8_t*> in_at;
          for (const Bytes& block : in) in_at.push_back(block.data());
          std::uint8_t* out = in[replaced].data();
          ASSERT_EQ(kernels::dot(implementation(), *transform, in_at.data(), &out, size), Status::ok);
          ASSERT_EQ(in[replaced], expected) << columns << " columns, " << size << " bytes, over " << replaced;
        }
      }
    }
  }
}

// The only output of a keep split, over its data, over a random block and over its pad.
TEST_P(Jobs, ASplitWithOneOutputMayReplaceAnyOneInput) {
  kernels::Code code;
  ASSERT_EQ(kernels::Code::make(kernels::Scheme::systematic, 3, 3, 1, code), Status::ok);
  ASSERT_EQ(split_transform_->make_split_keep(code), Status::ok);
  ASSERT_EQ(split_transform_->rows(), 1U);
  for (unsigned replaced = 0; replaced < 4; ++replaced) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{64}, std::size_t{333}, std::size_t{1408}}) {
      std::vector<Bytes> buffer(4);  // random, random, data, pad
      for (Bytes& block : buffer) block = random_.bytes(size);
      Bytes expected(size);
      for (const Bytes& block : buffer) expected = reference::exclusive_or(expected, block);  // row k is ones
      const std::array<const std::uint8_t*, 2> random_at{buffer[0].data(), buffer[1].data()};
      const std::uint8_t* data = buffer[2].data();
      const std::uint8_t* pad = buffer[3].data();
      std::uint8_t* out = buffer[replaced].data();
      kernels::SplitJob job;
      job.transform = split_transform_.get();
      job.code = &code;
      job.data = &data;
      job.random = random_at.data();
      job.pads = &pad;
      job.shares = &out;
      job.tagging = tagging_.data();
      job.tags = tags_;
      job.length = size;
      ASSERT_EQ(kernels::split(implementation(), job), Status::ok);
      ASSERT_EQ(buffer[replaced], expected) << size << " bytes, replaced " << replaced;
      EXPECT_EQ(kernels::verify(implementation(), tagging_[0], out, size, tags_[0]), Status::ok);
    }
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(Jobs);

}  // namespace
