// SPDX-License-Identifier: BSD-3-Clause
// What the conformance suite leaves to chance: late jobs that a device still holds, against numbers worked
// out by hand.
#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "ssn/hw/offload_device.h"
#include "ssn/hw/ring_memory.h"

namespace ssn::hw {
namespace {

// One registered page with a job in it: seal of 16 bytes, in + pad.
class SealJob {
 public:
  SealJob(OffloadDevice& device, std::uint8_t* at) : in_(at), out_(at + 64), pad_(at + 128) {
    std::array<std::uint8_t, 16> r{};
    r[0] = 0x80;  // the polynomial 1: GHASH is then the XOR of all blocks
    Result<OffloadTagKey> key = device.prepare_tag_key(r);
    EXPECT_TRUE(key.ok());
    key_ = std::move(key.value());
    for (std::uint8_t i = 0; i < 16; ++i) {
      in_[i] = i;
      pad_[i] = 0xF0;
      out_[i] = 0xEE;
      at[192 + i] = 0;  // the mask
      at[256 + i] = 0xEE;
    }
  }

  void place(std::uint32_t memory) {
    buffers_ = {ssn_offload_whole(in_, memory), ssn_offload_whole(out_, memory),
                ssn_offload_whole(pad_, memory)};
    tagging_.key = key_.get();
    tagging_.mask = in_ + 192;
    tagging_.tag = in_ + 256;
    tagging_.mask_memory = tagging_.tag_memory = memory;
    job.operation = SSN_OFFLOAD_SEAL;
    job.length = 16;
    job.input_count = job.output_count = 1;
    job.inputs = &buffers_[0];
    job.outputs = &buffers_[1];
    job.pads = &buffers_[2];
    job.tagging = &tagging_;
  }

  // Data in, pad put on; the tag is the ciphertext XOR the block of lengths, whose last bytes say 128 bits.
  void expect_sealed() const {
    for (std::uint8_t i = 0; i < 16; ++i) {
      const auto sealed = static_cast<std::uint8_t>(i ^ 0xF0);
      EXPECT_EQ(out_[i], sealed);
      EXPECT_EQ(in_[256 + i], i == 15 ? sealed ^ 0x80 : sealed);
    }
  }

  ssn_offload_job job{};

 private:
  std::uint8_t* in_;
  std::uint8_t* out_;
  std::uint8_t* pad_;
  OffloadTagKey key_;
  std::array<ssn_offload_buffer, 3> buffers_{};
  ssn_offload_tagging tagging_{};
};

struct Bench {
  explicit Bench(const OffloadDevice::Options& options, std::uint32_t depth = 4)
      : memory(std::move(RingMemory::make(4096, RingMemory::Pages::normal).value())),
        device(std::move(OffloadDevice::open(options).value())),
        registration(std::move(device.register_memory(memory.describe()).value())),
        job(device, memory.data()),
        queue(std::move(device.open_queue({depth, -1, -1}).value())) {
    job.place(registration.get());
  }
  // With times of a clock of our own.
  std::uint32_t enqueue(std::uint64_t now) {
    std::uint32_t completed = 0;
    ssn_offload_job* const one = &job.job;
    EXPECT_EQ(queue.enqueue(&one, 1, now, completed), 1U);
    return completed;
  }
  ssn_offload_job* dequeue(std::uint64_t now) {
    ssn_offload_job* one = nullptr;
    return queue.dequeue(&one, 1, now) == 1 ? one : nullptr;
  }
  ssn_offload_job* wait(std::uint64_t now) {
    ssn_offload_job* given = nullptr;
    while ((given = dequeue(now)) == nullptr) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return given;
  }

  RingMemory memory;
  OffloadDevice device;
  OffloadMemory registration;
  SealJob job;
  OffloadQueue queue;
};

TEST(OffloadCpu, CompletesWithinEnqueue) {
  Bench bench({.driver = "cpu"});
  EXPECT_EQ(bench.enqueue(0), 1U);
  EXPECT_EQ(bench.job.job.status, SSN_OK);
  bench.job.expect_sealed();
  EXPECT_EQ(bench.dequeue(0), nullptr);
}

TEST(OffloadCpu, TakesMoreThanTheDepthOfItsQueue) {
  Bench bench({.driver = "cpu"}, 1);
  std::vector<ssn_offload_job*> jobs(100, &bench.job.job);
  std::uint32_t completed = 0;
  EXPECT_EQ(bench.queue.enqueue(jobs.data(), 100, 0, completed), 100U);
  EXPECT_EQ(completed, 100U);
  bench.job.expect_sealed();
}

// It keeps what it made ready for the last matrix; another may come to lie where that was.
TEST(OffloadCpu, TellsAMatrixFromOneThatWasReleased) {
  OffloadDevice device = std::move(OffloadDevice::open({.driver = "cpu"}).value());
  OffloadQueue queue = std::move(device.open_queue({1, -1, -1}).value());
  for (unsigned round = 0; round < 8; ++round) {
    const unsigned rows = 1 + round % 2;
    const std::array<std::uint8_t, 2> coefficients{static_cast<std::uint8_t>(2 + round), 3};
    OffloadMatrix matrix =
        std::move(device.prepare_matrix(std::span(coefficients).first(rows), rows, 1).value());
    std::uint8_t in = 1;
    std::array<std::uint8_t, 2> out{};
    const ssn_offload_buffer input = ssn_offload_whole(&in, SSN_OFFLOAD_UNREGISTERED);
    const std::array<ssn_offload_buffer, 2> outputs{ssn_offload_whole(&out[0], SSN_OFFLOAD_UNREGISTERED),
                                                    ssn_offload_whole(&out[1], SSN_OFFLOAD_UNREGISTERED)};
    ssn_offload_job job{};
    job.operation = SSN_OFFLOAD_DOT;
    job.length = 1;
    job.matrix = matrix.get();
    job.input_count = 1;
    job.output_count = static_cast<std::uint16_t>(rows);
    job.inputs = &input;
    job.outputs = outputs.data();
    ssn_offload_job* one = &job;
    std::uint32_t completed = 0;
    ASSERT_EQ(queue.enqueue(&one, 1, 0, completed), 1U);
    EXPECT_EQ(job.status, SSN_OK);
    EXPECT_EQ(out[0], 2 + round) << round;
    EXPECT_EQ(out[1], rows == 2 ? 3 : 0) << round;
  }
}

TEST(OffloadAsyncExample, CompletesLater) {
  Bench bench({.driver = "async-example"});
  EXPECT_EQ(bench.enqueue(0), 0U);
  EXPECT_EQ(bench.job.job.status, SSN_AGAIN);
  EXPECT_EQ(bench.wait(0), &bench.job.job);
  EXPECT_EQ(bench.job.job.status, SSN_OK);
  bench.job.expect_sealed();
}

TEST(OffloadAsyncExample, SaysWhenItHoldsALateJobAndWhenNoLonger) {
  Bench bench({.driver = "async-example", .settings = {{"delay_us", "300000"}}});
  bench.job.job.deadline = 100;
  EXPECT_EQ(bench.enqueue(1), 0U);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // usually enough for the device to begin
  EXPECT_EQ(bench.dequeue(99), nullptr);
  ASSERT_EQ(bench.dequeue(100), &bench.job.job);
  EXPECT_EQ(bench.job.job.status, SSN_TIMEOUT);
  if (!bench.job.job.held) {
    GTEST_SKIP() << "the device's thread did not get to the job within 50 ms";
  }
  EXPECT_EQ(bench.dequeue(200), nullptr);
  EXPECT_EQ(bench.wait(300), &bench.job.job);
  EXPECT_EQ(bench.job.job.status, SSN_TIMEOUT);
  EXPECT_FALSE(bench.job.job.held);
  EXPECT_EQ(bench.dequeue(400), nullptr);
}

TEST(OffloadAsyncExample, GivesUpWhatItHasNotBegun) {
  Bench bench({.driver = "async-example", .settings = {{"delay_us", "200000"}}}, 2);
  SealJob second(bench.device, bench.memory.data() + 1024);
  second.place(bench.registration.get());
  (void)bench.enqueue(1);
  ssn_offload_job* other = &second.job;
  std::uint32_t completed = 0;
  ASSERT_EQ(bench.queue.enqueue(&other, 1, 1, completed), 1U);
  bench.queue.cancel();
  ssn_offload_job* const a = bench.wait(2);
  ssn_offload_job* const b = bench.wait(2);
  EXPECT_NE(a, b);
  // The device may have begun one of them, not both.
  EXPECT_TRUE(a->status == SSN_CANCELLED || b->status == SSN_CANCELLED);
  for (const ssn_offload_job* const job : {a, b}) {
    EXPECT_TRUE(job->status == SSN_CANCELLED || job->status == SSN_OK);
    EXPECT_FALSE(job->held);
  }
}

TEST(OffloadAsyncExample, ClosesWithinItsTimeWhileItWorks) {
  Bench bench({.driver = "async-example", .settings = {{"delay_us", "1000000"}}});
  (void)bench.enqueue(1);
  const auto begin = std::chrono::steady_clock::now();
  bench.queue.close();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took, std::chrono::nanoseconds(bench.device.info().close_ns_max));
}

TEST(OffloadFault, IsSlowOnTheClockOfTheHost) {
  Bench bench({.driver = "fault", .settings = {{"fault", "slow"}, {"one_in", "1"}, {"delay_us", "5"}}});
  EXPECT_EQ(bench.enqueue(1000), 0U);
  EXPECT_EQ(bench.dequeue(5999), nullptr);
  EXPECT_EQ(bench.dequeue(6000), &bench.job.job);
  bench.job.expect_sealed();
  bench.job.job.deadline = 9000;
  EXPECT_EQ(bench.enqueue(7000), 0U);
  EXPECT_EQ(bench.dequeue(8999), nullptr);
  ASSERT_EQ(bench.dequeue(9000), &bench.job.job);
  EXPECT_TRUE(bench.job.job.held);
  EXPECT_EQ(bench.job.job.status, SSN_TIMEOUT);
  EXPECT_EQ(bench.dequeue(11999), nullptr);
  ASSERT_EQ(bench.dequeue(12000), &bench.job.job);
  EXPECT_FALSE(bench.job.job.held);
}

TEST(OffloadFault, RefusesSettingsThatMakeNoSense) {
  const std::vector<OffloadDevice::Settings> all{{{"fault", "earthquake"}},
                                                 {{"one_in", "0"}},
                                                 {{"driver", "fault"}},
                                                 {{"driver.kernels", "abacus"}},
                                                 {{"color", "red"}}};
  for (const OffloadDevice::Settings& settings : all) {
    const Result<OffloadDevice> device = OffloadDevice::open({.driver = "fault", .settings = settings});
    ASSERT_FALSE(device.ok()) << settings[0].first;
    EXPECT_EQ(device.error().code, Exit::usage) << settings[0].first << device.error().why;
  }
}

}  // namespace
}  // namespace ssn::hw
