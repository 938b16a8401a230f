// SPDX-License-Identifier: BSD-3-Clause
#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

void send_sealed(WireStreamWorker& stream, protocol::BlockSplitter& splitter, Burst& burst) noexcept {
  protocol::Cell* cells[Burst::chunk];
  Packet* packets[Burst::chunk];
  while (const std::size_t count = splitter.take_sealed(cells)) {
    for (std::size_t i = 0; i < count; ++i) {
      protocol::Cell& cell = *cells[i];
      Packet& packet = packet_of(cell);
      frame_packet(packet, cell.packet(), cell.packet_bytes());
      area_of(packet).stream =
          static_cast<std::uint16_t>(stream.plan->links[cell.header.placement.share - 1U]);
      packets[i] = &packet;
    }
    burst.begin_trace(packets, static_cast<std::uint16_t>(count));
    burst.send(wire_send_link, packets, static_cast<std::uint16_t>(count));
  }
}

std::uint16_t send(WireStreamWorker& stream, JobBurst& burst) {
  protocol::BlockSplitter& splitter = stream.session->splitter;
  ssn_offload_job* jobs[Burst::chunk];
  std::uint16_t count = 0;
  for (std::uint16_t i = 0; i < burst.size(); ++i) {
    if (burst.jobs()[i] != nullptr) jobs[count++] = burst.jobs()[i];
    if (count == Burst::chunk || i + 1 == burst.size()) {
      splitter.finish({jobs, count});
      count = 0;
      send_sealed(stream, splitter, burst.packets());
    }
  }
  protocol::Cell* cells[Burst::chunk];
  while (const std::size_t spent = splitter.take_spent(cells)) {
    for (std::size_t i = 0; i < spent; ++i) release(packet_of(*cells[i]));
  }
  if (splitter.wanted(stream.packer) != 0) stream.waits = true;
  return burst.size();
}

constexpr Edge edges[] = {{"link"}};

}  // namespace

const NodeType wire_send_type = job_type<send>("wire_send", edges);

}  // namespace ssn::dataplane
