// SPDX-License-Identifier: BSD-3-Clause
#include "session_message.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::dataplane {
namespace {

constexpr std::array<std::uint8_t, 4> magic{'S', 'S', 'N', 'E'};
constexpr std::uint8_t version = 1;
constexpr std::uint8_t flag_heard = 1;
constexpr std::size_t epoch_at = 8;
constexpr std::size_t session_at = 16;
static_assert(session_at + sizeof(SessionId) == session_message_bytes);

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

std::array<std::uint8_t, session_message_bytes> encode(const SessionMessage& message) noexcept {
  std::array<std::uint8_t, session_message_bytes> out{};
  std::copy(magic.begin(), magic.end(), out.begin());
  out[4] = version;
  out[5] = static_cast<std::uint8_t>(message.type);
  out[6] = message.heard ? flag_heard : 0;
  for (std::size_t i = 0; i < 8; ++i) {
    out[epoch_at + i] = static_cast<std::uint8_t>(message.epoch >> (56 - 8 * i));
  }
  std::copy(message.session.begin(), message.session.end(), out.begin() + session_at);
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
  if (bytes.size() != session_message_bytes) return malformed("its length is wrong");
  SessionMessage message;
  message.type = static_cast<SessionMessage::Type>(bytes[5]);
  if (message.type != SessionMessage::Type::ready && message.type != SessionMessage::Type::ended) {
    return malformed("its type is unknown");
  }
  const bool flags = bytes[6] == 0 || (bytes[6] == flag_heard && message.type == SessionMessage::Type::ready);
  if (!flags || bytes[7] != 0) return malformed("reserved bits are set");
  message.heard = bytes[6] != 0;
  for (std::size_t i = 0; i < 8; ++i) message.epoch = message.epoch << 8 | bytes[epoch_at + i];
  std::copy_n(bytes.begin() + session_at, message.session.size(), message.session.begin());
  return message;
}

}  // namespace ssn::dataplane
