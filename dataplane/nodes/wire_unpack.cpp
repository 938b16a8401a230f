// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

// Frames of the blocks whose turn it is.
void unpack_frames(WireStreamWorker& stream, Burst& burst) noexcept {
  StreamSession& session = *stream.session;
  protocol::Cell* frames[Burst::chunk + 1];
  Packet* packets[Burst::chunk + 1];
  std::size_t taken = 0;
  do {
    stream.fill_spare();
    const std::size_t offered = stream.spare_count;
    stream.starved = offered == 0;
    if (stream.starved) return;  // wire_timer comes back
    std::size_t count = 0;
    taken = session.unpacker.unpack(session.collector, {stream.spare.data(), offered}, frames, count);
    // Those that are left move to the front.
    std::copy(stream.spare.begin() + static_cast<std::ptrdiff_t>(taken),
              stream.spare.begin() + static_cast<std::ptrdiff_t>(offered), stream.spare.begin());
    stream.spare_count = offered - taken;
    for (std::size_t i = 0; i < count; ++i) {
      packets[i] = &packet_of(*frames[i]);
      frame_packet(*packets[i], frames[i]->data, frames[i]->length);
    }
    burst.begin_trace(packets, static_cast<std::uint16_t>(count));
    burst.send(wire_unpack_port, packets, static_cast<std::uint16_t>(count));
    if (taken != offered) break;
  } while (true);
}

std::uint16_t unpack(WireStreamWorker& stream, JobBurst& burst) {
  if (stream.session == nullptr) return burst.size();
  stream.worker->dirty = true;  // also where nothing comes any more, and blocks are given up
  const std::uint64_t now = burst.worker().now_ns();
  protocol::BlockCollector& collector = stream.session->collector;
  ssn_offload_job* jobs[Burst::chunk];
  std::size_t count = 0;
  for (std::uint16_t i = 0; i < burst.size(); ++i) {
    if (burst.jobs()[i] != nullptr) jobs[count++] = burst.jobs()[i];
    if (count == Burst::chunk) {
      collector.finish({jobs, count}, now);
      count = 0;
    }
  }
  collector.finish({jobs, count}, now);
  collector.advance(now);
  unpack_frames(stream, burst.packets());
  release_cells(collector, burst.packets(), wire_unpack_drop);
  return burst.size();
}

const std::array<Edge, wire_unpack_drop + protocol_drops> edges = [] {
  std::array<Edge, wire_unpack_drop + protocol_drops> all;
  all[wire_unpack_port] = {"port"};
  const ProtocolDropEdges drops = protocol_drop_edges();
  std::copy(drops.begin(), drops.end(), all.begin() + wire_unpack_drop);
  return all;
}();

}  // namespace

const NodeType wire_unpack_type = job_type<unpack>("wire_unpack", edges);

}  // namespace ssn::dataplane
