// SPDX-License-Identifier: BSD-3-Clause
// Gives tasks to one queue, takes them back, and holds the driver to the rules of enqueue and dequeue on the
// way.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "task.h"

namespace ssn::hw::offload {

/// What went wrong in one check. Keeps the first few texts.
class Findings {
 public:
  void add(std::string text);
  bool none() const noexcept { return count_ == 0; }
  std::string summary() const;
  void merge(const Findings& other);

 private:
  static constexpr std::size_t texts_max = 3;
  std::vector<std::string> texts_;
  std::uint64_t count_ = 0;
};

/// Nanoseconds of CLOCK_MONOTONIC.
std::uint64_t monotonic_now() noexcept;

class Harness {
 public:
  /// How jobs are given and taken.
  struct Pattern {
    std::uint32_t burst = 32;
    std::uint32_t capacity = 32;
    std::uint32_t in_flight = UINT32_MAX;  ///< most at a time; the queue's depth is the other limit
  };

  Harness(const OffloadDevice& device, const OffloadQueue& queue, std::uint32_t depth,
          unsigned patience_seconds, Findings& findings)
      : driver_(device.driver()),
        info_(device.info()),
        queue_(queue.get()),
        depth_(depth),
        patience_(std::uint64_t{patience_seconds} * 1000000000),
        findings_(findings) {}

  /// Gives all tasks, takes all back, and compares what they are with what they should be. False when jobs
  /// were lost: the queue must then be closed before their memory is used again.
  bool run(std::span<Task* const> tasks, const Pattern& pattern);
  /// Takes back what is in flight.
  bool drain(std::uint32_t capacity = 32);
  /// Compares again: what came back must not have changed since.
  void verify_again(std::span<Task* const> tasks);

  /// One call. Returns how many the device took.
  std::uint32_t enqueue(std::span<Task* const> tasks);
  std::uint32_t dequeue(std::uint32_t capacity);
  void cancel();
  /// Between calls without progress. False when the patience is over.
  bool wait() { return !waited_in_vain(false); }

  std::uint32_t in_flight() const noexcept { return static_cast<std::uint32_t>(outstanding_.size()); }
  std::uint32_t held_first() const noexcept { return held_first_; }
  std::uint32_t late() const noexcept { return late_; }
  std::uint32_t cancelled() const noexcept { return cancelled_; }
  bool lost() const noexcept { return lost_; }

 private:
  void sort_accepted(std::span<Task* const> tasks, std::uint32_t accepted, std::uint32_t completed,
                     std::uint64_t now);
  void take_back(ssn_offload_job* job, std::uint64_t now);
  void hold(Task& task, std::uint64_t now);
  void finish(Task& task, std::uint64_t now);
  bool ended_early(const Task& task, std::uint64_t now);
  void check_order(const Task& task);
  void check_deadlines(std::uint64_t now);
  bool waited_in_vain(bool progress);

  const ssn_offload_driver& driver_;
  const ssn_offload_device_info& info_;
  ssn_offload_queue* queue_;
  std::uint32_t depth_;
  std::uint64_t patience_;
  Findings& findings_;
  std::unordered_map<const ssn_offload_job*, Task*> outstanding_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t last_given_ = 0;
  std::uint64_t last_progress_ = 0;
  std::uint32_t deadlines_ = 0;  // in flight with one
  std::uint32_t held_first_ = 0;
  std::uint32_t late_ = 0;
  std::uint32_t cancelled_ = 0;
  bool cancel_called_ = false;
  bool lost_ = false;
};

}  // namespace ssn::hw::offload
