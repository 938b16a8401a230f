// SPDX-License-Identifier: BSD-3-Clause
// What other threads have for the ledger thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <variant>
#include <vector>

#include "device_thread.h"
#include "ssn/dataplane/peer_channel.h"

namespace ssn::dataplane {

struct PeerConnected {
  std::size_t peer = 0;
};
struct PeerMessage {
  std::size_t peer = 0;
  PeerMessageKind kind = PeerMessageKind::association;
  std::vector<std::uint8_t> bytes;
};
struct Readmit {
  std::size_t peer = 0;
};
struct ReadmitSelf {};
using Letter = std::variant<PeerConnected, PeerMessage, Readmit, ReadmitSelf, DeviceResult>;

/// Any thread puts, one takes. Bounded: what peers send by a limit for each, the rest by what was asked for.
class Inbox {
 public:
  static constexpr std::size_t messages_max = 64;  ///< of one peer

  explicit Inbox(std::size_t peers) : waiting_(peers, 0), dropped_(peers, 0) {}

  void put(Letter letter);
  /// A new connection with the peer: what came on the one before is not delivered any more.
  void put_connected(std::size_t peer);
  /// False: too many of this peer wait; counted.
  bool put_message(PeerMessage message);
  /// Waits until there is something or the time is over, then takes all.
  std::vector<Letter> take(std::chrono::steady_clock::time_point until);
  /// Messages of a peer that were dropped since the last call.
  std::uint64_t take_dropped(std::size_t peer);
  /// Makes take() return.
  void wake();

 private:
  std::mutex lock_;
  std::condition_variable arrived_;
  std::vector<Letter> letters_;
  std::vector<std::size_t> waiting_;  // messages, by peer
  std::vector<std::uint64_t> dropped_;
  bool woken_ = false;
};

}  // namespace ssn::dataplane
