// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/payloads.h"

#include <algorithm>
#include <cstring>

namespace ssn::protocol {
namespace {

bool all_zero(const std::uint8_t* bytes, std::size_t length) {
  return std::all_of(bytes, bytes + length, [](std::uint8_t byte) { return byte == 0; });
}

// Product of small numbers within the limit, or 0.
std::uint32_t range_bytes(std::uint32_t cells, std::uint32_t cell_bytes, std::uint32_t rows) {
  if (cells == 0 || rows == 0 || cell_bytes == 0 || cell_bytes % pad_alignment != 0 ||
      cells > max_order_bytes || cell_bytes > max_order_bytes || rows > 255) {
    return 0;
  }
  const std::uint64_t bytes = std::uint64_t{cells} * cell_bytes * rows;  // below 2^44
  return bytes > max_order_bytes ? 0 : static_cast<std::uint32_t>(bytes);
}

}  // namespace

std::uint32_t KeepOrder::bytes() const noexcept { return range_bytes(cells, cell_bytes, rows); }

std::uint32_t MaskOrder::bytes() const noexcept { return range_bytes(cells, cell_bytes, 1); }

void write_order(const KeepOrder& order, std::uint8_t* to) noexcept {
  store_big(to, order.cells);
  store_big(to + 4, order.cell_bytes);
  store_big(to + 8, order.rows);
  std::memset(to + 10, 0, keep_order_fields - 10);
}

std::optional<KeepOrder> read_keep_order(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != keep_order_bytes) {
    return std::nullopt;
  }
  const std::uint8_t* const from = payload.data();
  KeepOrder order;
  order.cells = load_big<std::uint32_t>(from);
  order.cell_bytes = load_big<std::uint32_t>(from + 4);
  order.rows = load_big<std::uint16_t>(from + 8);
  if (order.bytes() == 0 || !all_zero(from + 10, keep_order_fields - 10)) {
    return std::nullopt;
  }
  return order;
}

void write_order(const MaskOrder& order, std::uint8_t* to) noexcept {
  store_big(to, order.job);
  store_big(to + 8, order.cells);
  store_big(to + 12, order.cell_bytes);
  store_big(to + 16, order.round);
  to[18] = order.target;
  std::memset(to + 19, 0, 13);
  std::memcpy(to + 32, order.helpers.data(), order.helpers.size());
}

std::optional<MaskOrder> read_mask_order(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != mask_order_bytes) {
    return std::nullopt;
  }
  const std::uint8_t* const from = payload.data();
  MaskOrder order;
  order.job = load_big<std::uint64_t>(from);
  order.cells = load_big<std::uint32_t>(from + 8);
  order.cell_bytes = load_big<std::uint32_t>(from + 12);
  order.round = load_big<std::uint16_t>(from + 16);
  order.target = from[18];
  std::memcpy(order.helpers.data(), from + 32, order.helpers.size());
  if (order.bytes() == 0 || order.target == 0 || !all_zero(from + 19, 13) || (order.helpers[0] & 1U) != 0) {
    return std::nullopt;  // there is no share 0
  }
  return order;
}

std::size_t write_acknowledgement(const Acknowledgement& a, std::uint8_t* to) noexcept {
  const std::size_t count = std::min<std::size_t>(a.range_count, Acknowledgement::max_ranges);
  to[0] = static_cast<std::uint8_t>(a.kind);
  to[1] = a.flags;
  store_big(to + 2, a.key_index);
  store_big(to + 4, a.delay_us);
  store_big(to + 8, a.credit);
  store_big(to + 12, static_cast<std::uint16_t>(count));
  std::memset(to + 14, 0, 10);
  store_big(to + 24, a.largest);
  std::memcpy(to + 32, a.bitmap.data(), a.bitmap.size());
  store_big(to + 64, a.below);
  for (std::size_t i = 0; i < count; ++i) {
    store_big(to + acknowledgement_bytes + i * 16, a.ranges[i].begin);
    store_big(to + acknowledgement_bytes + i * 16 + 8, a.ranges[i].end);
  }
  return acknowledgement_bytes + count * 16;
}

bool read_acknowledgement(std::span<const std::uint8_t> payload, Acknowledgement& a) noexcept {
  if (payload.size() < acknowledgement_bytes) {
    return false;
  }
  const std::uint8_t* const from = payload.data();
  a.range_count = load_big<std::uint16_t>(from + 12);
  if ((from[0] != 1 && from[0] != 2) || (from[1] & ~known_flags) != 0 || !all_zero(from + 14, 10) ||
      a.range_count > Acknowledgement::max_ranges ||
      payload.size() != acknowledgement_bytes + std::size_t{a.range_count} * 16) {
    return false;
  }
  a.kind = static_cast<Acknowledgement::Kind>(from[0]);
  a.flags = from[1];
  a.key_index = load_big<std::uint16_t>(from + 2);
  a.delay_us = load_big<std::uint32_t>(from + 4);
  a.credit = load_big<std::uint32_t>(from + 8);
  a.largest = load_big<std::uint64_t>(from + 24);
  std::memcpy(a.bitmap.data(), from + 32, a.bitmap.size());
  a.below = load_big<std::uint64_t>(from + 64);
  if (a.largest >= max_offset || a.below >= max_offset) {
    return false;
  }
  std::uint64_t last = a.below;
  for (std::size_t i = 0; i < a.range_count; ++i) {
    Acknowledgement::Range& range = a.ranges[i];
    range.begin = load_big<std::uint64_t>(from + acknowledgement_bytes + i * 16);
    range.end = load_big<std::uint64_t>(from + acknowledgement_bytes + i * 16 + 8);
    if (range.begin <= last || range.end <= range.begin || range.end > max_offset) {
      return false;
    }
    last = range.end;
  }
  std::fill(a.ranges.begin() + a.range_count, a.ranges.end(), Acknowledgement::Range{});
  return true;
}

void write_pad_gone(const PadGone& answer, std::uint8_t* to) noexcept {
  to[0] = static_cast<std::uint8_t>(answer.type);
  to[1] = 0;
  store_big(to + 2, answer.key_index);
  store_big(to + 4, answer.length);
  store_big(to + 8, answer.number);
  store_big(to + 16, answer.d_offset);
}

std::optional<PadGone> read_pad_gone(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != pad_gone_bytes) {
    return std::nullopt;
  }
  const std::uint8_t* const from = payload.data();
  PadGone answer;
  answer.key_index = load_big<std::uint16_t>(from + 2);
  answer.length = load_big<std::uint32_t>(from + 4);
  answer.number = load_big<std::uint64_t>(from + 8);
  answer.d_offset = load_big<std::uint64_t>(from + 16);
  const bool known = from[0] >= 1 && from[0] <= last_packet_type;
  if (!known || from[1] != 0 || !has_pad_range(static_cast<PacketType>(from[0])) || answer.length == 0 ||
      answer.length > max_order_bytes || answer.number >= max_offset || answer.d_offset >= max_offset ||
      answer.d_offset % pad_alignment != 0) {
    return std::nullopt;
  }
  answer.type = static_cast<PacketType>(from[0]);
  return answer;
}

}  // namespace ssn::protocol
