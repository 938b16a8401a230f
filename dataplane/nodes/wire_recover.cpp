// SPDX-License-Identifier: BSD-3-Clause
#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

std::uint16_t recover(WireStreamWorker& stream, JobBurst& burst) {
  if (stream.session == nullptr) return burst.size();
  ssn_offload_job* jobs[Burst::chunk];
  std::size_t count = 0;
  do {
    count = stream.session->collector.prepare(jobs, burst.worker().now_ns());
    burst.send_jobs(wire_recover_submit, jobs, static_cast<std::uint16_t>(count));
  } while (count == Burst::chunk);
  burst.nudge(wire_recover_unpack);
  return burst.size();
}

constexpr Edge edges[] = {{"submit"}, {"unpack"}};

}  // namespace

const NodeType wire_recover_type = job_type<recover>("wire_recover", edges);

}  // namespace ssn::dataplane
