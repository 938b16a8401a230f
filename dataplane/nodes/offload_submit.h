// SPDX-License-Identifier: BSD-3-Clause
// Gives jobs to the worker's offload queue. Those that the device completes at once, as the CPU does, go on
// along the edge that their target names; so do those that offload_complete fetches later. Both nodes have
// the same edges in the same order.
#pragma once

#include "ssn/dataplane/job_burst.h"
#include "ssn/dataplane/wire_worker.h"

namespace ssn::dataplane {

/// Offers jobs until the queue takes no more; sends on what it completed.
void submit_jobs(OffloadWorker& offload, JobBurst& burst, ssn_offload_job* const* jobs,
                 std::uint32_t count) noexcept;
/// Sends completed jobs to where they belong.
void route_jobs(JobBurst& burst, ssn_offload_job* const* jobs, std::uint32_t count) noexcept;

extern const NodeType offload_submit_type;
extern const NodeType offload_complete_type;

}  // namespace ssn::dataplane
