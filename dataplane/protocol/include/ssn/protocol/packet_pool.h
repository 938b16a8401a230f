// SPDX-License-Identifier: BSD-3-Clause
// Where packets come from and go back to: in the pipeline a pool of mbufs, in tests and in the simulator an
// arena. One worker's; called for bursts, never for each byte of anything.
#pragma once

#include <cstddef>
#include <span>

#include "ssn/protocol/cell.h"

namespace ssn::protocol {

/// One thread. Nothing here allocates memory from the system.
class PacketPool {
 public:
  PacketPool() = default;
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;
  virtual ~PacketPool() = default;

  /// Fresh cells: `data` lies behind `headroom` (overhead_bytes and what the network needs in front of that),
  /// `length` is 0, `tailroom` says how many bytes the payload may have, everything else is as in Cell{}.
  /// Returns how many there were, the first ones.
  virtual std::size_t take(std::span<Cell*> cells) noexcept = 0;
  /// They are the pool's again, whatever their fields say. One that a port still reads (see is_idle) is free
  /// once the port is done, too.
  virtual void give_back(std::span<Cell* const> cells) noexcept = 0;
  /// Whether nobody but its holder has it: no port reads its bytes any more, so that they may be changed.
  virtual bool is_idle(const Cell& cell) const noexcept = 0;
};

}  // namespace ssn::protocol
