// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/requests.h"

#include <algorithm>
#include <cstring>

#include "ssn/protocol/payloads.h"

namespace ssn::protocol {
namespace {

bool all_zero(const std::uint8_t* bytes, std::size_t length) {
  return std::all_of(bytes, bytes + length, [](std::uint8_t byte) { return byte == 0; });
}

/// Whether no bit from `count` on is set.
bool ends_at(const CellBitmap& bitmap, std::size_t count) {
  for (std::size_t at = count; at < max_named_cells; ++at) {
    if (names_cell(bitmap, at)) return false;
  }
  return true;
}

bool can_be_answered(std::uint8_t type) {
  switch (static_cast<PacketType>(type)) {
    case PacketType::cell:
    case PacketType::keep_order:
    case PacketType::mask_order:
    case PacketType::read:
    case PacketType::delete_order:
    case PacketType::seal_order:
      return true;
    case PacketType::acknowledgement:
    case PacketType::pad_gone:
    case PacketType::answer:
    case PacketType::ping:
    case PacketType::contribution:
    case PacketType::challenge:
      break;
  }
  return false;
}

}  // namespace

void write_read_request(const ReadRequest& request, std::uint8_t* to) noexcept {
  store_big(to, request.request);
  store_big(to + 8, request.count);
  std::memset(to + 10, 0, 6);
  std::memcpy(to + 16, request.bitmap.data(), request.bitmap.size());
}

std::optional<ReadRequest> read_read_request(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != read_request_bytes) {
    return std::nullopt;
  }
  const std::uint8_t* const from = payload.data();
  ReadRequest request;
  request.request = load_big<std::uint64_t>(from);
  request.count = load_big<std::uint16_t>(from + 8);
  std::memcpy(request.bitmap.data(), from + 16, request.bitmap.size());
  if (request.count == 0 || request.count > max_named_cells || !all_zero(from + 10, 6) ||
      ends_at(request.bitmap, 0) || !ends_at(request.bitmap, request.count)) {
    return std::nullopt;
  }
  return request;
}

void write_delete_order(const DeleteOrder& order, std::uint8_t* to) noexcept { store_big(to, order.request); }

std::optional<DeleteOrder> read_delete_order(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != delete_order_bytes) {
    return std::nullopt;
  }
  return DeleteOrder{load_big<std::uint64_t>(payload.data())};
}

std::size_t write_seal_order(const SealOrder& order, std::uint8_t* to) noexcept {
  const std::size_t count = std::min<std::size_t>(order.run_count, SealOrder::max_runs);
  store_big(to, order.request);
  store_big(to + 8, order.cells);
  store_big(to + 12, order.end);
  store_big(to + 16, static_cast<std::uint16_t>(count));
  std::memset(to + 18, 0, 6);
  for (std::size_t i = 0; i < count; ++i) {
    store_big(to + seal_order_bytes + 8 * i, order.runs[i].first);
    store_big(to + seal_order_bytes + 8 * i + 4, order.runs[i].attempt);
    std::memset(to + seal_order_bytes + 8 * i + 6, 0, 2);
  }
  return seal_order_bytes + 8 * count;
}

bool read_seal_order(std::span<const std::uint8_t> payload, std::uint32_t first, SealOrder& order) noexcept {
  if (payload.size() < seal_order_bytes) {
    return false;
  }
  const std::uint8_t* const from = payload.data();
  order.request = load_big<std::uint64_t>(from);
  order.cells = load_big<std::uint32_t>(from + 8);
  order.end = load_big<std::uint32_t>(from + 12);
  order.run_count = load_big<std::uint16_t>(from + 16);
  if (order.run_count > SealOrder::max_runs || !all_zero(from + 18, 6) ||
      payload.size() != seal_order_bytes + std::size_t{8} * order.run_count || order.end > order.cells ||
      (order.run_count == 0) != (order.cells == 0) || (order.cells == 0 && first != 0)) {
    return false;
  }
  for (std::size_t i = 0; i < order.run_count; ++i) {
    const std::uint8_t* const at = from + seal_order_bytes + 8 * i;
    const SealOrder::Run run{load_big<std::uint32_t>(at), load_big<std::uint16_t>(at + 4)};
    const bool follows = i == 0 ? run.first == first : run.first > order.runs[i - 1].first;
    if (!follows || run.first >= order.end || !all_zero(at + 6, 2)) {
      return false;
    }
    order.runs[i] = run;
  }
  std::fill(order.runs.begin() + order.run_count, order.runs.end(), SealOrder::Run{});
  return true;
}

void write_answer(const Answer& answer, std::uint8_t* to) noexcept {
  to[0] = static_cast<std::uint8_t>(answer.type);
  to[1] = static_cast<std::uint8_t>(answer.code);
  store_big(to + 2, answer.count);
  store_big(to + 4, answer.retry_us);
  store_big(to + 8, answer.request);
  std::memcpy(to + 16, answer.bitmap.data(), answer.bitmap.size());
}

std::optional<Answer> read_answer(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != answer_bytes || !can_be_answered(payload[0]) || payload[1] < 1 ||
      payload[1] > last_answer_code) {
    return std::nullopt;
  }
  const std::uint8_t* const from = payload.data();
  Answer answer;
  answer.type = static_cast<PacketType>(from[0]);
  answer.code = static_cast<AnswerCode>(from[1]);
  answer.count = load_big<std::uint16_t>(from + 2);
  answer.retry_us = load_big<std::uint32_t>(from + 4);
  answer.request = load_big<std::uint64_t>(from + 8);
  std::memcpy(answer.bitmap.data(), from + 16, answer.bitmap.size());
  const bool asked = answer.type >= PacketType::read;
  if (answer.count > max_named_cells || !ends_at(answer.bitmap, answer.count) ||
      (answer.count != 0 && ends_at(answer.bitmap, 0)) || (!asked && answer.request != 0) ||
      (answer.code != AnswerCode::busy && answer.retry_us != 0)) {
    return std::nullopt;
  }
  return answer;
}

void write_ping(const Ping& ping, std::uint8_t* to) noexcept {
  store_big(to, ping.d_below);
  store_big(to + 8, ping.number_below);
}

std::optional<Ping> read_ping(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != ping_bytes) {
    return std::nullopt;
  }
  const Ping ping{load_big<std::uint64_t>(payload.data()), load_big<std::uint64_t>(payload.data() + 8)};
  if (ping.d_below >= max_offset || ping.d_below % pad_alignment != 0 || ping.number_below >= max_offset) {
    return std::nullopt;
  }
  return ping;
}

void write_challenge(const Challenge& challenge, std::uint8_t* to) noexcept {
  std::memcpy(to, challenge.seed.data(), challenge.seed.size());
}

std::optional<Challenge> read_challenge(std::span<const std::uint8_t> payload) noexcept {
  if (payload.size() != challenge_bytes) {
    return std::nullopt;
  }
  Challenge challenge;
  std::memcpy(challenge.seed.data(), payload.data(), challenge.seed.size());
  return challenge;
}

bool well_formed_message(const PacketHeader& header, std::span<const std::uint8_t> payload) noexcept {
  switch (header.type) {
    case PacketType::acknowledgement: {
      Acknowledgement read;
      return read_acknowledgement(payload, read);
    }
    case PacketType::pad_gone:
      return read_pad_gone(payload).has_value();
    case PacketType::read:
      return read_read_request(payload).has_value();
    case PacketType::delete_order:
      return read_delete_order(payload).has_value();
    case PacketType::seal_order: {
      SealOrder read;
      return read_seal_order(payload, header.placement.cell, read);
    }
    case PacketType::answer:
      return read_answer(payload).has_value();
    case PacketType::ping:
      return read_ping(payload).has_value();
    case PacketType::challenge:
      return read_challenge(payload).has_value();
    case PacketType::cell:
    case PacketType::keep_order:
    case PacketType::mask_order:
    case PacketType::contribution:
      break;
  }
  return false;
}

}  // namespace ssn::protocol
