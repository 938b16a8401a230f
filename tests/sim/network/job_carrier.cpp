// SPDX-License-Identifier: BSD-3-Clause
#include "job_carrier.h"

#include <algorithm>

namespace ssn::sim {

JobCarrier::JobCarrier(hw::OffloadDevice* device, const OffloadPlan& plan, Recorder& recorder, Marks& marks,
                       const Ksid& d, const Ksid& a)
    : recorder_(recorder), marks_(marks), d_(d), a_(a), deadline_ns_(plan.deadline_ns) {
  if (device == nullptr) return;
  Result<protocol::OffloadTagKeys> keys = protocol::OffloadTagKeys::make(*device);
  Result<hw::OffloadQueue> queue = device->open_queue({plan.depth, -1, -1});
  if (!keys.ok() || !queue.ok()) {
    recorder.violation("an offload queue cannot be opened");
    return;
  }
  tag_keys_ = std::move(keys.value());
  queue_ = std::move(queue.value());
}

protocol::OffloadUse JobCarrier::use() noexcept {
  protocol::OffloadUse use;
  if (!queue_.is_open()) return use;
  use.queue = &queue_;
  use.deadline_ns = deadline_ns_;
  return use;
}

void JobCarrier::completed(ssn_offload_job& job) {
  if (job.held) marks_.hit("job held after its time");
  if (!job.held) with_device_.erase(&job);
  if (job.status != SSN_OK && job.status != SSN_INTEGRITY) recorder_.failed(d_, job);
}

std::vector<ssn_offload_job*> JobCarrier::carry(std::span<ssn_offload_job* const> jobs, std::uint64_t now) {
  std::vector<ssn_offload_job*> done;
  waiting_.insert(waiting_.end(), jobs.begin(), jobs.end());
  while (!waiting_.empty()) {
    const std::vector<ssn_offload_job*> offered(waiting_.begin(), waiting_.end());
    std::uint32_t count = 0;
    const std::uint32_t accepted =
        queue_.enqueue(offered.data(), static_cast<std::uint32_t>(offered.size()), now, count);
    if (accepted < offered.size()) marks_.hit("job not accepted at once");
    if (accepted == 0) break;
    marks_.hit("job completed inline", count);
    for (std::uint32_t i = 0; i < accepted; ++i) {
      recorder_.submitted(d_, a_, *offered[i]);
      if (offered[i]->status == SSN_AGAIN) {
        with_device_.insert(offered[i]);
        continue;
      }
      completed(*offered[i]);
      done.push_back(offered[i]);
    }
    if (done.size() < count) recorder_.violation("a device completed fewer jobs than it said");
    waiting_.erase(waiting_.begin(), waiting_.begin() + accepted);
  }
  return done;
}

std::vector<ssn_offload_job*> JobCarrier::collect(std::uint64_t now) {
  std::vector<ssn_offload_job*> jobs;
  if (!queue_.is_open()) return jobs;
  jobs.resize(64);
  jobs.resize(queue_.dequeue(jobs.data(), static_cast<std::uint32_t>(jobs.size()), now));
  marks_.hit("job completed later", jobs.size());
  for (ssn_offload_job* const job : jobs) completed(*job);
  return jobs;
}

// Whatever the device makes of these jobs later, their pads are burnt.
std::uint64_t JobCarrier::lost_before(std::uint64_t now) {
  const std::uint64_t before = now - std::min(now, deadline_ns_);
  for (const ssn_offload_job* const job : with_device_) {
    if (job->status != SSN_AGAIN || job->deadline == 0 || job->deadline >= before) continue;
    recorder_.failed(d_, *job);
    marks_.hit("job lost by its device");
  }
  return before;
}

bool JobCarrier::is_hopeless(const protocol::OverdueJobs& overdue, std::uint64_t now) {
  if (!queue_.is_open() || overdue.jobs == 0 || overdue.since + patience_ns >= now) return false;
  marks_.hit("device given up");
  for (const ssn_offload_job* const job : with_device_) recorder_.failed(d_, *job);
  return true;
}

void JobCarrier::close() {
  queue_.close();
  waiting_.clear();
  with_device_.clear();
}

}  // namespace ssn::sim
