// SPDX-License-Identifier: BSD-3-Clause
// What two key services say of an epoch that both have entered: its streams are open and packets can be
// opened, how far it has sent, or it is over. Byte by byte in docs/associations.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/protocol/association.h"

namespace ssn::dataplane {

/// Names an epoch between two nodes even where two of them have one number: the KSID of the pads that the
/// first worker of the node whose name sorts first sends.
using SessionId = protocol::Ksid;

SessionId session_of(const protocol::Agreement& agreement, const std::string& local, const std::string& peer);

struct SessionMessage {
  enum class Type : std::uint8_t {
    ready = 1,  ///< the workers of the sender open what comes
    ended = 2,  ///< nothing that comes will be opened any more
    sent = 3,   ///< the sender's positions
  };
  /// How far one worker has sent: offsets in its streams of pads and of tag keys.
  struct Position {
    std::uint64_t pads = 0;
    std::uint64_t tag_keys = 0;
    bool operator==(const Position&) const = default;
  };
  Type type = Type::ready;
  bool heard = false;  ///< ready: the sender has heard the receiver's
  std::uint64_t epoch = 0;
  SessionId session{};
  std::vector<Position> positions = {};  ///< sent: of each worker in use
};

/// Shortest and, with a position of each worker, longest message.
inline constexpr std::size_t session_message_bytes = 32;
inline constexpr std::size_t session_position_bytes = 16;
inline constexpr std::size_t session_message_max =
    session_message_bytes + protocol::workers_max * session_position_bytes;

std::vector<std::uint8_t> encode(const SessionMessage& message);
/// Nothing in `bytes` is believed. Error integrity: malformed; refused: another version.
Result<SessionMessage> parse_session_message(std::span<const std::uint8_t> bytes);

}  // namespace ssn::dataplane
