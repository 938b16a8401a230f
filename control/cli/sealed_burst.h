// SPDX-License-Identifier: BSD-3-Clause
// Memory for a burst of packets and their payloads in clear.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/cell.h"

namespace ssn::cli {

/// `slots` cells, each with room for one packet and, apart from it, for its payload in clear.
class SealedBurst {
 public:
  static constexpr std::size_t slots = 32;

  static Result<SealedBurst> make(std::uint32_t payload_bytes) {
    const std::size_t stride = (payload_bytes + 63) / 64 * 64;
    Result<hw::SecretBuffer> clear = hw::SecretBuffer::make(slots * stride);
    Result<hw::SecretBuffer> packets = hw::SecretBuffer::make(slots * (stride + protocol::overhead_bytes));
    if (!clear.ok()) {
      return clear.error();
    }
    if (!packets.ok()) {
      return packets.error();
    }
    SealedBurst burst;
    burst.stride_ = stride;
    burst.clear_ = std::move(clear.value());
    burst.packets_ = std::move(packets.value());
    return burst;
  }

  std::uint8_t* clear(std::size_t slot) noexcept { return clear_.data() + slot * stride_; }
  std::uint8_t* packet(std::size_t slot) noexcept {
    return packets_.data() + slot * (stride_ + protocol::overhead_bytes);
  }
  protocol::Cell& cell(std::size_t slot) noexcept { return cells_[slot]; }
  /// The cells in [first, last).
  std::span<protocol::Cell* const> cells(std::size_t first, std::size_t last) noexcept {
    for (std::size_t i = first; i < last; ++i) {
      pointers_[i] = &cells_[i];
    }
    return std::span<protocol::Cell* const>(pointers_).subspan(first, last - first);
  }

 private:
  std::size_t stride_ = 0;
  hw::SecretBuffer clear_;
  hw::SecretBuffer packets_;
  std::array<protocol::Cell, slots> cells_;
  std::array<protocol::Cell*, slots> pointers_{};
};

}  // namespace ssn::cli
