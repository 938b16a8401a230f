// SPDX-License-Identifier: BSD-3-Clause
// Packets of a program without DPDK: a fixed number of cells over one piece of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/packet_pool.h"

namespace ssn::client {

/// One thread. The memory holds the owner's data in clear: it is erased in the end, and locked as far as the
/// system lets us.
class PacketArena final : public protocol::PacketPool {
 public:
  /// `payload_bytes`: of the longest packet.
  static Result<std::unique_ptr<PacketArena>> make(std::uint32_t cells, std::uint32_t payload_bytes);

  std::size_t take(std::span<protocol::Cell*> cells) noexcept override;
  void give_back(std::span<protocol::Cell* const> cells) noexcept override;
  bool is_idle(const protocol::Cell& cell) const noexcept override;

  /// One holder more: it gives the cell back, too.
  void share(const protocol::Cell& cell) noexcept;
  std::uint32_t free() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t payload_bytes() const noexcept { return payload_bytes_; }

 private:
  PacketArena(std::uint32_t cells, std::uint32_t payload_bytes, hw::SecretBuffer memory);
  std::size_t index_of(const protocol::Cell& cell) const noexcept;

  const std::uint32_t payload_bytes_;
  const std::size_t stride_;
  hw::SecretBuffer memory_;
  std::vector<protocol::Cell> cells_;
  std::vector<std::uint8_t> holders_;  // of each
  std::vector<std::uint32_t> free_;    // the one that was used last is taken first: it is in the cache
};

}  // namespace ssn::client
