// SPDX-License-Identifier: BSD-3-Clause
// Packets of a pool of DPDK for what knows protocol::PacketPool only. A packet that a port still reads has
// one reference more; whoever gives it back last gives it back.
#pragma once

#include "ssn/dataplane/order_memory.h"
#include "ssn/dataplane/packet.h"
#include "ssn/protocol/packet_pool.h"

namespace ssn::dataplane {

/// One worker's.
class PacketSource final : public protocol::PacketPool {
 public:
  /// Before anything is taken; the pool outlives it.
  void open(rte_mempool& pool) noexcept { pool_ = &pool; }

  std::size_t take(std::span<protocol::Cell*> cells) noexcept override;
  void give_back(std::span<protocol::Cell* const> cells) noexcept override;
  bool is_idle(const protocol::Cell& cell) const noexcept override;

  /// Of a shareholder: what its keep orders are opened into. The cell has it until it is given back.
  OrderMemory orders;
  /// And its mask orders, which it uses up at once.
  OrderMemory masks;
  /// Memory for the order in this cell; without any left it stays without, and is dropped.
  void equip_order(protocol::Cell& cell, protocol::PacketType type) noexcept;
  /// The cell's packet goes on without what equip_order() gave it.
  void strip_order(protocol::Cell& cell) noexcept;

  std::uint64_t empty = 0;      ///< times that the pool had fewer than were wanted
  std::uint64_t no_memory = 0;  ///< orders that there was no memory for

 private:
  rte_mempool* pool_ = nullptr;
};

}  // namespace ssn::dataplane
