// SPDX-License-Identifier: BSD-3-Clause
// What an SSA asks of a shareholder beside cells and orders, and what it is answered: read, delete, seal,
// answer, ping; and what shareholders ask each other: challenge. Fixed fields, big-endian;
// docs/wire-format.md has them byte by byte. Readers take whatever an authentic but broken peer may send. A
// packet of these types may arrive more than once, under two packet numbers: whoever serves them does the
// same for the same request again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ssn/protocol/wire.h"

namespace ssn::protocol {

/// Cells that one read or answer can name: bit (i mod 8) of byte i / 8 is cell header.placement.cell + i.
inline constexpr std::size_t max_named_cells = 256;
using CellBitmap = std::array<std::uint8_t, max_named_cells / 8>;

constexpr bool names_cell(const CellBitmap& bitmap, std::size_t at) noexcept {
  return (bitmap[at / 8] >> (at % 8) & 1U) != 0;
}
constexpr void name_cell(CellBitmap& bitmap, std::size_t at) noexcept {
  bitmap[at / 8] = static_cast<std::uint8_t>(bitmap[at / 8] | 1U << (at % 8));
}

/// "Send these cells of your share." Answered by packets of type cell, and by an answer for what cannot be
/// given. header.placement: object, generation, attempt, share, first cell.
struct ReadRequest {
  std::uint64_t request = 0;  ///< chosen by who asks; the answer repeats it
  std::uint16_t count = 0;    ///< 1 to max_named_cells; bits from there on are 0, and one below is not
  CellBitmap bitmap{};

  bool operator==(const ReadRequest&) const = default;
};

/// "Erase this generation." header.placement: object, generation.
struct DeleteOrder {
  std::uint64_t request = 0;

  bool operator==(const DeleteOrder&) const = default;
};

/// "Make durable which attempt each cell belongs to." header.placement: object, generation, share, and the
/// first cell that this order is about. An order that has not enough runs for a whole object is one of
/// several; the share is sealed when all its cells are. Answered when that is durable.
struct SealOrder {
  struct Run {
    std::uint32_t first = 0;  ///< from this cell on to the next run, or `end`
    std::uint16_t attempt = 0;
    bool operator==(const Run&) const = default;
  };
  static constexpr std::size_t max_runs = 128;

  std::uint64_t request = 0;
  std::uint32_t cells = 0;  ///< of the whole object
  std::uint32_t end = 0;    ///< behind the last cell that this order is about
  std::uint16_t run_count = 0;
  /// Ascending; the first one begins at header.placement.cell. None where the object has no cells.
  std::array<Run, max_runs> runs{};

  bool operator==(const SealOrder&) const = default;
};

enum class AnswerCode : std::uint8_t {
  done = 1,         ///< durable, where the request changes something
  not_found = 2,    ///< no such object, generation, attempt, share or cell
  incomplete = 3,   ///< a seal: the named cells are missing, and maybe more behind them
  quarantined = 4,  ///< the record is damaged and was put aside
  read_only = 5,    ///< the store takes nothing until it was checked
  disk_full = 6,
  io_error = 7,
  busy = 8,     ///< not now; not earlier than after retry_us
  refused = 9,  ///< the holder's rules forbid it
};
inline constexpr std::uint8_t last_answer_code = 9;

/// The answer to a request, or to a cell or order that could not be stored. header.placement repeats the one
/// of what is answered, but for the cell: the first one that the answer is about.
struct Answer {
  PacketType type =
      PacketType::read;  ///< of what is answered: cell, keep_order, mask_order, read, delete, seal
  AnswerCode code = AnswerCode::done;
  std::uint16_t count = 0;     ///< of cells that bits stand for; 0: all that was asked
  std::uint32_t retry_us = 0;  ///< with busy only
  std::uint64_t request = 0;   ///< of the request; 0 for cells and orders
  CellBitmap bitmap{};

  bool operator==(const Answer&) const = default;
};

/// Asks for acknowledgements of everything at once, and says what the sender waits for no more. The receiver
/// forgets what it knows about that, and discards pads there that were never used. header.placement: zeros.
struct Ping {
  std::uint64_t d_below = 0;  ///< never again a packet with a range below this; a multiple of 64
  /// No acknowledgement is expected for packets under AES-256-GCM below this number.
  std::uint64_t number_below = 0;

  bool operator==(const Ping&) const = default;
};

/// "Fold your share with what follows from this." Of the masked check of re-sharing: header.placement: job,
/// generation, round as the attempt, share index of the checker.
struct Challenge {
  std::array<std::uint8_t, 32> seed{};

  bool operator==(const Challenge&) const = default;
};

inline constexpr std::size_t read_request_bytes = 48;
inline constexpr std::size_t delete_order_bytes = 8;
inline constexpr std::size_t seal_order_bytes = 24;  ///< and 8 for each run
inline constexpr std::size_t max_seal_order_bytes = seal_order_bytes + SealOrder::max_runs * 8;
inline constexpr std::size_t answer_bytes = 48;
inline constexpr std::size_t ping_bytes = 16;
inline constexpr std::size_t challenge_bytes = 32;

/// Write *_bytes bytes. A seal order's length is returned.
void write_read_request(const ReadRequest& request, std::uint8_t* to) noexcept;
void write_delete_order(const DeleteOrder& order, std::uint8_t* to) noexcept;
std::size_t write_seal_order(const SealOrder& order, std::uint8_t* to) noexcept;
void write_answer(const Answer& answer, std::uint8_t* to) noexcept;
void write_ping(const Ping& ping, std::uint8_t* to) noexcept;
void write_challenge(const Challenge& challenge, std::uint8_t* to) noexcept;

/// Nothing, or false, where the payload is none such.
std::optional<ReadRequest> read_read_request(std::span<const std::uint8_t> payload) noexcept;
std::optional<DeleteOrder> read_delete_order(std::span<const std::uint8_t> payload) noexcept;
/// `first`: header.placement.cell.
bool read_seal_order(std::span<const std::uint8_t> payload, std::uint32_t first, SealOrder& order) noexcept;
std::optional<Answer> read_answer(std::span<const std::uint8_t> payload) noexcept;
std::optional<Ping> read_ping(std::span<const std::uint8_t> payload) noexcept;
std::optional<Challenge> read_challenge(std::span<const std::uint8_t> payload) noexcept;

/// Whether the payload is one of its header's type: of those above, an acknowledgement, or pad gone.
bool well_formed_message(const PacketHeader& header, std::span<const std::uint8_t> payload) noexcept;

}  // namespace ssn::protocol
