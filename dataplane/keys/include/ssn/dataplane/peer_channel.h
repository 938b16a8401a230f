// SPDX-License-Identifier: BSD-3-Clause
// How two nodes' key services talk: small messages over the control side's channel, never over the data port.
// The agent implements it over mutual TLS (dataplane/agent); tests do it in memory.
//
// The channel authenticates the peer: a name that it gives is the one in the peer's certificate, and a
// configured peer. It may lose messages, and says so by a new on_connected(); of one connection it keeps the
// order. What it delivers comes from the newest connection with the peer only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ssn::dataplane {

/// On the wire as they are; values never change their meaning.
enum class PeerMessageKind : std::uint8_t {
  association = 1,  ///< ssn/protocol/association_message.h
  session = 2,      ///< an epoch's streams are open, or over: dataplane/keys/session_message.h
  key_device = 3,   ///< between the key drivers of both nodes: docs/key-id-messages.md
};

/// Longest message of any kind (SSN_KEY_PEER_MESSAGE_MAX).
inline constexpr std::size_t peer_message_max = 65536;

/// What the channel calls, on any thread, for one peer one call at a time. Neither blocks for long.
class PeerReceiver {
 public:
  /// Messages can be exchanged with `peer`; whatever came from it before this is not delivered any more.
  virtual void on_connected(const std::string& peer) = 0;
  /// Nothing in `bytes` is believed. Peers that are not configured are ignored.
  virtual void on_message(const std::string& peer, PeerMessageKind kind,
                          std::span<const std::uint8_t> bytes) = 0;

 protected:
  PeerReceiver() = default;
  PeerReceiver(const PeerReceiver&) = default;
  PeerReceiver& operator=(const PeerReceiver&) = default;
  ~PeerReceiver() = default;
};

/// Any thread. Outlives the key service that uses it.
class PeerChannel {
 public:
  /// Copies the message (at most peer_message_max) into a bounded queue. Never blocks. False: there is no
  /// connection with the peer at present, or its queue is full; on_connected() comes when there is one again.
  virtual bool send(const std::string& peer, PeerMessageKind kind, std::span<const std::uint8_t> bytes) = 0;
  /// From now on `receiver` gets what arrives, first an on_connected() for each peer that is connected; null:
  /// nobody does. Returns when no call to the receiver before is under way; not to be called by a receiver.
  virtual void listen(PeerReceiver* receiver) = 0;

 protected:
  PeerChannel() = default;
  PeerChannel(const PeerChannel&) = default;
  PeerChannel& operator=(const PeerChannel&) = default;
  ~PeerChannel() = default;
};

}  // namespace ssn::dataplane
