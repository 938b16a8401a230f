// SPDX-License-Identifier: BSD-3-Clause
// Two nodes agree on an epoch: fresh KSIDs for all streams between them, after each has proved that it is not
// behind what the other saw of it.
//
//   hello ->  <- hello     who I am, my marks, my memory of yours
//   confirm -> <- confirm  the epoch is on my disk
//
// Either may begin; both may at once. Nothing is told before it is durable, so that a crash at any moment
// leaves a node that is not behind. The control side carries the messages over mutual TLS: it authenticates,
// keeps their order, and delivers only those of the newest connection with a peer.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ssn/protocol/association_message.h"
#include "ssn/protocol/ledger.h"

namespace ssn::protocol {

struct AssociationConfig {
  std::string local;
  std::string peer;
  InstanceId instance{};  ///< random, one for each start of the process
  std::uint32_t longest_range = 0;
  std::uint32_t window = 0;
  std::vector<std::uint32_t> connections;  ///< one for each worker, chosen by this node as receiver
};

/// What both ends know once they are associated.
struct Agreement {
  std::uint64_t epoch = 0;
  std::uint16_t key_index = 0;      ///< of packets in this epoch
  std::uint32_t longest_range = 0;  ///< that both ends can hold
  std::uint32_t peer_window = 0;
  std::vector<std::uint32_t> peer_connections;  ///< for each worker in use
  /// For each worker: pads out, tag keys out, pads in, tag keys in. As in the ledger, by index.
  std::vector<StreamRecord> streams;
};

enum class AssociationEvent : std::uint8_t {
  established,  ///< open the streams of agreement(), attach their marks
  ended,        ///< the streams of the epoch are over: end them; what was not stored must be split again
  // Alarms. Nothing goes on with the peer until an operator readmits it (or this node).
  peer_rolled_back,
  peer_cloned,
  self_rolled_back,
  self_cloned,
  refused_by_peer,  ///< the peer has this node in quarantine
};

constexpr bool is_alarm(AssociationEvent event) noexcept {
  return event >= AssociationEvent::peer_rolled_back;
}

class Association {
 public:
  enum class State : std::uint8_t {
    closed,
    starting,    ///< the ledger must catch up before the hello is sent
    offered,     ///< waiting for the peer's hello
    agreeing,    ///< the epoch goes to the disk
    confirming,  ///< waiting for the peer's confirm
    established,
    refused,  ///< in quarantine, here or there
  };

  /// The ledger and this object belong to one thread.
  Association(Ledger& ledger, AssociationConfig config);
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  State state() const noexcept { return state_; }
  /// Begins, or begins again: ends what there was. `contribution` is fresh from the system's generator.
  /// refused: the peer or this node is in quarantine.
  Outcome start(const Contribution& contribution);
  /// A message of the peer. `contribution`: fresh, in case a new attempt begins. Errors are malformed
  /// messages; what is authentic but out of place is dropped and counted.
  Outcome receive(std::span<const std::uint8_t> message, const Contribution& contribution);
  /// Call after the ledger has written.
  void advance();
  /// Nothing came for a while: says again what the peer may have lost.
  void retry();
  /// This end gives the epoch up (a worker's alarm, a key device that failed, shutdown).
  void end();
  /// As end(), because a worker proved that the peer was rolled back or cloned.
  void quarantine(Quarantine reason);

  /// Takes the oldest message that is to be sent, or event.
  std::optional<std::vector<std::uint8_t>> next_message();
  std::optional<AssociationEvent> next_event();
  /// Not null while established.
  const Agreement* agreement() const noexcept { return state_ == State::established ? &agreement_ : nullptr; }
  std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  struct Heard {  // the last hello of the peer
    Hello hello;
    Digest digest{};
    std::vector<std::uint8_t> bytes;
  };

  void begin(const Contribution& contribution, const Digest& answers);
  void on_hello(Hello hello, std::span<const std::uint8_t> bytes, const Contribution& contribution);
  void on_confirm(const Confirm& confirm, const Contribution& contribution);
  void on_refused(const Refused& refused);
  std::optional<AssociationEvent> judge(const Hello& hello) const;
  std::optional<AssociationEvent> judge_marks(const Hello& hello, const PeerRecord& record) const;
  void condemn(AssociationEvent alarm);
  void note(const Hello& hello);
  void agree();
  void establish();
  void stop();
  void send(const AssociationMessage& message);
  PeerRecord record() const;

  Ledger* ledger_;
  AssociationConfig config_;
  State state_ = State::closed;
  std::uint64_t attempt_ = 0;
  Hello hello_;  // ours, of this attempt
  std::vector<std::uint8_t> hello_bytes_;
  Digest hello_digest_{};
  std::optional<Heard> heard_;
  bool fresh_ = false;  // heard_ belongs to this attempt
  LedgerTicket ticket_ = 0;
  Digest transcript_{};
  bool peer_confirmed_ = false;
  Agreement agreement_;
  std::deque<std::vector<std::uint8_t>> messages_;
  std::deque<AssociationEvent> events_;
  std::uint64_t dropped_ = 0;
};

}  // namespace ssn::protocol
