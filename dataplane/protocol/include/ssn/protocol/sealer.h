// SPDX-License-Identifier: BSD-3-Clause
// Sealing: payload in, packet out. docs/wire-format.md says what a sealed packet is.
#pragma once

#include <cstdint>
#include <span>

#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/cell.h"
#include "ssn/protocol/gcm_channel.h"
#include "ssn/protocol/one_time_check.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/payloads.h"
#include "ssn/protocol/tag_stream.h"

namespace ssn::protocol {

/// What to do with cells for which there are too few keys.
enum class ShortagePolicy : std::uint8_t {
  refuse,       ///< say so
  wait,         ///< the caller holds them and tries again
  aes_256_gcm,  ///< seal them with a cipher; counted, flagged, and the protection class sinks
};

/// The sending direction of one connection under one key index. Everything outlives it.
struct SendKeys {
  std::uint32_t connection_id = 0;  ///< that the peer chose
  std::uint16_t key_index = 0;
  ShortagePolicy policy = ShortagePolicy::refuse;
  PadSender* pads = nullptr;
  TagSender* tags = nullptr;  ///< null where cipher_only
  GcmSender* gcm = nullptr;   ///< not null where the policy is aes_256_gcm
  /// `pads` holds keys of AES-256-GCM and nothing else: everything goes under them (SessionKeys). The policy
  /// is aes_256_gcm then.
  bool cipher_only = false;
};

/// One per worker. Nothing allocates after construction.
class Sealer {
 public:
  static constexpr std::size_t max_burst = 64;

  /// `memory`: OneTimeCheck::memory_bytes, locked.
  Sealer(const kernels::Implementation& implementation, PacketCounters& counters, hw::SecretBuffer& memory)
      : implementation_(&implementation), counters_(&counters), check_(implementation, memory) {}

  /// Seals what cells name: type (cell or a message), placement, source, length, and data
  /// with headroom. Returns how many were sealed; those are the first ones, but for invalid ones among them.
  /// The rest say in seal_result why not. For a burst of cells of one length everything is reserved at once.
  std::size_t seal(SendKeys& keys, std::span<Cell* const> cells) noexcept;

  /// Seals an order. `data` has keep_order_bytes or mask_order_bytes of room; placement is set. On success
  /// the pad is in `share` (memory for secrets of order.bytes() bytes), which the caller keeps until the
  /// holder has stored it. A range that was taken is burnt whatever becomes of the order.
  SealResult seal_order(SendKeys& keys, Cell& cell, const KeepOrder& order,
                        std::span<std::uint8_t> share) noexcept;
  SealResult seal_order(SendKeys& keys, Cell& cell, const MaskOrder& order,
                        std::span<std::uint8_t> mask) noexcept;

  /// Sends again what was sealed, as it is, under new packet numbers. Cells under AES-256-GCM are encrypted
  /// again from their source.
  std::size_t retransmit(SendKeys& keys, std::span<Cell* const> cells) noexcept;

 private:
  std::size_t seal_cells(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept;
  std::size_t seal_clear(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept;
  bool seal_computational(SendKeys& keys, Cell& cell, Take& why) noexcept;
  std::size_t seal_all_computational(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept;
  static void begin(const SendKeys& keys, Cell& cell, std::uint64_t number, std::uint64_t d_offset,
                    std::uint32_t range_length) noexcept;
  void seal_payload(Cell& cell, const PadRange& range, const TagBurst& burst, std::uint32_t at) noexcept;
  void finish(Cell& cell, const TagBurst& burst, std::uint32_t at) noexcept;
  void give_up(const SendKeys& keys, std::span<Cell* const> cells, Take why) noexcept;
  static Take take_order(SendKeys& keys, std::uint32_t bytes, PadRange& range, PadRange& check,
                         TagBurst& burst) noexcept;
  template <typename Order>
  SealResult seal_any_order(SendKeys& keys, Cell& cell, PacketType type, const Order& order,
                            std::size_t fields, std::span<std::uint8_t> out) noexcept;

  const kernels::Implementation* implementation_;
  PacketCounters* counters_;
  OneTimeCheck check_;
};

/// What seal_result says when no keys could be taken.
SealResult seal_result(Take why, ShortagePolicy policy) noexcept;

}  // namespace ssn::protocol
