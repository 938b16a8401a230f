// SPDX-License-Identifier: BSD-3-Clause
// The sending half of the transport on one connection under one key index: which packets arrived, which are
// durable, which must be sent again, and how much may be sent. docs/transport.md says why it is as it is.
//
// It seals nothing and owns no packet: the caller seals (Sealer), tells sent(), feeds acknowledgements and
// time, and takes arrays of results. Every Cell that was given to sent() comes back exactly once, by
// take_received() or take_expired(); until then its bytes stay as they are, because a retransmission is the
// identical ciphertext.
//
// Time is an argument, in ns on any clock that only grows. One thread. Nothing allocates after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ssn/protocol/congestion.h"
#include "ssn/protocol/payloads.h"
#include "ssn/protocol/requests.h"
#include "ssn/protocol/transport_table.h"

namespace ssn::protocol {

struct SenderOptions {
  std::uint16_t key_index = 0;
  std::uint32_t packets = 16384;      ///< that are waited for at a time; a power of two, 64 to 2^20
  bool computational = false;         ///< room for packets under AES-256-GCM, too
  std::uint32_t packet_bytes = 1408;  ///< of a usual packet, header included: what windows are multiples of
  std::uint64_t most_window_bytes = std::uint64_t{64} << 20;
  bool congestion_control = true;           ///< false: the window is always the largest
  std::uint64_t most_bytes_per_second = 0;  ///< 0: no cap
  std::uint64_t initial_round_trip_ns = 5'000'000;
  std::uint64_t granularity_ns = 50'000;       ///< of the caller's clock and calls
  std::uint64_t peer_delay_ns = 200'000;       ///< how long the peer waits with an acknowledgement at most
  std::uint64_t most_probe_ns = 200'000'000;   ///< between probes of a peer that does not answer
  std::uint64_t keepalive_ns = 1'000'000'000;  ///< ping a silent peer that nothing is expected of; 0: never
  std::uint64_t suspect_ns = 3'000'000'000;    ///< unanswered for that long: suspect
  std::uint64_t stored_probe_ns = 50'000'000;  ///< ask again for what is durable after that long
  std::uint32_t initial_credit = 64;           ///< cells, until the peer says
  std::uint64_t peer_pad_ring_bytes = UINT64_MAX;  ///< the receiver's D ring
  std::uint64_t deadline_tick_ns =
      1'000'000;  ///< how late a deadline may be noticed; rounded up to a power of 2
};

/// A packet that was sealed.
struct Outgoing {
  Cell* cell = nullptr;  ///< seal_result sealed or computational; type anything but acknowledgement and ping
  std::uint64_t token = 0;  ///< the caller's name for it
  std::uint64_t deadline_ns = UINT64_MAX;
  std::uint32_t cells = 0;    ///< that it takes of the receiver's credit: 1 for a cell, more for a keep order
  bool until_stored = false;  ///< it is done with when it is durable, not when it arrived
};

/// Names a packet from sent() on until its last result was taken.
struct PacketHandle {
  std::uint32_t record = TransportRecord::none;
  std::uint32_t life = 0;
};

struct ReceivedPacket {
  Cell* cell = nullptr;
  std::uint64_t token = 0;
};

struct LostPacket {
  Cell* cell = nullptr;
  std::uint64_t token = 0;
  PacketHandle handle;
};

struct ExpiredPacket {
  Cell* cell = nullptr;  ///< null where it came back before
  std::uint64_t token = 0;
  ExpireReason reason = ExpireReason::deadline;
};

/// What keeps the sender from sending more.
enum class SendLimit : std::uint8_t {
  none,
  retransmissions,  ///< those that are lost go first
  window,           ///< too much is in flight
  pace,             ///< not yet: see next_due()
  credit,           ///< the receiver has no room
  pads,             ///< the receiver's ring has no room for pads that far ahead
  table,            ///< too many packets are waited for
  suspect,          ///< the peer does not answer
  ended,
  keys,  ///< too few keys here, or not yet written ahead: see Channel
  port,  ///< the port has not taken what is to depart: see Channel
};
inline constexpr std::size_t send_limit_count = 11;

struct Allowance {
  std::uint32_t packets = 0;
  SendLimit limit = SendLimit::none;  ///< why not more
};

/// Plain numbers: one thread writes them.
struct SenderCounters {
  std::uint64_t sent = 0;
  std::uint64_t sent_again = 0;
  std::uint64_t received = 0;
  std::uint64_t stored = 0;
  std::uint64_t lost = 0;      ///< declared lost, pings too
  std::uint64_t spurious = 0;  ///< of those, that had arrived
  std::uint64_t expired = 0;
  std::uint64_t pings = 0;
  std::uint64_t probe_timeouts = 0;
  std::uint64_t persistent = 0;  ///< persistent congestion
  std::uint64_t suspected = 0;

  std::uint64_t limited[send_limit_count] = {};  ///< by SendLimit: calls of allowance() that gave nothing
};

class TransportSender {
 public:
  explicit TransportSender(const SenderOptions& options, std::uint64_t now_ns);
  TransportSender(const TransportSender&) = delete;
  TransportSender& operator=(const TransportSender&) = delete;

  /// How many new packets of `payload_bytes` may be sealed and sent now, each taking `cells` of the credit.
  /// `padded`: they will have a range of D, as long as the payload, or `range_bytes` where that is not 0.
  Allowance allowance(std::uint32_t payload_bytes, std::uint32_t cells, bool padded, std::uint64_t now_ns,
                      std::uint32_t range_bytes = 0) noexcept;
  /// These go out now; no more than allowance() gave. Here, in sent_again() and in ping_sent() packets appear
  /// in the order in which they were sealed (asserted).
  void sent(std::span<const Outgoing> packets, std::uint64_t now_ns) noexcept;
  /// As sent() of one; names it.
  PacketHandle sent_one(const Outgoing& packet, std::uint64_t now_ns) noexcept;

  /// An acknowledgement arrived; `header` is its packet's. False where it is about another key index: give it
  /// to that one's sender. What it says of packets that were never sent is passed over.
  bool acknowledged(const Acknowledgement& acknowledgement, const PacketHeader& header,
                    std::uint64_t now_ns) noexcept;
  /// The receiver cannot open one of these packets any more.
  void gone(const PadGone& answer) noexcept;
  /// Any other packet of the peer arrived: it lives.
  void heard(std::uint64_t now_ns) noexcept;
  /// Timers: call when next_due() has come, or more often.
  void due(std::uint64_t now_ns) noexcept;
  /// When due() or allowance() will have something new; UINT64_MAX for never.
  std::uint64_t next_due() const noexcept;

  /// Packets to be sent again, oldest first: give their cells to Sealer::retransmit(), then all of them to
  /// sent_again(), which sees from seal_result which went out. As many as window and pace allow.
  std::size_t take_lost(std::span<LostPacket> out, std::uint64_t now_ns) noexcept;
  void sent_again(std::span<const LostPacket> packets, std::uint64_t now_ns) noexcept;
  /// Arrived; the cells are the caller's again.
  std::size_t take_received(std::span<ReceivedPacket> out) noexcept;
  /// Tokens of what is durable. Never before take_received() gave the cell.
  std::size_t take_stored(std::span<std::uint64_t> out) noexcept;
  std::size_t take_expired(std::span<ExpiredPacket> out) noexcept;

  /// Pings that should go out now. Seal one with make_ping() as its payload, then ping_sent().
  std::uint32_t pings_wanted() const noexcept { return pings_wanted_; }
  /// `keep_from`: where pads begin that may still be used by packets that sent() has not seen:
  /// PadSender::next(), or GcmSender::unused_key_offset() where that is less.
  Ping make_ping(std::uint64_t keep_from) noexcept;
  /// Whether the receiver may not have taken a key of AES-256-GCM from its ring yet. Until a packet under it
  /// arrives the key holds up the receiver's ring.
  bool key_unproven() const noexcept {
    return unproven_keys_[0] != UINT64_MAX || unproven_keys_[1] != UINT64_MAX;
  }
  /// Whether the next ping should be under AES-256-GCM (flag_computational in the header): for the keys, see
  /// key_unproven(), and because a packet counts as lost only when a later one of its own numbers has
  /// arrived. `unused_key`: one was fetched and nothing was sealed with it yet.
  bool ping_under_cipher(bool unused_key) const noexcept;
  void ping_sent(const Cell& cell, std::uint64_t now_ns) noexcept;

  /// The caller does not want it any more; it comes back as expired, unless it arrived meanwhile.
  void abandon(PacketHandle handle) noexcept;
  /// The keys were given up. Everything comes back as expired; nothing is sent any more.
  void end() noexcept;

  bool suspect() const noexcept { return suspect_; }
  bool ended() const noexcept { return ended_; }
  /// Packets that are waited for, or whose results were not taken.
  std::uint32_t outstanding() const noexcept { return table_.capacity() - table_.free(); }
  const RoundTrip& round_trip() const noexcept { return trip_; }
  const CongestionWindow& window() const noexcept { return window_; }
  const SenderCounters& counters() const noexcept { return counters_; }
  /// Numbers behind the newest received one from which on a packet counts as lost.
  unsigned packet_threshold() const noexcept { return packet_threshold_; }
  std::uint64_t credit() const noexcept { return credit_; }
  /// Checks every list against every record; for tests.
  bool audit() const noexcept;

 private:
  using State = TransportRecord::State;
  /// Packets under pads, or under AES-256-GCM.
  struct Space {
    explicit Space(std::uint32_t remembered) : numbers(remembered) {}
    NumberMap numbers;
    RecordList flying;   // by the number of the latest transmission
    RecordList storing;  // until stored: by D; by number under AES-256-GCM
    std::uint64_t largest_received = 0;
    bool any_received = false;
    std::uint64_t loss_at = UINT64_MAX;  // when the next one counts as lost for its age
    // The latest losses without a number in between that was received.
    std::uint64_t lost_run_number = UINT64_MAX;
    std::uint64_t lost_run_ns = 0;
    std::uint64_t claimed_below[2] = {0, 0};  // by NumberMap::Claim: numbers that need not be looked at again
    std::uint64_t acknowledged_below = 0;
    std::uint64_t stated_below = 0;  // by pings: what an acknowledgement says of these numbers means nothing
  };

  // transport_sender.cpp
  Space& space_of(const TransportRecord& record) noexcept { return record.computational ? cipher_ : pads_; }
  RecordList& list_of(const TransportRecord& record) noexcept;
  TransportRecord* find(PacketHandle handle) noexcept;
  void fly(std::uint32_t at, std::uint64_t number, std::uint64_t now_ns) noexcept;
  void link(std::uint32_t at) noexcept;
  void unlink(std::uint32_t at) noexcept;
  void move(std::uint32_t at, State state) noexcept;
  void finish(std::uint32_t at) noexcept;
  void expire(std::uint32_t at, ExpireReason reason) noexcept;
  std::uint64_t lowest_range() const noexcept;
  std::uint64_t lowest_number(const Space& space) const noexcept;
  std::uint64_t numbers_left() const noexcept;
  std::uint64_t pads_left(std::uint32_t range_bytes) const noexcept;
  bool flying() const noexcept { return !pads_.flying.empty() || !cipher_.flying.empty(); }
  std::uint64_t probe_interval(std::uint64_t first_ns) const noexcept;
  std::uint64_t probe_at() const noexcept;
  std::uint64_t suspect_at() const noexcept;
  void probe(std::uint64_t now_ns) noexcept;
  // transport_loss.cpp
  void take_credit(const Acknowledgement& acknowledgement, const PacketHeader& header) noexcept;
  void sample(const Space& space, const Acknowledgement& acknowledgement, std::uint64_t now_ns) noexcept;
  bool claim_word(Space& space, NumberMap::Claim claim, std::uint64_t word, std::uint64_t bits) noexcept;
  bool claim_bitmap(Space& space, const Acknowledgement& acknowledgement) noexcept;
  bool claim_numbers(Space& space, NumberMap::Claim claim, std::uint64_t begin, std::uint64_t end) noexcept;
  bool claim_number_ranges(const Acknowledgement& acknowledgement) noexcept;
  bool claim_pad_ranges(const Acknowledgement& acknowledgement) noexcept;
  bool receive(std::uint32_t at, std::uint64_t number) noexcept;
  bool store(std::uint32_t at, std::uint64_t number) noexcept;
  void was_not_lost(const Space& space, std::uint64_t number) noexcept;
  void detect_losses(Space& space, std::uint64_t now_ns) noexcept;
  void lose(Space& space, std::uint32_t at, std::uint64_t now_ns) noexcept;
  void rest(std::uint32_t at, std::uint64_t now_ns) noexcept;
  bool claim_old_stored(const Acknowledgement& acknowledgement) noexcept;
  void look_for_holes(const Space& space, const Acknowledgement& acknowledgement,
                      std::uint64_t now_ns) noexcept;
  void note_key(std::uint64_t d_offset) noexcept;
  void prove_key(std::uint64_t d_offset) noexcept;

  SenderOptions options_;
  RecordTable table_;
  DeadlineWheel deadlines_;
  Space pads_;
  Space cipher_;
  RecordList unreceived_;  // with a range, by D
  RecordList resting_;     // by the time when they are lost again
  RecordList lost_, held_, received_, waiting_, stored_, expired_;
  RoundTrip trip_;
  CongestionWindow window_;
  Pacer pacer_;
  SenderCounters counters_;

  std::uint64_t d_end_ = 0;  // of all ranges that were sent
  std::uint64_t credit_;
  std::uint64_t credit_from_[2] = {0, 0};  // behind the packet that said so, of either kind
  std::uint64_t cells_in_flight_ = 0;
  unsigned packet_threshold_;
  unsigned time_threshold_;
  unsigned back_off_ = 0;
  std::uint32_t pings_wanted_ = 0;
  bool blocked_ = false;  // by credit or pads, with something to send
  bool pacing_ = false;   // only the pace keeps something from being sent
  bool suspect_ = false;
  bool ended_ = false;
  std::uint64_t last_sent_ns_;  // of what must be acknowledged
  std::uint64_t last_heard_ns_;
  std::uint64_t asked_since_ns_ = UINT64_MAX;  // since when an answer is missing
  std::uint64_t ping_ns_ = 0;                  // the last one
  std::uint64_t stored_heard_ns_ = 0;
  // Keys of AES-256-GCM that the receiver has not used yet, as far as is known: their place in D, or
  // UINT64_MAX.
  std::uint64_t unproven_keys_[2] = {UINT64_MAX, UINT64_MAX};
  std::uint64_t newest_key_ = UINT64_MAX;
};

/// "credit", ...; stable, for metrics.
std::string_view name(SendLimit limit) noexcept;
std::string_view name(ExpireReason reason) noexcept;

}  // namespace ssn::protocol
