// SPDX-License-Identifier: BSD-3-Clause
// Sealed files: the packets of docs/wire-format.md, one after another, behind a preamble that says whose keys
// they need. docs/sealed-file-format.md is the specification.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "ssn/hw/key_device.h"
#include "ssn/hw/result.h"
#include "ssn/protocol/wire.h"

namespace ssn::cli {

inline constexpr std::size_t preamble_bytes = 640;
/// Cells are numbered with 32 bits, and the first one holds the preamble.
inline constexpr std::uint64_t sealed_cells_max = UINT32_MAX - 1;
inline constexpr std::uint32_t default_cell_bytes = 1344;

/// In clear at the begin of the file, and once more under pad and tag in the first packet.
struct Preamble {
  std::uint32_t cell_bytes = default_cell_bytes;  ///< a multiple of 64
  std::uint64_t file_bytes = 0;                   ///< of the file in clear
  hw::Ksid pads{};                                ///< KSID of the D stream
  hw::Ksid tag_keys{};                            ///< and of the A stream
  std::uint64_t object = 0;                       ///< random; stands in every packet
  std::uint32_t connection_id = 0;
  std::uint8_t protection = 0;  ///< enum ssn_protection: what the sender's device claims
  std::string sender;           ///< SAE IDs
  std::string recipient;

  bool operator==(const Preamble&) const = default;

  /// Data cells; the first packet is not counted.
  std::uint64_t cells() const noexcept { return (file_bytes + cell_bytes - 1) / cell_bytes; }
  /// Bytes of data cell `index` (from 0).
  std::uint32_t bytes_of(std::uint64_t index) const noexcept;
  /// Of the whole sealed file.
  std::uint64_t sealed_bytes() const noexcept;
};

void write_preamble(const Preamble& preamble, std::span<std::uint8_t, preamble_bytes> to) noexcept;
/// Exit::not_a_share where it is no sealed file, Exit::integrity where its fields contradict each other.
/// Takes whatever a file may hold.
Result<Preamble> read_preamble(std::span<const std::uint8_t> from, const std::string& file);

/// What the header of packet 0 (the preamble's) or of a data cell's packet says, all of it.
protocol::PacketHeader header_of(const Preamble& preamble, std::uint64_t packet) noexcept;

}  // namespace ssn::cli
