// SPDX-License-Identifier: BSD-3-Clause
#include "session_message.h"

#include <algorithm>
#include <cassert>

#include "ssn/protocol/wire.h"

namespace ssn::dataplane {
namespace {

constexpr std::array<std::uint8_t, 4> magic{'S', 'S', 'N', 'E'};
constexpr std::uint8_t version = 1;
constexpr std::uint8_t flag_heard = 1;
constexpr std::size_t epoch_at = 8;
constexpr std::size_t session_at = 16;
static_assert(session_at + sizeof(SessionId) == session_message_bytes);

void put(std::uint8_t* to, std::uint64_t number) noexcept {
  for (std::size_t i = 0; i < 8; ++i) to[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
}

std::uint64_t get(const std::uint8_t* from) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | from[i];
  return number;
}

Error malformed(const char* why) {
  return {Exit::integrity, "cannot read a session message", why, "",
          "update the node that sent it, or this one"};
}

}  // namespace

SessionId session_of(const protocol::Agreement& agreement, const std::string& local,
                     const std::string& peer) {
  // Of each worker: pads out, tag keys out, pads in, tag keys in.
  assert(agreement.streams.size() >= 4);
  return agreement.streams[local < peer ? 0 : 2].ksid;
}

std::vector<std::uint8_t> encode(const SessionMessage& message) {
  assert(message.positions.size() <= protocol::workers_max);
  std::vector<std::uint8_t> out(session_message_bytes + message.positions.size() * session_position_bytes);
  std::copy(magic.begin(), magic.end(), out.begin());
  out[4] = version;
  out[5] = static_cast<std::uint8_t>(message.type);
  out[6] = message.heard ? flag_heard : 0;
  put(&out[epoch_at], message.epoch);
  std::copy(message.session.begin(), message.session.end(), out.begin() + session_at);
  std::uint8_t* at = out.data() + session_message_bytes;
  for (const SessionMessage::Position& position : message.positions) {
    put(at, position.pads);
    put(at + 8, position.tag_keys);
    at += session_position_bytes;
  }
  return out;
}

Result<SessionMessage> parse_session_message(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 5 || !std::equal(magic.begin(), magic.end(), bytes.begin())) {
    return malformed("it does not begin like one");
  }
  if (bytes[4] != version) {
    return Error{Exit::refused, "cannot read a session message",
                 "it has version " + std::to_string(bytes[4]) + ", and this node speaks version 1", "",
                 "update the older node"};
  }
  if (bytes.size() < session_message_bytes || bytes.size() > session_message_max) {
    return malformed("its length is wrong");
  }
  SessionMessage message;
  message.type = static_cast<SessionMessage::Type>(bytes[5]);
  if (message.type < SessionMessage::Type::ready || message.type > SessionMessage::Type::sent) {
    return malformed("its type is unknown");
  }
  const std::size_t rest = bytes.size() - session_message_bytes;
  const bool positions = message.type == SessionMessage::Type::sent;
  if (rest % session_position_bytes != 0 || (rest != 0) != positions) return malformed("its length is wrong");
  const bool flags = bytes[6] == 0 || (bytes[6] == flag_heard && message.type == SessionMessage::Type::ready);
  if (!flags || bytes[7] != 0) return malformed("reserved bits are set");
  message.heard = bytes[6] != 0;
  message.epoch = get(&bytes[epoch_at]);
  std::copy_n(bytes.begin() + session_at, message.session.size(), message.session.begin());
  for (std::size_t at = session_message_bytes; at < bytes.size(); at += session_position_bytes) {
    const SessionMessage::Position position{get(&bytes[at]), get(&bytes[at + 8])};
    if (position.pads >= protocol::max_offset || position.tag_keys >= protocol::max_offset) {
      return malformed("it names an offset that no stream reaches");
    }
    message.positions.push_back(position);
  }
  return message;
}

}  // namespace ssn::dataplane
