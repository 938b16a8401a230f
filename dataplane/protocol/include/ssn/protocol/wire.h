// SPDX-License-Identifier: BSD-3-Clause
// The wire format, version 1: what every packet begins with. docs/wire-format.md is its specification.
//
//   UDP | header, 48 bytes | tag, 16 bytes | payload
//
// Fixed fields, big-endian, no options. The header and the tag fill one cache line, so that a payload that
// lies on a cache line needs exactly one more in front of it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ssn/protocol/packet_counters.h"

namespace ssn::protocol {

inline constexpr std::uint8_t wire_version = 1;
inline constexpr std::size_t header_bytes = 48;
inline constexpr std::size_t wire_tag_bytes = 16;
/// In front of every payload.
inline constexpr std::size_t overhead_bytes = header_bytes + wire_tag_bytes;
/// A packet has at most 16 KiB: more than a jumbo frame holds.
inline constexpr std::size_t max_payload = 16384 - overhead_bytes;
/// D ranges begin at multiples of this: the granule of pad_stream.h.
inline constexpr std::uint64_t pad_alignment = 64;
/// No offset or packet number reaches this: sums of an offset and a length cannot overflow.
inline constexpr std::uint64_t max_offset = std::uint64_t{1} << 62;

enum class PacketType : std::uint8_t {
  cell = 1,             ///< payload: a cell of a share, under pad
  keep_order = 2,       ///< payload: KeepOrder; the pad at d_offset becomes share bytes
  mask_order = 3,       ///< payload: MaskOrder; the pad at d_offset masks a contribution to a repair
  acknowledgement = 4,  ///< payload: Acknowledgement, in clear
  pad_gone = 5,         ///< payload: PadGone, in clear: the answer to an order or cell without its pad
  read = 6,             ///< payload: ReadRequest (requests.h), in clear, as are those that follow
  delete_order = 7,     ///< payload: DeleteOrder
  seal_order = 8,       ///< payload: SealOrder
  answer = 9,           ///< payload: Answer
  ping = 10,            ///< payload: Ping
  contribution = 11,    ///< payload: a giver's part of a cell that is made anew, under pad; object: the job
  challenge = 12,       ///< payload: Challenge; object: the job
};
inline constexpr std::uint8_t last_packet_type = 12;

/// Bits of PacketHeader::flags.
inline constexpr std::uint8_t flag_computational = 1;  ///< AES-256-GCM, not pad and mask; see gcm_channel.h
inline constexpr std::uint8_t known_flags = flag_computational;

/// What a cell is, so that it can be written wherever it belongs as soon as it arrives.
struct Placement {
  std::uint64_t object = 0;  ///< as the session that the controller opened names it, or a job of re-sharing
  std::uint32_t cell = 0;    ///< the first one of an order
  std::uint32_t generation = 0;  ///< shares combine within one generation and attempt only
  std::uint16_t attempt = 0;
  std::uint8_t share = 0;  ///< share index 1..n; 0 where it means nothing

  bool operator==(const Placement&) const = default;
};

struct PacketHeader {
  PacketType type = PacketType::cell;
  std::uint8_t flags = 0;
  std::uint16_t key_index = 0;      ///< the association's number for a pair of D and A stream
  std::uint32_t connection_id = 0;  ///< chosen by the receiver of the packet; never 0
  std::uint64_t number = 0;         ///< packet number within the key index
  std::uint64_t d_offset = 0;       ///< where the pad range begins; 0 for what has none
  Placement placement;

  bool operator==(const PacketHeader&) const = default;
};

/// Whether packets of this type name a range of the D stream (unless they are computational).
constexpr bool has_pad_range(PacketType type) noexcept {
  return type == PacketType::cell || type == PacketType::keep_order || type == PacketType::mask_order ||
         type == PacketType::contribution;
}

/// Whether its payload is under pad: bytes of a share, or what becomes some.
constexpr bool is_padded(PacketType type) noexcept {
  return type == PacketType::cell || type == PacketType::contribution;
}

/// Whether its payload is fields in clear and nothing of the D stream belongs to it.
constexpr bool is_message(PacketType type) noexcept {
  return type >= PacketType::acknowledgement && type != PacketType::contribution;
}

template <typename Integer>
inline Integer load_big(const std::uint8_t* from) noexcept {
  static_assert(std::endian::native == std::endian::little, "byte order of this machine");
  Integer value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (sizeof value == 8) {
    return static_cast<Integer>(__builtin_bswap64(value));
  } else if constexpr (sizeof value == 4) {
    return static_cast<Integer>(__builtin_bswap32(value));
  } else {
    static_assert(sizeof value == 2);
    return static_cast<Integer>(__builtin_bswap16(value));
  }
}

template <typename Integer>
inline void store_big(std::uint8_t* to, Integer value) noexcept {
  const Integer swapped = load_big<Integer>(reinterpret_cast<const std::uint8_t*>(&value));
  std::memcpy(to, &swapped, sizeof swapped);
}

/// Writes header_bytes bytes.
inline void write_header(const PacketHeader& header, std::uint8_t* to) noexcept {
  to[0] = wire_version;
  to[1] = static_cast<std::uint8_t>(header.type);
  store_big(to + 2, header.key_index);
  store_big(to + 4, header.connection_id);
  store_big(to + 8, header.number);
  store_big(to + 16, header.d_offset);
  store_big(to + 24, header.placement.object);
  store_big(to + 32, header.placement.cell);
  store_big(to + 36, header.placement.generation);
  store_big(to + 40, header.placement.attempt);
  to[42] = header.placement.share;
  to[43] = header.flags;
  std::memset(to + 44, 0, 4);
}

/// A retransmission differs from the first transmission in this field only.
inline void write_number(std::uint64_t number, std::uint8_t* header) noexcept {
  store_big(header + 8, number);
}

/// Reads a packet of `bytes` bytes: everything after UDP. DropReason::none, or why it cannot be one of ours;
/// `header` is then not to be used. Whatever comes from the network may be given.
inline DropReason parse_header(const std::uint8_t* packet, std::size_t bytes, PacketHeader& header) noexcept {
  if (bytes <= overhead_bytes) {
    return DropReason::too_short;
  }
  if (bytes > overhead_bytes + max_payload) {
    return DropReason::too_long;
  }
  if (packet[0] != wire_version) {
    return DropReason::unknown_version;
  }
  if (packet[1] < 1 || packet[1] > last_packet_type) {
    return DropReason::unknown_type;
  }
  header.type = static_cast<PacketType>(packet[1]);
  header.key_index = load_big<std::uint16_t>(packet + 2);
  header.connection_id = load_big<std::uint32_t>(packet + 4);
  header.number = load_big<std::uint64_t>(packet + 8);
  header.d_offset = load_big<std::uint64_t>(packet + 16);
  header.placement.object = load_big<std::uint64_t>(packet + 24);
  header.placement.cell = load_big<std::uint32_t>(packet + 32);
  header.placement.generation = load_big<std::uint32_t>(packet + 36);
  header.placement.attempt = load_big<std::uint16_t>(packet + 40);
  header.placement.share = packet[42];
  header.flags = packet[43];
  if ((header.flags & ~known_flags) != 0 || load_big<std::uint32_t>(packet + 44) != 0) {
    return DropReason::reserved_bits;
  }
  const bool computational = (header.flags & flag_computational) != 0;
  if (header.number >= max_offset || header.d_offset >= max_offset || header.d_offset % pad_alignment != 0 ||
      (!has_pad_range(header.type) && !computational && header.d_offset != 0)) {
    return DropReason::bad_field;
  }
  return DropReason::none;
}

}  // namespace ssn::protocol
