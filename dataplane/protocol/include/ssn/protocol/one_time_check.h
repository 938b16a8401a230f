// SPDX-License-Identifier: BSD-3-Clause
// The tag of an order's pad itself, under a hash key and a mask of its own: 32 bytes of the D stream behind
// the range. It stands in the order's payload, so that a retransmission carries the same bytes, a holder
// without the pad can still tell a true order from a forged one, and one with it proves that both ends hold
// the same.
#pragma once

#include <cstdint>
#include <span>

#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/wire.h"

namespace ssn::protocol {

/// Pad behind the range of an order: hash key, then mask.
inline constexpr std::uint32_t order_check_bytes = 32;

class OneTimeCheck {
 public:
  static constexpr std::size_t memory_bytes = sizeof(kernels::TagKey) + alignof(kernels::TagKey);

  /// `memory`: locked (asserted), outlives this object.
  OneTimeCheck(const kernels::Implementation& implementation, hw::SecretBuffer& memory);
  OneTimeCheck(const OneTimeCheck&) = delete;
  OneTimeCheck& operator=(const OneTimeCheck&) = delete;
  ~OneTimeCheck();

  /// tag = GHASH_r(header with number 0, fields, 0-pad, range, 0-pad, lengths) XOR mask.
  /// `fields`: of the order, at most max_fields.
  void compute(const PacketHeader& header, std::span<const std::uint8_t> fields,
               std::span<const std::uint8_t> range, const std::uint8_t* keys, std::uint8_t* tag) noexcept;
  /// Compares in constant time.
  bool matches(const PacketHeader& header, std::span<const std::uint8_t> fields,
               std::span<const std::uint8_t> range, const std::uint8_t* keys,
               const std::uint8_t* tag) noexcept;

  static constexpr std::size_t max_fields = 64;

 private:
  struct Bound {
    std::uint8_t bytes[header_bytes + max_fields];
    std::size_t length;
  };
  static Bound bind(const PacketHeader& header, std::span<const std::uint8_t> fields) noexcept;
  kernels::Tagging begin(const Bound& bound, const std::uint8_t* keys) noexcept;
  void end() noexcept;

  const kernels::Implementation* implementation_;
  kernels::TagKey* key_;
};

}  // namespace ssn::protocol
