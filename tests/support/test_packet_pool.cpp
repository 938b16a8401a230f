// SPDX-License-Identifier: BSD-3-Clause
#include "test_packet_pool.h"

#include <algorithm>

namespace ssn::test {

using protocol::Cell;
using protocol::overhead_bytes;

std::size_t TestPacketPool::take(std::span<Cell*> cells) noexcept {
  std::size_t count = 0;
  for (; count < cells.size() && out() < most_; ++count) {
    if (free_.empty()) {
      slots_.push_back(std::make_unique<Slot>());
      slots_.back()->buffer.resize(link_headroom + overhead_bytes + room_);
      by_cell_[&slots_.back()->cell] = slots_.back().get();
      free_.push_back(slots_.back().get());
    }
    Slot& slot = *free_.back();
    free_.pop_back();
    slot.cell = Cell{};
    slot.cell.headroom = static_cast<std::uint16_t>(link_headroom + overhead_bytes);
    slot.cell.data = slot.buffer.data() + slot.cell.headroom;
    slot.cell.tailroom = static_cast<std::uint16_t>(room_);
    slot.owned = true;
    cells[count] = &slot.cell;
  }
  return count;
}

void TestPacketPool::give_back(std::span<Cell* const> cells) noexcept {
  for (const Cell* const cell : cells) {
    Slot& slot = slot_of(*cell);
    if (!slot.owned) return fail("a cell was given back that nobody has");
    slot.owned = false;
    if (slot.ports == 0) go_home(slot);
  }
}

bool TestPacketPool::is_idle(const Cell& cell) const noexcept { return slot_of(cell).ports == 0; }

Cell* TestPacketPool::receive(const Bytes& packet) {
  Cell* cell = nullptr;
  if (take({&cell, 1}) == 0) return nullptr;
  cell->data -= overhead_bytes;
  cell->headroom = static_cast<std::uint16_t>(cell->headroom - overhead_bytes);
  cell->length = static_cast<std::uint32_t>(packet.size());
  if (packet.size() > overhead_bytes + room_) {
    fail("a packet is longer than any that was sent");
    cell->length = 0;
    return cell;
  }
  std::copy(packet.begin(), packet.end(), cell->data);
  return cell;
}

void TestPacketPool::to_port(Cell& cell, bool held) {
  Slot& slot = slot_of(cell);
  if (!slot.owned) fail("a cell departs that nobody has");
  if (slot.ports != 0) fail("a packet departs while a port reads it");
  ++slot.ports;
  if (!held) slot.owned = false;
}

void TestPacketPool::port_done(Cell& cell) {
  Slot& slot = slot_of(cell);
  if (--slot.ports == 0 && !slot.owned) go_home(slot);
}

void TestPacketPool::go_home(Slot& slot) {
  std::fill(slot.buffer.begin(), slot.buffer.end(), std::uint8_t{0xdd});
  free_.push_back(&slot);
}

}  // namespace ssn::test
