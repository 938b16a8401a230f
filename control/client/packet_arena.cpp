// SPDX-License-Identifier: BSD-3-Clause
#include "packet_arena.h"

#include <cassert>

namespace ssn::client {

using protocol::Cell;
using protocol::overhead_bytes;

namespace {

constexpr std::size_t line = 64;
// What is opened lies behind the overhead; so does what is to be sealed.
constexpr std::size_t stride_of(std::size_t payload) {
  return (overhead_bytes + payload + line - 1) / line * line;
}

}  // namespace

Result<std::unique_ptr<PacketArena>> PacketArena::make(std::uint32_t cells, std::uint32_t payload_bytes) {
  Result<hw::SecretBuffer> memory = hw::SecretBuffer::make(cells * stride_of(payload_bytes));
  if (!memory.ok()) {
    return memory.error();
  }
  return std::unique_ptr<PacketArena>(new PacketArena(cells, payload_bytes, std::move(memory.value())));
}

PacketArena::PacketArena(std::uint32_t cells, std::uint32_t payload_bytes, hw::SecretBuffer memory)
    : payload_bytes_(payload_bytes),
      stride_(stride_of(payload_bytes)),
      memory_(std::move(memory)),
      cells_(cells),
      holders_(cells) {
  free_.reserve(cells);
  for (std::uint32_t i = cells; i != 0; --i) {
    free_.push_back(i - 1);
  }
}

std::size_t PacketArena::index_of(const Cell& cell) const noexcept {
  const auto at = static_cast<std::size_t>(&cell - cells_.data());
  assert(at < cells_.size());
  return at;
}

std::size_t PacketArena::take(std::span<Cell*> cells) noexcept {
  std::size_t taken = 0;
  while (taken < cells.size() && !free_.empty()) {
    const std::uint32_t at = free_.back();
    free_.pop_back();
    holders_[at] = 1;
    Cell& cell = cells_[at];
    cell = Cell{};
    cell.data = memory_.data() + at * stride_ + overhead_bytes;
    cell.headroom = static_cast<std::uint16_t>(overhead_bytes);
    cell.tailroom = static_cast<std::uint16_t>(payload_bytes_);
    cells[taken++] = &cell;
  }
  return taken;
}

void PacketArena::give_back(std::span<Cell* const> cells) noexcept {
  for (Cell* const cell : cells) {
    const std::size_t at = index_of(*cell);
    assert(holders_[at] != 0);
    if (--holders_[at] == 0) {
      free_.push_back(static_cast<std::uint32_t>(at));
    }
  }
}

bool PacketArena::is_idle(const Cell& cell) const noexcept { return holders_[index_of(cell)] <= 1; }

void PacketArena::share(const Cell& cell) noexcept {
  std::uint8_t& holders = holders_[index_of(cell)];
  assert(holders != 0 && holders != UINT8_MAX);
  ++holders;
}

}  // namespace ssn::client
