// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/packet_source.h"

#include <algorithm>
#include <new>

namespace ssn::dataplane {
namespace {

constexpr std::size_t burst = 64;

}  // namespace

std::size_t PacketSource::take(std::span<protocol::Cell*> cells) noexcept {
  Packet* packets[burst];
  std::size_t count = 0;
  while (count < cells.size()) {
    const auto some = static_cast<std::uint16_t>(std::min(cells.size() - count, burst));
    if (!allocate_fetched(*pool_, packets, some)) {
      ++empty;
      break;
    }
    for (std::uint16_t i = 0; i < some; ++i) {
      protocol::Cell& cell = cell_of(*packets[i]);
      const std::uint32_t memory = cell.memory;  // the packet's for good: Eal::mark_packets()
      new (&cell) protocol::Cell;  // in place: an assignment would make it elsewhere and copy it
      cell.memory = memory;
      cells[count++] = fresh_cell(*packets[i]);
    }
  }
  return count;
}

void PacketSource::give_back(std::span<protocol::Cell* const> cells) noexcept {
  Packet* packets[burst];
  for (std::size_t begin = 0; begin < cells.size(); begin += burst) {
    const auto some = static_cast<std::uint16_t>(std::min(cells.size() - begin, burst));
    for (std::uint16_t i = 0; i < some; ++i) {
      __builtin_prefetch(&packet_of(*cells[begin + i]), 1);
      __builtin_prefetch(cells[begin + i], 1);
    }
    for (std::uint16_t i = 0; i < some; ++i) {
      strip_order(*cells[begin + i]);
      packets[i] = &packet_of(*cells[begin + i]);
    }
    release(packets, some);
  }
}

void PacketSource::equip_order(protocol::Cell& cell, protocol::PacketType type) noexcept {
  OrderMemory& memory = type == protocol::PacketType::mask_order ? masks : orders;
  cell.target = memory.take();
  cell.target_room = cell.target != nullptr ? memory.bytes() : 0;
  no_memory += cell.target == nullptr ? 1 : 0;
}

void PacketSource::strip_order(protocol::Cell& cell) noexcept {
  for (OrderMemory* const memory : {&orders, &masks}) {
    if (!memory->owns(cell.target)) continue;
    memory->give_back(cell.target, cell.range_length);
    cell.target = nullptr;
    return;
  }
}

bool PacketSource::is_idle(const protocol::Cell& cell) const noexcept {
  return rte_mbuf_refcnt_read(&packet_of(const_cast<protocol::Cell&>(cell))) == 1;
}

}  // namespace ssn::dataplane
