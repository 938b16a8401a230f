// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "ssn/protocol/wire.h"
#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

constexpr std::uint32_t ethernet_bytes = 14;
constexpr std::size_t ethertype_offset = 12;

bool picks(const WirePlan& plan, Packet& packet) noexcept {
  if (plan.ethertypes.empty()) return true;
  if (length_of(packet) < ethernet_bytes) return false;
  const auto type = protocol::load_big<std::uint16_t>(data_of(packet) + ethertype_offset);
  return std::find(plan.ethertypes.begin(), plan.ethertypes.end(), type) != plan.ethertypes.end();
}

void pack_chunk(WireStreamWorker& stream, Burst& burst, Packet* const* packets,
                std::uint16_t count) noexcept {
  Packet* picked[Burst::chunk];
  protocol::Cell* cells[Burst::chunk];
  std::uint16_t picked_count = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    Packet& packet = *packets[i];
    if (!picks(*stream.plan, packet)) {
      burst.send(wire_pack_others, packet);
      continue;
    }
    protocol::Cell& cell = cell_of(packet);
    cell.data = data_of(packet);
    cell.length = length_of(packet);
    cells[picked_count] = &cell;
    picked[picked_count++] = &packet;
  }
  if (!stream.can_send()) {
    burst.send(wire_pack_no_keys, picked, picked_count);
    return;
  }
  const auto taken =
      static_cast<std::uint16_t>(stream.packer.pack({cells, picked_count}, burst.worker().now_ns()));
  for (std::uint16_t i = 0; i < taken; ++i) burst.remark(*picked[i], "packed into a block");
  release(picked, taken);
  burst.send(wire_pack_no_room, picked + taken, static_cast<std::uint16_t>(picked_count - taken));
}

std::uint16_t pack(WireStreamWorker& stream, Burst& burst) {
  burst.for_each_chunk(
      [&](Packet* const* packets, std::uint16_t count) { pack_chunk(stream, burst, packets, count); });
  if (stream.can_send()) burst.nudge(wire_pack_split);
  return burst.size();
}

constexpr Edge edges[] = {
    {"split"}, {"not_picked", EdgeKind::drop}, {"no_keys", EdgeKind::drop}, {"no_room", EdgeKind::drop}};

}  // namespace

const NodeType wire_pack_type = node_type<pack>("wire_pack", edges);

}  // namespace ssn::dataplane
