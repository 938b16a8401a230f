// SPDX-License-Identifier: BSD-3-Clause
// Memory for a burst of packets and their payloads in clear. Both lie one after another as they do in files,
// so that a burst is one read and one write.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/cell.h"
#include "ssn/protocol/sealer.h"

namespace ssn::cli {

/// `slots` cells, each with room for one packet and, apart from it, for its payload in clear.
class SealedBurst {
 public:
  static constexpr std::size_t slots = protocol::Sealer::max_burst;

  /// A packet by itself may be as long as this whatever the payloads are: slot 0 may reach into others.
  static constexpr std::size_t least_bytes = slots * protocol::pad_alignment;

  /// `payload_bytes`: of every payload but perhaps the last.
  static Result<SealedBurst> make(std::uint32_t payload_bytes) {
    const std::size_t stride = payload_bytes;
    Result<hw::SecretBuffer> clear = hw::SecretBuffer::make(slots * stride);
    Result<hw::SecretBuffer> packets = hw::SecretBuffer::make(slots * (stride + protocol::overhead_bytes));
    if (!clear.ok()) {
      return clear.error();
    }
    if (!packets.ok()) {
      return packets.error();
    }
    SealedBurst burst;
    assert(clear.value().size() >= least_bytes && packets.value().size() >= least_bytes);
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
