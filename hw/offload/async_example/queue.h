// SPDX-License-Identifier: BSD-3-Clause
// One queue and the thread that stands for the device behind it. Host and device meet in two rings of slot
// numbers and in the state of each slot; nothing on the host's side waits, allocates or calls the system.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "engine.h"

namespace async_example {

/// One producer, one consumer.
class SlotRing {
 public:
  /// Holds at least `slots` numbers.
  explicit SlotRing(std::uint32_t slots);
  void push(std::uint32_t slot) noexcept;
  /// False when it is empty.
  bool pop(std::uint32_t& slot) noexcept;

 private:
  std::vector<std::uint32_t> entries_;
  std::uint32_t mask_;
  alignas(64) std::atomic<std::uint32_t> head_{0};  // written by the consumer
  alignas(64) std::atomic<std::uint32_t> tail_{0};  // written by the producer
};

class Queue {
 public:
  struct Options {
    std::uint32_t depth = 1;
    std::uint64_t seed = 0;
    std::uint32_t delay_us = 0;  ///< that the device takes for each job beside computing
  };

  Queue(const ssn::kernels::Implementation& implementation, const Options& options);
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  /// Stops the device after the job that it is at.
  ~Queue();

  bool ready() const noexcept { return engine_.ready(); }
  void start();

  bool full() const noexcept { return free_.empty(); }
  /// Not while full(). The job was checked.
  void submit(ssn_offload_job& job) noexcept;
  std::uint32_t dequeue(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept;
  void cancel() noexcept;

 private:
  // A slot is the device's from queued on, until it comes back through the completion ring; only `taken_back`
  // is set by the host meanwhile, and only while the device has not begun.
  enum class State : std::uint8_t { queued, running, done, taken_back };
  struct Slot {
    std::atomic<State> state{State::done};
    ssn_offload_job* job = nullptr;
    Result result{};
    // The host's alone.
    bool in_use = false;
    bool given_back = false;       // finally; the slot only waits for the device
    ssn_status given_as = SSN_OK;  // SSN_TIMEOUT once it was given back as held
    bool cancelled = false;        // taken back, to be given back with SSN_CANCELLED
  };

  bool take_back(Slot& slot) noexcept;
  ssn_offload_job* complete(Slot& slot) noexcept;
  std::uint32_t dequeue_late(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept;
  ssn_offload_job* give_late(Slot& slot) noexcept;
  void device_thread() noexcept;
  void process(std::uint32_t slot) noexcept;
  void wait_delay() const noexcept;

  Options options_;
  Engine engine_;
  std::unique_ptr<Slot[]> slots_;
  std::vector<std::uint32_t> free_;
  SlotRing submitted_;
  SlotRing completed_;
  std::uint64_t earliest_deadline_ = UINT64_MAX;
  bool any_cancelled_ = false;
  std::atomic<bool> stop_{false};
  std::thread device_;
};

}  // namespace async_example
