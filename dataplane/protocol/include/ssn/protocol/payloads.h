// SPDX-License-Identifier: BSD-3-Clause
// Payloads that are not cells: orders, acknowledgements and answers. Fixed fields, big-endian;
// docs/wire-format.md has them byte by byte. Readers take whatever an authentic but broken peer may send.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ssn/protocol/wire.h"

namespace ssn::protocol {

/// Longest range of an order: what one tag can vouch for. Equal to pad_range_max.
inline constexpr std::uint32_t max_order_bytes = 256 * 1024;

/// "Keep the pad at d_offset as your share of these cells." The pad range holds, for each row in turn, the
/// cells first to last, cell_bytes each; 16 bytes of pad follow as the mask of the kept bytes' own tag.
/// header.placement: object, generation, attempt, first cell, first row (share index).
struct KeepOrder {
  std::uint32_t cells = 0;
  std::uint32_t cell_bytes = 0;  ///< a multiple of 64
  std::uint16_t rows = 0;

  /// Bytes that are kept; 0 where the numbers make no order.
  std::uint32_t bytes() const noexcept;
  bool operator==(const KeepOrder&) const = default;
};

/// "Use the pad at d_offset as our mask in this job." The pad range holds the cells first to last, cell_bytes
/// each; 16 bytes of pad follow as for keep orders. header.placement: object, generation, attempt, first
/// cell, share index of the sender.
struct MaskOrder {
  std::uint64_t job = 0;
  std::uint32_t cells = 0;
  std::uint32_t cell_bytes = 0;
  std::uint16_t round = 0;  ///< of the job: any change of the helper set is a new one
  std::uint8_t target = 0;  ///< share index that is made
  /// Bit (s mod 8) of byte s / 8: share s helps.
  std::array<std::uint8_t, 32> helpers{};

  std::uint32_t bytes() const noexcept;
  bool operator==(const MaskOrder&) const = default;
};

/// Both orders: their fields, then the tag of the pad itself.
inline constexpr std::size_t keep_order_bytes = 32;
inline constexpr std::size_t mask_order_bytes = 80;
inline constexpr std::size_t keep_order_fields = keep_order_bytes - wire_tag_bytes;
inline constexpr std::size_t mask_order_fields = mask_order_bytes - wire_tag_bytes;

/// Write *_fields bytes; the tag comes behind.
void write_order(const KeepOrder& order, std::uint8_t* to) noexcept;
void write_order(const MaskOrder& order, std::uint8_t* to) noexcept;
/// Nothing where the payload is no such order.
std::optional<KeepOrder> read_keep_order(std::span<const std::uint8_t> payload) noexcept;
std::optional<MaskOrder> read_mask_order(std::span<const std::uint8_t> payload) noexcept;

/// What a receiver has. Pad ranges as well as packet numbers, so that it holds for retransmissions too.
struct Acknowledgement {
  enum class Kind : std::uint8_t { received = 1, stored = 2 };
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool operator==(const Range&) const = default;
  };
  static constexpr std::size_t max_ranges = 64;
  static constexpr std::size_t bitmap_bytes = 32;

  Kind kind = Kind::received;
  std::uint8_t flags = 0;       ///< of the packets that it is about: computational ones are numbered apart
  std::uint16_t key_index = 0;  ///< of the packets that it is about
  std::uint32_t delay_us = 0;   ///< since the packet `largest` arrived
  std::uint32_t credit = 0;     ///< cells that the receiver can take in beyond these
  std::uint64_t largest = 0;    ///< highest packet number received
  std::array<std::uint8_t, bitmap_bytes> bitmap{};  ///< bit (i mod 8) of byte i / 8: largest - 1 - i as well
  std::uint64_t below = 0;                          ///< of D: everything below is done with
  std::uint16_t range_count = 0;
  std::array<Range, max_ranges> ranges{};  ///< of D, beyond `below`: ascending, apart

  bool operator==(const Acknowledgement&) const = default;
};
inline constexpr std::size_t acknowledgement_bytes = 72;  ///< and 16 for each range
inline constexpr std::size_t max_acknowledgement_bytes =
    acknowledgement_bytes + Acknowledgement::max_ranges * 16;

/// Writes and returns how many bytes; room for max_acknowledgement_bytes.
std::size_t write_acknowledgement(const Acknowledgement& acknowledgement, std::uint8_t* to) noexcept;
/// False where the payload is none.
bool read_acknowledgement(std::span<const std::uint8_t> payload, Acknowledgement& acknowledgement) noexcept;

/// "The pad of that packet is not here (any more): send the share under a fresh range."
/// header.placement is the one of the packet that it answers.
struct PadGone {
  PacketType type = PacketType::cell;  ///< of the packet that it answers
  std::uint16_t key_index = 0;         ///< and its other fields
  std::uint64_t number = 0;
  std::uint64_t d_offset = 0;
  std::uint32_t length = 0;

  bool operator==(const PadGone&) const = default;
};
inline constexpr std::size_t pad_gone_bytes = 24;

void write_pad_gone(const PadGone& answer, std::uint8_t* to) noexcept;
std::optional<PadGone> read_pad_gone(std::span<const std::uint8_t> payload) noexcept;

}  // namespace ssn::protocol
