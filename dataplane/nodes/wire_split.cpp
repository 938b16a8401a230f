// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

// Cells that are fetched at a time: 64 blocks of (3,5), or at least one block of any scheme.
constexpr std::size_t cells_max = 320;

// Splits until nothing is left to split, or something is missing. False: that.
bool split_all(WireStreamWorker& stream, JobBurst& burst) noexcept {
  protocol::BlockSplitter& splitter = stream.session->splitter;
  protocol::Cell* cells[cells_max];
  ssn_offload_job* jobs[protocol::BlockSplitter::max_burst];
  const std::uint64_t now = burst.worker().now_ns();
  while (const std::size_t wanted = splitter.wanted(stream.packer)) {
    const std::size_t fresh = stream.fresh_shares({cells, std::min(wanted, cells_max)});
    const protocol::BlockSplitter::Prepared prepared =
        splitter.prepare(stream.packer, {cells, fresh}, jobs, now);
    for (std::size_t i = prepared.cells; i < fresh; ++i) release(packet_of(*cells[i]));
    burst.send_jobs(wire_split_submit, jobs, static_cast<std::uint16_t>(prepared.jobs));
    if (prepared.cells == 0) return splitter.wanted(stream.packer) == 0;
  }
  return true;
}

std::uint16_t split(WireStreamWorker& stream, JobBurst& burst) {
  stream.worker->dirty = true;
  if (!stream.can_send()) return burst.size();
  stream.packer.flush(burst.worker().now_ns());
  stream.waits = !split_all(stream, burst);
  // Blocks that the CPU did without a job, and cells of failed ones.
  burst.nudge(wire_split_send);
  return burst.size();
}

constexpr Edge edges[] = {{"submit"}, {"send"}};

}  // namespace

const NodeType wire_split_type = job_type<split>("wire_split", edges);

}  // namespace ssn::dataplane
