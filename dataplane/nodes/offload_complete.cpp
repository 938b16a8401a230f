// SPDX-License-Identifier: BSD-3-Clause
// Fetches from the offload queue what was completed since, and offers again what it had no room for. A source
// that does nothing where the device completes all jobs at once.
#include "offload_submit.h"

namespace ssn::dataplane {
namespace {

std::uint16_t complete(OffloadWorker& offload, JobBurst& burst) {
  if (offload.is_idle() || !offload.queue.is_open()) return 0;
  Worker& worker = burst.worker();
  worker.keep_awake();
  ssn_offload_job* jobs[Burst::chunk];
  std::uint32_t total = 0;
  while (offload.in_flight != 0) {
    const std::uint32_t count = offload.queue.dequeue(jobs, Burst::chunk, worker.now_ns());
    // What is held comes once more.
    for (std::uint32_t i = 0; i < count; ++i) offload.in_flight -= jobs[i]->held ? 0 : 1;
    route_jobs(burst, jobs, count);
    total += count;
    if (count < Burst::chunk) break;
  }
  offload.asked_ns = worker.now_ns();
  if (!offload.backlog.empty()) submit_jobs(offload, burst, nullptr, 0);
  if (total != 0) worker.note_work();
  return static_cast<std::uint16_t>(total);
}

}  // namespace

const NodeType offload_complete_type = job_source_type<complete>("offload_complete", {});

}  // namespace ssn::dataplane
