// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <new>

#include "storage_nodes.h"

namespace ssn::dataplane {
namespace {

using protocol::Cell;
using protocol::DropReason;
using protocol::OpenResult;

constexpr std::uint16_t fixed_edges = storage_receive_drop;
constexpr std::size_t type_offset = 1;  // docs/wire-format.md
constexpr std::size_t connection_offset = 4;

// Whose packet it is, as far as its header says so: nothing of it is authentic yet.
std::uint32_t connection_of(Packet& packet) noexcept {
  return length_of(packet) < protocol::header_bytes
             ? 0
             : protocol::load_big<std::uint32_t>(data_of(packet) + connection_offset);
}

// Packets of other workers go there, and those of connections that cannot answer yet go nowhere: their
// senders will send them again.
bool is_ours(StorageWorker& worker, Packet& packet, Burst& burst) noexcept {
  const std::uint32_t id = connection_of(packet);
  const std::uint32_t of = worker_of(id);
  if (of != worker.index && of < worker.count && id != 0) {
    area_of(packet).worker = static_cast<std::uint16_t>(of);
    ++worker.handed_off;
    burst.send(storage_receive_handoff, packet);
    return false;
  }
  const StorageChannel* const channel = worker.find(id);
  if (channel != nullptr && !channel->joined) {
    ++worker.not_joined;
    burst.send(storage_receive_not_ready, packet);
    return false;
  }
  return true;
}

void make_cell(PacketSource& source, Packet& packet) noexcept {
  Cell& cell = cell_of(packet);
  const std::uint32_t memory = cell.memory;
  new (&cell) Cell;  // in place: an assignment would make it elsewhere and copy it
  cell.memory = memory;
  cell.data = data_of(packet);
  cell.length = length_of(packet);
  cell.headroom = headroom_of(packet);
  cell.tailroom = tailroom_of(packet);
  area_of(packet).stream = static_cast<std::uint16_t>(packet.l2_len + packet.l3_len + udp_bytes);
  if (cell.length < protocol::header_bytes) return;
  const auto type = static_cast<protocol::PacketType>(cell.data[type_offset]);
  const bool orders = type == protocol::PacketType::keep_order || type == protocol::PacketType::mask_order;
  if (orders) source.equip_order(cell, type);
}

// An owner is answered where his authentic packets come from.
void note_sender(StorageChannel& channel, Packet& packet, std::uint64_t now) noexcept {
  channel.heard_ns.store(now, std::memory_order_relaxed);
  if (channel.connection != nullptr) return;
  StorageWorker& worker = *channel.worker;
  const std::uint8_t* const frame = data_of(packet) - area_of(packet).stream;
  if (!worker.host->heard_guest(channel.number, frame, packet.l2_len)) ++worker.strays;
}

void give(StorageChannel& channel, std::span<Cell* const> run, std::uint64_t now) noexcept {
  Cell* delivered[Burst::chunk];
  const std::size_t count = channel.channel->arrived(run, now, delivered);
  if (count != 0) channel.worker->role->delivered(channel, {delivered, count}, now);
}

// What was dropped goes along its edge; the rest to their channels, those of one together.
void sort_out(StorageWorker& worker, Burst& burst, std::span<Cell* const> cells) noexcept {
  const std::uint64_t now = burst.worker().now_ns();
  Cell* run[Burst::chunk];
  std::size_t length = 0;
  StorageChannel* channel = nullptr;
  for (Cell* const cell : cells) {
    Packet& packet = packet_of(*cell);
    if (cell->open_result == OpenResult::dropped || cell->open_result == OpenResult::none) {
      worker.source.strip_order(*cell);
      burst.send(drop_edge(storage_receive_drop, cell->reason), packet);
      continue;
    }
    StorageChannel* const of = worker.find(cell->header.connection_id);
    if (of == nullptr) {  // cannot be: the opener's table and ours have the same connections
      worker.source.give_back({&cell, 1});
      continue;
    }
    note_sender(*of, packet, now);
    burst.remark(packet, "type {} of cell {}", static_cast<std::uint64_t>(cell->header.type),
                 cell->header.placement.cell);
    if (of != channel && length != 0) {
      give(*channel, {run, length}, now);
      length = 0;
    }
    channel = of;
    run[length++] = cell;
  }
  if (length != 0) give(*channel, {run, length}, now);
}

void receive_chunk(StorageWorker& worker, Burst& burst, Packet* const* packets,
                   std::uint16_t count) noexcept {
  Cell* cells[Burst::chunk];
  std::size_t ours = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    rte_prefetch0(data_of(*packets[i]));
    __builtin_prefetch(&cell_of(*packets[i]), 1);
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    Packet& packet = *packets[i];
    if (!is_ours(worker, packet, burst)) continue;
    make_cell(worker.source, packet);
    cells[ours++] = &cell_of(packet);
  }
  worker.opener->open({cells, ours});
  sort_out(worker, burst, {cells, ours});
}

std::uint16_t receive(StorageNode& state, Burst& burst) {
  state.worker->dirty = true;
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    receive_chunk(*state.worker, burst, packets, count);
  });
  return burst.size();
}

const std::array<Edge, fixed_edges + protocol_drops> edges = [] {
  std::array<Edge, fixed_edges + protocol_drops> all;
  all[storage_receive_handoff] = {"handoff"};
  all[storage_receive_not_ready] = {"not_ready", EdgeKind::drop};
  const ProtocolDropEdges drops = protocol_drop_edges();
  std::copy(drops.begin(), drops.end(), all.begin() + fixed_edges);
  return all;
}();

}  // namespace

const NodeType storage_receive_type = node_type<receive>("storage_receive", edges);

}  // namespace ssn::dataplane
