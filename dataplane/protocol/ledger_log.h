// SPDX-License-Identifier: BSD-3-Clause
// How batches of records lie in the ledger's file: docs/pads.md, "The ledger's file".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/protocol/ledger_state.h"

namespace ssn::protocol {

inline constexpr std::size_t ledger_block_bytes = 4096;
inline constexpr std::size_t ledger_area_blocks = 256;
inline constexpr std::size_t ledger_areas = 2;
inline constexpr std::size_t ledger_block_header = 48;
inline constexpr std::size_t ledger_payload_max = ledger_block_bytes - ledger_block_header;

/// Where the next batch goes.
struct LedgerTail {
  std::uint64_t generation = 1;  ///< of the area in use
  std::uint32_t next_block = 0;  ///< in that area
  std::uint64_t next_batch = 1;
};

constexpr std::size_t area_of(std::uint64_t generation) noexcept {
  return static_cast<std::size_t>(generation % ledger_areas);
}

/// Blocks for one batch that begins at `tail`; empty where it does not fit into the rest of the area.
std::vector<std::uint8_t> encode_batch(const LedgerTail& tail, std::span<const std::uint8_t> records);

/// Reads a whole file; gives the begin of a fresh area, beside the one that was read. What a crash may leave
/// (a torn last batch, an unfinished area) is passed over; anything else that is wrong is an error.
Result<LedgerTail> read_log(std::span<const std::uint8_t> image, LedgerState& state);

}  // namespace ssn::protocol
