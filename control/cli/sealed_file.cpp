// SPDX-License-Identifier: BSD-3-Clause
#include "sealed_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::cli {
namespace {

using protocol::load_big;
using protocol::store_big;

constexpr std::array<std::uint8_t, 8> magic = {'S', 'S', 'N', 'S', 'E', 'A', 'L', 1};
constexpr std::size_t names_at = 72;
constexpr std::size_t name_room = 256;
constexpr std::size_t reserved_at = names_at + 2 * name_room;
static_assert(reserved_at + 56 == preamble_bytes);
static_assert(name_room == SSN_PEER_NAME_MAX + 1);

void write_name(const std::string& name, std::uint8_t* to) noexcept {
  assert(name.size() < name_room);
  std::memset(to, 0, name_room);
  std::memcpy(to, name.data(), name.size());
}

// A name ends with the first zero byte; only zeros follow, and no control characters stand in it.
bool read_name(std::span<const std::uint8_t> from, std::string& name) {
  const auto end = std::find(from.begin(), from.end(), 0);
  name.assign(from.begin(), end);
  return end != from.begin() && end != from.end() &&
         std::all_of(end, from.end(), [](std::uint8_t byte) { return byte == 0; }) &&
         std::none_of(from.begin(), end, [](std::uint8_t byte) { return byte < 0x20 || byte == 0x7f; });
}

Error bad_preamble(Exit code, std::string why, const std::string& file) {
  return {code, "cannot open the sealed file", std::move(why), file,
          code == Exit::integrity ? "have it sealed again" : "give a file that `ssn seal` made"};
}

}  // namespace

std::uint32_t Preamble::bytes_of(std::uint64_t index) const noexcept {
  assert(index < cells());
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(cell_bytes, file_bytes - index * cell_bytes));
}

std::uint64_t Preamble::sealed_bytes() const noexcept {
  return preamble_bytes + (protocol::overhead_bytes + preamble_bytes) + cells() * protocol::overhead_bytes +
         file_bytes;
}

void write_preamble(const Preamble& preamble, std::span<std::uint8_t, preamble_bytes> to) noexcept {
  std::memset(to.data(), 0, to.size());
  std::memcpy(to.data(), magic.data(), magic.size());
  store_big(&to[8], static_cast<std::uint32_t>(preamble_bytes));
  store_big(&to[12], preamble.cell_bytes);
  store_big(&to[16], preamble.file_bytes);
  std::memcpy(&to[24], preamble.pads.data(), preamble.pads.size());
  std::memcpy(&to[40], preamble.tag_keys.data(), preamble.tag_keys.size());
  store_big(&to[56], preamble.object);
  store_big(&to[64], preamble.connection_id);
  to[68] = preamble.protection;
  write_name(preamble.sender, &to[names_at]);
  write_name(preamble.recipient, &to[names_at + name_room]);
}

Result<Preamble> read_preamble(std::span<const std::uint8_t> from, const std::string& file) {
  if (from.size() < preamble_bytes || !std::equal(magic.begin(), magic.end(), from.begin())) {
    return bad_preamble(Exit::not_a_share, "it does not begin as a sealed file of version 1 does", file);
  }
  Preamble preamble;
  preamble.cell_bytes = load_big<std::uint32_t>(&from[12]);
  preamble.file_bytes = load_big<std::uint64_t>(&from[16]);
  std::copy_n(&from[24], preamble.pads.size(), preamble.pads.begin());
  std::copy_n(&from[40], preamble.tag_keys.size(), preamble.tag_keys.begin());
  preamble.object = load_big<std::uint64_t>(&from[56]);
  preamble.connection_id = load_big<std::uint32_t>(&from[64]);
  preamble.protection = from[68];
  const bool names = read_name(from.subspan(names_at, name_room), preamble.sender) &&
                     read_name(from.subspan(names_at + name_room, name_room), preamble.recipient);
  const auto zero = [](std::uint8_t byte) { return byte == 0; };
  const bool zeros = std::all_of(&from[69], &from[names_at], zero) &&
                     std::all_of(&from[reserved_at], &from[preamble_bytes], zero);
  const bool sizes = load_big<std::uint32_t>(&from[8]) == preamble_bytes && preamble.cell_bytes != 0 &&
                     preamble.cell_bytes % protocol::pad_alignment == 0 &&
                     preamble.cell_bytes <= protocol::max_payload &&
                     preamble.file_bytes / preamble.cell_bytes < sealed_cells_max;
  if (!names || !zeros || !sizes || preamble.connection_id == 0 ||
      preamble.protection > SSN_PROTECTION_INFORMATION_THEORETIC || preamble.pads == preamble.tag_keys) {
    return bad_preamble(Exit::integrity, "its preamble is damaged", file);
  }
  return preamble;
}

protocol::PacketHeader header_of(const Preamble& preamble, std::uint64_t packet) noexcept {
  static_assert(preamble_bytes % protocol::pad_alignment == 0);
  protocol::PacketHeader header;
  header.connection_id = preamble.connection_id;
  header.number = packet;
  header.d_offset = packet == 0 ? 0 : preamble_bytes + (packet - 1) * preamble.cell_bytes;
  header.placement.object = preamble.object;
  header.placement.cell = static_cast<std::uint32_t>(packet);
  return header;
}

}  // namespace ssn::cli
