// SPDX-License-Identifier: BSD-3-Clause
#include "offload_submit.h"

#include <algorithm>
#include <cassert>

namespace ssn::dataplane {
namespace {

std::uint16_t edge_of(const ssn_offload_job& job) noexcept {
  return static_cast<const JobTarget*>(job.context)->edge;
}

// Of jobs that the queue accepted and did not complete all of: those that are.
void route_completed(JobBurst& burst, ssn_offload_job* const* jobs, std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (jobs[i]->status != SSN_AGAIN && !jobs[i]->held) route_jobs(burst, jobs + i, 1);
  }
}

// The device was given up since they were made: the CPU does them.
void route_undone(JobBurst& burst, ssn_offload_job* const* jobs, std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    jobs[i]->status = SSN_UNAVAILABLE;
    jobs[i]->held = false;
  }
  route_jobs(burst, jobs, count);
}

std::uint16_t submit(OffloadWorker& offload, JobBurst& burst) {
  submit_jobs(offload, burst, burst.jobs(), burst.size());
  return burst.size();
}

}  // namespace

void route_jobs(JobBurst& burst, ssn_offload_job* const* jobs, std::uint32_t count) noexcept {
  for (std::uint32_t begin = 0; begin < count;) {
    std::uint32_t end = begin + 1;
    while (end < count && edge_of(*jobs[end]) == edge_of(*jobs[begin])) ++end;
    burst.send_jobs(edge_of(*jobs[begin]), jobs + begin, static_cast<std::uint16_t>(end - begin));
    begin = end;
  }
}

void submit_jobs(OffloadWorker& offload, JobBurst& burst, ssn_offload_job* const* jobs,
                 std::uint32_t count) noexcept {
  offload.jobs += count;
  if (!offload.queue.is_open()) return route_undone(burst, jobs, count);
  // What came first is offered first.
  if (!offload.backlog.empty()) {
    assert(offload.backlog.size() + count <= offload.backlog.capacity() && "more jobs than there can be");
    offload.backlog.insert(offload.backlog.end(), jobs, jobs + count);
    jobs = offload.backlog.data();
    count = static_cast<std::uint32_t>(offload.backlog.size());
  }
  const std::uint64_t now = burst.worker().now_ns();
  std::uint32_t taken = 0;
  while (taken < count) {
    std::uint32_t completed = 0;
    const std::uint32_t accepted = offload.queue.enqueue(jobs + taken, count - taken, now, completed);
    if (completed == accepted) {
      route_jobs(burst, jobs + taken, accepted);
    } else {
      route_completed(burst, jobs + taken, accepted);
      offload.in_flight += accepted - completed;
    }
    taken += accepted;
    if (accepted == 0) {
      ++offload.turned_away;
      break;
    }
  }
  if (jobs == offload.backlog.data()) {
    offload.backlog.erase(offload.backlog.begin(), offload.backlog.begin() + taken);
  } else {
    assert(offload.backlog.size() + (count - taken) <= offload.backlog.capacity());
    offload.backlog.insert(offload.backlog.end(), jobs + taken, jobs + count);
  }
}

const NodeType offload_submit_type = job_type<submit>("offload_submit", {});

}  // namespace ssn::dataplane
