// SPDX-License-Identifier: BSD-3-Clause
// The data side of one session of an owner: packets under the session's keys, over a UDP socket, through the
// transport of docs/transport.md. What is in them is the caller's business.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "packet_arena.h"
#include "ssn/dataplane/session_host.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"
#include "udp_socket.h"

namespace ssn::client {

struct LinkOptions {
  std::uint32_t connection_id = 0;  ///< in packets to this end: as it was asked for
  std::uint32_t window = 0;         ///< blocks that this end has under way at most, in either direction
};

/// One thread, which turns around: turn(), then its own work, then wait(). The keys in `session` are copied;
/// nothing else of it is used later.
class SessionLink {
 public:
  static constexpr std::size_t max_burst = protocol::Channel::max_burst;

  static Result<std::unique_ptr<SessionLink>> make(const agent::Session& session, UdpSocket socket,
                                                   const LinkOptions& options, std::uint64_t now_ns);
  ~SessionLink();
  SessionLink(const SessionLink&) = delete;
  SessionLink& operator=(const SessionLink&) = delete;

  protocol::Channel& channel() noexcept { return *channel_; }
  PacketArena& arena() noexcept { return *arena_; }
  const UdpSocket& socket() const noexcept { return socket_; }

  /// Takes in what has arrived, keeps the transport going, sends what is to go out. Cells for the caller are
  /// put into `delivered` (room for max_burst) and must be given back to arena(). Errors are those of the
  /// socket.
  Result<std::size_t> turn(std::uint64_t now_ns, std::span<protocol::Cell*> delivered);
  /// Sends what is to go out; also part of turn().
  Outcome flush();
  /// Sleeps until something can be done: a packet comes, the socket takes packets again, the transport has
  /// something due, `until_ns` has come, or one of `others` (at most 3) is ready, whose revents it sets.
  Outcome wait(std::span<pollfd> others, std::uint64_t now_ns, std::uint64_t until_ns);

 private:
  SessionLink(UdpSocket socket, std::unique_ptr<PacketArena> arena,
              std::unique_ptr<protocol::SessionKeys> keys, hw::SecretBuffer sealer_memory,
              hw::SecretBuffer opener_memory, const kernels::Implementation& implementation);

  Result<std::size_t> receive(std::span<protocol::Cell*> cells);
  void refill();

  UdpSocket socket_;
  std::unique_ptr<PacketArena> arena_;
  std::unique_ptr<protocol::SessionKeys> keys_;
  hw::SecretBuffer sealer_memory_;
  hw::SecretBuffer opener_memory_;
  protocol::PacketCounters sealed_;
  protocol::PacketCounters opened_;
  protocol::ConnectionTable table_{1};
  protocol::Sealer sealer_;
  protocol::Opener opener_;
  std::unique_ptr<protocol::Channel> channel_;
  std::array<protocol::Cell*, max_burst> room_{};  // for what comes next
  std::size_t room_count_ = 0;
  std::array<protocol::Departure, max_burst> leaving_{};  // what the socket did not take yet
  std::size_t leaving_begin_ = 0;
  std::size_t leaving_end_ = 0;
};

/// Monotonic, in ns.
std::uint64_t clock_ns() noexcept;

}  // namespace ssn::client
