// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cassert>

#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

// Link by link, so that what comes behind finds bursts for one link.
void send_sealed(WireStreamWorker& stream, protocol::BlockSplitter& splitter, Burst& burst) noexcept {
  const std::vector<std::uint32_t>& links = stream.plan->links;
  const std::size_t n = links.size();
  const std::span<protocol::Cell* const> sealed = splitter.sealed();
  assert(sealed.size() % n == 0);
  Packet* packets[Burst::chunk];
  for (std::size_t begin = 0; begin < sealed.size(); begin += n * Burst::chunk) {
    const std::size_t end = std::min(begin + n * Burst::chunk, sealed.size());
    for (std::size_t share = 0; share < n; ++share) {
      std::uint16_t count = 0;
      for (std::size_t i = begin + share; i < end; i += n) {
        protocol::Cell& cell = *sealed[i];
        Packet& packet = packet_of(cell);
        frame_packet(packet, cell.packet(), cell.packet_bytes());
        set_link(packet, links[share]);
        packets[count++] = &packet;
      }
      burst.begin_trace(packets, count);
      burst.send(wire_send_link, packets, count);
    }
  }
  splitter.sealed_are_sent();
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
