// SPDX-License-Identifier: BSD-3-Clause
// Some cells of one stripe of a share, whatever attempts they are of: from the store into packets of the
// pool, and from there to whoever reads, erased.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ssn/protocol/packet_pool.h"
#include "ssn/roles/resharing.h"
#include "ssn/roles/store_access.h"

namespace ssn::roles {

class ShareReader {
 public:
  enum class State : std::uint8_t { idle, waiting, in_store, ready, failed };

  void name(std::uint64_t context) noexcept { request_.context = context; }
  /// Cells [first, first + count), of one stripe. `runs` stay until it is not used any more.
  void begin(const store::ShareId& share, std::span<const store::AttemptRun> runs, std::uint32_t first,
             std::uint32_t count, std::uint32_t cell_bytes) noexcept;
  /// Asks the store for what is not there yet. False: not now, neither cells nor room.
  bool step(StoreAccess& store, protocol::PacketPool& pool) noexcept;
  /// What the store is too busy for is asked again, not before `retry_ns`.
  void came_back(protocol::PacketPool& pool, std::uint64_t retry_ns) noexcept;
  State state() const noexcept { return state_; }
  std::uint64_t retry_ns() const noexcept { return retry_ns_; }
  /// Why it failed: the store's I/O, rather than a share that is not there.
  bool store_failed() const noexcept { return result_ == store::StoreResult::io_error; }

  std::uint32_t first() const noexcept { return first_; }
  std::uint32_t count() const noexcept { return count_; }
  const std::uint8_t* cell(std::uint32_t at) const noexcept { return cells_[at]->data; }
  /// All of it, one cell behind the other; then as drop().
  void take(std::uint8_t* to, protocol::PacketPool& pool) noexcept;
  /// Erases what was read, and gives the packets back. What is in the store comes back first, by came_back().
  void drop(protocol::PacketPool& pool) noexcept;

 private:
  void give_back(std::uint32_t from, std::uint32_t end, protocol::PacketPool& pool) noexcept;

  store::StoreRequest request_;
  std::array<protocol::Cell*, store::stripe_cells> cells_{};
  std::span<const store::AttemptRun> runs_;
  store::ShareId share_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t have_ = 0;
  std::uint32_t asked_ = 0;
  std::uint32_t cell_bytes_ = 0;
  std::uint64_t retry_ns_ = 0;
  store::StoreResult result_ = store::StoreResult::none;
  State state_ = State::idle;
  bool dropped_ = false;
};

std::uint16_t attempt_of(std::span<const store::AttemptRun> runs, std::uint32_t cell) noexcept;
/// Behind the last cell, from `cell` on, of the same attempt.
std::uint32_t attempt_end(std::span<const store::AttemptRun> runs, std::uint32_t cell) noexcept;

}  // namespace ssn::roles
