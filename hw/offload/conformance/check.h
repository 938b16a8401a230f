// SPDX-License-Identifier: BSD-3-Clause
// What the checks share. A check is one function; the list of them is in conformance.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance.h"
#include "harness.h"

namespace ssn::hw::offload {

/// What one check found.
struct Check {
  Findings findings;
  std::string skipped;  ///< why, when it could not be done
  std::string note;     ///< what was left out
};

struct Context {
  const OffloadDevice::Options& options;  ///< to open the driver once more
  OffloadDevice& device;
  Arena& arena;
  TaskMaker& maker;
  std::uint32_t memory;  ///< the arena's handle
  unsigned patience_seconds;
  bool lost = false;  ///< a job did not come back: what needs jobs is not checked any more

  const ssn_offload_device_info& info() const noexcept { return device.info(); }
  Random& random() noexcept { return maker.random(); }
  bool has(ssn_offload_operation operation) const noexcept {
    return ssn_offload_is_in(operation, info().operations);
  }
  bool asynchronous() const noexcept { return info().completion == SSN_OFFLOAD_ASYNCHRONOUS; }

  /// A length near `wanted` that the device takes.
  std::uint32_t length_near(std::uint32_t wanted) const noexcept;
  /// A shape of that operation as close to k = 3, n = 5 as the device can, short.
  Shape small_shape(ssn_offload_operation operation) const noexcept;
  /// The i-th operation of those that the device has, in turn.
  ssn_offload_operation operation(std::uint32_t i) const noexcept;
  /// Up to `wanted` short tasks of all operations; fewer when the arena is full.
  std::vector<std::unique_ptr<Task>> small_tasks(std::uint32_t wanted);
  /// A queue with CLOCK_MONOTONIC; a finding where it cannot be opened.
  std::optional<OffloadQueue> open_queue(std::uint32_t depth, Check& check);
  /// A depth that the device has, near `wanted`.
  std::uint32_t depth_near(std::uint32_t wanted) const noexcept;
  /// Runs tasks through a queue of their own, then looks for writes beside the buffers.
  void run(std::vector<std::unique_ptr<Task>>& tasks, std::uint32_t depth, const Harness::Pattern& pattern,
           Check& check);
};

std::vector<Task*> pointers(const std::vector<std::unique_ptr<Task>>& tasks);

// checks_control.cpp
void check_description(Context& context, Check& check);
void check_settings(Context& context, Check& check);
void check_matrices(Context& context, Check& check);
void check_tag_keys(Context& context, Check& check);
void check_memory(Context& context, Check& check);
void check_queues(Context& context, Check& check);
void check_reopen(Context& context, Check& check);

// checks_results.cpp
template <ssn_offload_operation operation>
void check_results(Context& context, Check& check);
void check_scatter(Context& context, Check& check);
void check_in_place(Context& context, Check& check);
void check_tags(Context& context, Check& check);

// checks_refusals.cpp
void check_refusals(Context& context, Check& check);
void check_unsupported(Context& context, Check& check);
void check_unregistered(Context& context, Check& check);

// checks_queue.cpp
void check_bursts(Context& context, Check& check);
void check_in_flight(Context& context, Check& check);
void check_back_pressure(Context& context, Check& check);
void check_order(Context& context, Check& check);
void check_parallel(Context& context, Check& check);
void check_deadline_passed(Context& context, Check& check);
void check_deadline_near(Context& context, Check& check);
void check_deadline_far(Context& context, Check& check);
void check_cancel(Context& context, Check& check);
void check_teardown(Context& context, Check& check);

}  // namespace ssn::hw::offload
