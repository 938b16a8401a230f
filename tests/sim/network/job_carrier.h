// SPDX-License-Identifier: BSD-3-Clause
// Carries jobs between an object of wire mode and an offload queue, as the pipeline's nodes do.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <vector>

#include "marks.h"
#include "plan.h"
#include "recorder.h"
#include "ssn/hw/offload_device.h"
#include "ssn/protocol/offload_tag_keys.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::sim {

class JobCarrier {
 public:
  /// `device`: null where there is no queue. `d`, `a`: the keys that jobs are made with.
  JobCarrier(hw::OffloadDevice* device, const OffloadPlan& plan, Recorder& recorder, Marks& marks,
             const Ksid& d, const Ksid& a);

  protocol::OffloadUse use() noexcept;
  protocol::OffloadTagKeys* tag_keys() noexcept { return queue_.is_open() ? &tag_keys_ : nullptr; }

  /// Offers `jobs` behind those that were not accepted yet; the ones that are completed at once.
  std::vector<ssn_offload_job*> carry(std::span<ssn_offload_job* const> jobs, std::uint64_t now);
  /// Those that the device gives back.
  std::vector<ssn_offload_job*> collect(std::uint64_t now);
  /// What a deadline must have passed for its job to be taken as lost, now.
  std::uint64_t lost_before(std::uint64_t now);
  /// Whether a device that owes that much is to be given up.
  bool is_hopeless(const protocol::OverdueJobs& overdue, std::uint64_t now);
  /// Nothing touches the jobs any more.
  void close();
  /// The longest that a device is late before it is given up.
  static constexpr std::uint64_t patience_ns = 3'000'000;

 private:
  void completed(ssn_offload_job& job);

  Recorder& recorder_;
  Marks& marks_;
  Ksid d_, a_;
  std::uint64_t deadline_ns_;
  // Tag keys are given back after the queue was closed.
  protocol::OffloadTagKeys tag_keys_;
  hw::OffloadQueue queue_;
  std::deque<ssn_offload_job*> waiting_;
  std::set<ssn_offload_job*> with_device_;
};

}  // namespace ssn::sim
