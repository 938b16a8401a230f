// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

using protocol::DropReason;

constexpr std::uint16_t fixed_edges = wire_receive_drop;

// Where a packet goes: to a collector, or along an edge.
struct Found {
  StreamSession* session = nullptr;
  std::uint16_t edge = 0;
};

// What the packet before said, and where it went: nearly always the next one says the same.
struct Route {
  std::uint64_t object = 0;
  std::uint32_t connection_id = 0;  // 0: none
  std::uint16_t key_index = 0;
  StreamSession* session = nullptr;

  bool serves(const protocol::PacketHeader& header) const noexcept {
    return session != nullptr && header.connection_id == connection_id && header.key_index == key_index &&
           header.type == protocol::PacketType::cell && header.placement.object == object;
  }
};

Found drop(WireWorker& worker, DropReason reason) noexcept {
  worker.packets.drop(reason);
  return {nullptr, drop_edge(wire_receive_drop, reason)};
}

Found look_up(WireWorker& worker, Packet& packet, Route& route) noexcept {
  const protocol::PacketHeader& header = cell_of(packet).header;
  const std::uint32_t owner = worker_of(header.connection_id);
  if (owner != worker.index) {
    if (owner >= worker.count) return drop(worker, DropReason::unknown_connection);
    area_of(packet).worker = static_cast<std::uint16_t>(owner);
    ++worker.handed_off;
    return {nullptr, wire_receive_handoff};
  }
  WireSession* const session = worker.find(header.connection_id);
  if (session == nullptr) return drop(worker, DropReason::unknown_connection);
  if (header.key_index != session->connection->terms().key_index) {
    return drop(worker, DropReason::unknown_key_index);
  }
  if (header.type != protocol::PacketType::cell) return {nullptr, wire_receive_type};
  StreamSession* const stream = session->find(header.placement.object);
  if (stream == nullptr) return drop(worker, DropReason::unknown_stream);
  route = {header.placement.object, header.connection_id, header.key_index, stream};
  return {stream, 0};
}

Found find(WireWorker& worker, Packet& packet, Route& route) noexcept {
  protocol::Cell& cell = cell_of(packet);
  cell.data = data_of(packet);
  cell.length = length_of(packet);
  const DropReason reason = protocol::parse_cell(cell);
  if (reason != DropReason::none) [[unlikely]]
    return drop(worker, reason);
  if (route.serves(cell.header)) [[likely]]
    return {route.session, 0};
  return look_up(worker, packet, route);
}

void collect(WireReceive& state, StreamSession& session, protocol::Cell* const* cells, std::size_t count,
             Burst& burst) noexcept {
  session.collector.collect({cells, count}, burst.worker().now_ns());
  release_cells(session.collector, burst, wire_receive_drop);
  burst.nudge(state.recover[session.stream->at]);
}

// The header, the end of which lies on the next line, and what will be known of it.
void prefetch_share(Packet& packet) noexcept {
  rte_prefetch0(data_of(packet));
  rte_prefetch0(data_of(packet) + protocol::header_bytes);
  __builtin_prefetch(&cell_of(packet), 1);
  __builtin_prefetch(&cell_of(packet).header.d_offset, 1);
}

void receive_chunk(WireReceive& state, Burst& burst, Packet* const* packets, std::uint16_t count) noexcept {
  protocol::Cell* cells[Burst::chunk];
  std::size_t run = 0;
  StreamSession* session = nullptr;
  Route route;
  for (std::uint16_t i = 0; i < count; ++i) prefetch_share(*packets[i]);
  for (std::uint16_t i = 0; i < count; ++i) {
    const Found found = find(*state.worker, *packets[i], route);
    if (found.session == nullptr) {
      // What the protocol moved is put back: the whole packet goes on.
      burst.send(found.edge, *packets[i]);
      continue;
    }
    if (found.session != session && run != 0) {
      collect(state, *session, cells, run, burst);
      run = 0;
    }
    session = found.session;
    cells[run++] = &cell_of(*packets[i]);
  }
  if (run != 0) collect(state, *session, cells, run, burst);
}

std::uint16_t receive(WireReceive& state, Burst& burst) {
  state.worker->dirty = true;
  burst.for_each_chunk(
      [&](Packet* const* packets, std::uint16_t count) { receive_chunk(state, burst, packets, count); });
  return burst.size();
}

const std::array<Edge, fixed_edges + protocol_drops> edges = [] {
  std::array<Edge, fixed_edges + protocol_drops> all;
  all[wire_receive_handoff] = {"handoff"};
  all[wire_receive_type] = {"unexpected_type", EdgeKind::drop};
  const ProtocolDropEdges drops = protocol_drop_edges();
  std::copy(drops.begin(), drops.end(), all.begin() + fixed_edges);
  return all;
}();

}  // namespace

void release_cells(protocol::BlockCollector& collector, Burst& burst, std::uint16_t first_drop) noexcept {
  protocol::Cell* cells[Burst::chunk];
  Packet* used[Burst::chunk];
  Packet* dropped[Burst::chunk];
  std::uint16_t chosen[Burst::chunk];
  while (const std::size_t count = collector.take_cells(cells)) {
    std::uint16_t used_count = 0;
    std::uint16_t dropped_count = 0;
    for (std::size_t i = 0; i < count; ++i) {
      Packet& packet = packet_of(*cells[i]);
      if (cells[i]->open_result == protocol::OpenResult::dropped) {
        chosen[dropped_count] = drop_edge(first_drop, cells[i]->reason);
        dropped[dropped_count++] = &packet;
      } else {
        burst.remark(packet, "share {} of block {}", cells[i]->header.placement.share,
                     protocol::block_number(cells[i]->header.placement));
        used[used_count++] = &packet;
      }
    }
    burst.send_each(dropped, chosen, dropped_count);
    release(used, used_count);
  }
}

const NodeType wire_receive_type_node = node_type<receive>("wire_receive", edges);

}  // namespace ssn::dataplane
