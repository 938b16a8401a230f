// SPDX-License-Identifier: BSD-3-Clause
#include "share_reader.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::roles {

using protocol::Cell;
using store::StoreRequest;
using store::StoreResult;
using store::stripe_cells;

std::uint16_t attempt_of(std::span<const store::AttemptRun> runs, std::uint32_t cell) noexcept {
  std::uint16_t attempt = 0;
  for (const store::AttemptRun& run : runs) {
    if (run.first > cell) break;
    attempt = run.attempt;
  }
  return attempt;
}

std::uint32_t attempt_end(std::span<const store::AttemptRun> runs, std::uint32_t cell) noexcept {
  for (const store::AttemptRun& run : runs) {
    if (run.first > cell) return run.first;
  }
  return UINT32_MAX;
}

void ShareReader::begin(const store::ShareId& share, std::span<const store::AttemptRun> runs,
                        std::uint32_t first, std::uint32_t count, std::uint32_t cell_bytes) noexcept {
  assert(state_ == State::idle && first / stripe_cells == (first + count - 1) / stripe_cells);
  share_ = share;
  runs_ = runs;
  first_ = first;
  count_ = count;
  have_ = 0;
  cell_bytes_ = cell_bytes;
  retry_ns_ = 0;
  dropped_ = false;
  state_ = State::waiting;
}

bool ShareReader::step(StoreAccess& store, protocol::PacketPool& pool) noexcept {
  if (state_ != State::waiting) return true;
  if (store.credit() == 0) return false;
  const std::uint32_t from = first_ + have_;
  const std::uint32_t end = std::min(attempt_end(runs_, from), first_ + count_);
  asked_ = static_cast<std::uint32_t>(pool.take(std::span(cells_).subspan(have_, end - from)));
  if (asked_ == 0) return false;
  request_.kind = StoreRequest::Kind::read;
  request_.share = share_;
  request_.attempt = attempt_of(runs_, from);
  request_.stripe = from / stripe_cells;
  request_.wanted = 0;
  std::uint32_t room = store::max_cell_bytes;
  for (std::uint32_t i = 0; i < asked_; ++i) {
    const std::uint32_t place = (from + i) % stripe_cells;
    request_.wanted |= std::uint64_t{1} << place;
    request_.cells[place] = cells_[have_ + i];
    room = std::min<std::uint32_t>(room, cells_[have_ + i]->tailroom);
  }
  request_.cell_bytes = room;
  const bool taken = store.submit(request_);
  assert(taken && "there was credit");
  static_cast<void>(taken);
  state_ = State::in_store;
  return true;
}

void ShareReader::came_back(protocol::PacketPool& pool, std::uint64_t retry_ns) noexcept {
  assert(state_ == State::in_store);
  result_ = request_.result;
  if (result_ == StoreResult::busy) {
    give_back(have_, have_ + asked_, pool);
    retry_ns_ = retry_ns;
    state_ = State::waiting;
  } else {
    have_ += asked_;
    const bool good = result_ == StoreResult::done && request_.cell_bytes == cell_bytes_;
    state_ = !good ? State::failed : have_ == count_ ? State::ready : State::waiting;
  }
  if (dropped_) drop(pool);
}

void ShareReader::take(std::uint8_t* to, protocol::PacketPool& pool) noexcept {
  assert(state_ == State::ready);
  for (std::uint32_t i = 0; i < count_; ++i) {
    std::memcpy(to + std::size_t{i} * cell_bytes_, cells_[i]->data, cell_bytes_);
  }
  drop(pool);
}

void ShareReader::give_back(std::uint32_t from, std::uint32_t end, protocol::PacketPool& pool) noexcept {
  for (std::uint32_t i = from; i < end; ++i) {
    ::explicit_bzero(cells_[i]->data, std::min<std::size_t>(cell_bytes_, cells_[i]->tailroom));
  }
  pool.give_back(std::span<Cell* const>(cells_).subspan(from, end - from));
}

void ShareReader::drop(protocol::PacketPool& pool) noexcept {
  if (state_ == State::in_store) {
    dropped_ = true;
    return;
  }
  give_back(0, have_, pool);
  have_ = 0;
  dropped_ = false;
  state_ = State::idle;
}

}  // namespace ssn::roles
