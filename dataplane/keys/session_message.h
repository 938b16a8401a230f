// SPDX-License-Identifier: BSD-3-Clause
// What two key services say of an epoch that both have entered: its streams are open and packets can be
// opened, or it is over. Byte by byte in docs/associations.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

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
  };
  Type type = Type::ready;
  bool heard = false;  ///< ready: the sender has heard the receiver's
  std::uint64_t epoch = 0;
  SessionId session{};
};

inline constexpr std::size_t session_message_bytes = 32;

std::array<std::uint8_t, session_message_bytes> encode(const SessionMessage& message) noexcept;
/// Nothing in `bytes` is believed. Error integrity: malformed; refused: another version.
Result<SessionMessage> parse_session_message(std::span<const std::uint8_t> bytes);

}  // namespace ssn::dataplane
