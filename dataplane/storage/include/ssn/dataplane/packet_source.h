// SPDX-License-Identifier: BSD-3-Clause
// Packets of a pool of DPDK for what knows protocol::PacketPool only. A packet that a port still reads has
// one reference more; whoever gives it back last gives it back.
#pragma once

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

  std::uint64_t empty = 0;  ///< times that the pool had fewer than were wanted

 private:
  rte_mempool* pool_ = nullptr;
};

}  // namespace ssn::dataplane
