// SPDX-License-Identifier: BSD-3-Clause
// When a peer is told how far this node has sent, so that it finds its place again where it missed more than
// its rings hold. A message costs both ends far more than what is learnt from it, unless rings turn over
// meanwhile. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "session_message.h"
#include "ssn/dataplane/connection.h"

namespace ssn::dataplane {

/// Never more often than this, also where rings turn over.
inline constexpr std::chrono::milliseconds telling_interval{20};
/// At least so often, where anything was sent.
inline constexpr std::chrono::milliseconds calm_telling_interval{200};
/// A ring is turning over once one of so many parts of it has passed.
inline constexpr std::uint64_t telling_parts = 8;

/// Whether the peer, which was told `told` so long ago, is to be told that it is `now`. Of each worker;
/// another number of them is another session.
bool is_due(std::span<const SessionMessage::Position> now, std::span<const SessionMessage::Position> told,
            std::chrono::nanoseconds ago, const ConnectionLimits& limits);

}  // namespace ssn::dataplane
