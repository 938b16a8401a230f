// SPDX-License-Identifier: BSD-3-Clause
// This node and one peer: the association, the connections of the epoch that it agreed on, and what is done
// when something ends. On the key service's ledger thread only.
//
//   none -> opening -> open -> closing -> erasing -> none
//
// What is wanted follows from the association alone: connections of the epoch that it has agreed on, and of
// no other. So nothing is lost when epochs follow each other faster than devices and workers.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "back_off.h"
#include "device_thread.h"
#include "event_log.h"
#include "session_message.h"
#include "ssn/dataplane/connection_sink.h"
#include "ssn/dataplane/key_report.h"
#include "ssn/dataplane/key_service.h"
#include "ssn/dataplane/peer_channel.h"
#include "ssn/protocol/association.h"

namespace ssn::dataplane {

/// What all peers' sessions have in common. Outlives them.
struct SessionContext {
  const KeyServiceConfiguration& configuration;
  protocol::Ledger& ledger;
  PeerChannel& channel;
  ConnectionSink& sink;
  EventLog& events;
  protocol::InstanceId instance;
  std::uint32_t drawn;  ///< part of all connection ids
};

class PeerSession {
 public:
  using Clock = std::chrono::steady_clock;

  PeerSession(SessionContext& context, std::size_t index, std::size_t device_index, DeviceThread& device);
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;

  void on_connected(Clock::time_point now);
  void on_message(PeerMessageKind kind, std::span<const std::uint8_t> bytes, Clock::time_point now);
  void on_opened(OpenedConnections result, Clock::time_point now);
  void on_closed(const ClosedConnections& result);
  void count_dropped(std::uint64_t messages) noexcept { messages_dropped_ += messages; }
  /// An operator's word: see Ledger::readmit.
  void readmit(Clock::time_point now);
  /// This node was proved to be rolled back or cloned; and an operator's word that it is what it should be.
  void suspend();
  void resume(Clock::time_point now);
  /// Ends the epoch; nothing begins any more.
  void shut_down();
  std::size_t device_index() const noexcept { return device_index_; }
  /// No worker and no device has anything of this peer.
  bool idle() const noexcept { return streams_ == Streams::none; }
  /// Gives up what no worker has let go of: it is never destroyed. Returns how many connections.
  std::size_t abandon();

  /// Looks at everything. True when something is under way that nobody will tell of.
  bool step(Clock::time_point now);
  /// Sum of what the ledger follows: unchanged means that nothing moves.
  std::uint64_t progress() const noexcept;
  /// When step() has something to do at the latest.
  Clock::time_point next_timer() const noexcept;
  PeerKeyReport report() const;

 private:
  enum class Streams : std::uint8_t { none, opening, open, closing, erasing };
  struct Held {
    std::unique_ptr<Connection> connection;
    bool attached = false;
    bool detaching = false;
    std::uint64_t snapshots = 0;
    Clock::time_point snapshot_at{};
  };

  void pump(Clock::time_point now);
  void on_event(protocol::AssociationEvent event);
  void on_session(std::span<const std::uint8_t> bytes, Clock::time_point now);
  void follow(Clock::time_point now);
  void request(const protocol::Agreement& agreement);
  void begin_close(Clock::time_point now);
  void continue_close(Clock::time_point now);
  bool attach_all(Clock::time_point now);
  void look_after(Clock::time_point now);
  bool failed(Connection& connection, Clock::time_point now);
  void settle_readiness(Clock::time_point now);
  void tell_ready(Clock::time_point now);
  void tell_positions(Clock::time_point now);
  void weigh(Clock::time_point now);
  void on_positions(const SessionMessage& message);
  void send(PeerMessageKind kind, std::span<const std::uint8_t> bytes);
  void send_session(SessionMessage::Type type);
  void give_up(Error error, Clock::time_point now);
  void run_timers(Clock::time_point now);
  void start(Clock::time_point now);
  bool is_current() const;

  SessionContext* context_;
  const KeyPeerConfiguration* configuration_;
  std::size_t index_;
  std::size_t device_index_;
  DeviceThread* device_;
  protocol::Association association_;
  BackOff back_off_;
  Clock::time_point next_start_{};
  Clock::time_point next_retry_{};
  bool blocked_ = false;  // until an operator readmits, or the peer begins
  bool shutting_down_ = false;
  bool connected_ = false;

  Streams streams_ = Streams::none;
  SessionId session_{};
  std::uint64_t epoch_ = 0;  // of session_
  std::shared_ptr<std::atomic<bool>> cancelled_;
  std::vector<Held> held_;
  bool ours_ready_ = false;     // all workers have served their connection once
  SessionId peer_ready_for_{};  // the peer's have, for this session; it may be ahead of us
  SessionId peer_heard_for_{};  // it knows that ours have
  bool running_ = false;        // both are ready
  Clock::time_point running_since_{};
  std::vector<SessionMessage::Position> told_;  // to the peer
  Clock::time_point told_at_{};
  Clock::time_point next_telling_{};
  Clock::time_point next_weighing_{};
  std::uint64_t known_after_ = 0;  // so many looks at the device its class is known for sure
  Clock::time_point closing_since_{};
  bool told_stuck_ = false;

  std::uint64_t epochs_entered_ = 0;
  std::uint64_t epochs_ended_ = 0;
  std::uint64_t alarms_ = 0;
  std::uint64_t messages_dropped_ = 0;
  enum ssn_protection protection_ = SSN_PROTECTION_INFORMATION_THEORETIC;
  FinishedStreams finished_;
  Error last_error_;
};

}  // namespace ssn::dataplane
