// SPDX-License-Identifier: BSD-3-Clause
#include "arena.h"

#include <algorithm>
#include <cstring>

namespace ssn::sim {

using namespace protocol;

struct Arena::Place {
  Cell cell;  // first
  bool out = false;
  const Arena* owner = nullptr;
  std::unique_ptr<std::uint8_t[]> memory;
  std::uint8_t* buffer = nullptr;  // on a cache line
};

Arena::Arena(std::size_t capacity, std::size_t room) : capacity_(capacity), room_(room) {
  free_.reserve(capacity);
}

Arena::~Arena() = default;

Arena::Place* Arena::next() {
  if (out_ == capacity_) return nullptr;
  if (free_.empty()) {
    auto made = std::make_unique<Place>();
    made->owner = this;
    made->memory = std::make_unique<std::uint8_t[]>(overhead_bytes + room_ + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(made->memory.get());
    made->buffer = made->memory.get() + (64 - address % 64) % 64;
    free_.push_back(made.get());
    places_.push_back(std::move(made));
  }
  Place* const place = free_.back();
  free_.pop_back();
  ++out_;
  place->out = true;
  place->cell = Cell{};
  // What was in it before is not to be found again.
  std::memset(place->buffer, 0xa5, overhead_bytes + room_);
  return place;
}

Cell* Arena::take() {
  Place* const place = next();
  if (place == nullptr) return nullptr;
  place->cell.data = place->buffer + overhead_bytes;
  place->cell.headroom = static_cast<std::uint16_t>(overhead_bytes);
  place->cell.tailroom = static_cast<std::uint16_t>(room_);
  return &place->cell;
}

Cell* Arena::receive(std::span<const std::uint8_t> packet) {
  if (packet.size() > overhead_bytes + room_) return nullptr;
  Place* const place = next();
  if (place == nullptr) return nullptr;
  std::copy(packet.begin(), packet.end(), place->buffer);
  place->cell.data = place->buffer;
  place->cell.length = static_cast<std::uint32_t>(packet.size());
  return &place->cell;
}

Cell* Arena::take_for_frame() {
  Place* const place = next();
  if (place == nullptr) return nullptr;
  place->cell.target = place->buffer;
  place->cell.target_room = static_cast<std::uint32_t>(overhead_bytes + room_);
  return &place->cell;
}

bool Arena::give(Cell* cell) {
  Place* const place = reinterpret_cast<Place*>(cell);
  const bool ours =
      std::any_of(places_.begin(), places_.end(), [place](const auto& each) { return each.get() == place; });
  if (!ours || !place->out) return false;
  place->out = false;
  --out_;
  std::memset(place->buffer, 0x5a, overhead_bytes + room_);
  free_.push_back(place);
  return true;
}

}  // namespace ssn::sim
