// SPDX-License-Identifier: BSD-3-Clause
// The receiving half of the transport on one connection under one key index: what arrived and what is
// durable, and when to say so. docs/transport.md says why it is as it is.
//
// Time is an argument, in ns on any clock that only grows. One thread. Nothing allocates after construction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/cell.h"
#include "ssn/protocol/payloads.h"
#include "ssn/protocol/range_set.h"
#include "ssn/protocol/requests.h"

namespace ssn::protocol {

struct ReceiverOptions {
  std::uint16_t key_index = 0;
  bool computational = false;                    ///< packets under AES-256-GCM are expected, too
  std::uint32_t every = 16;                      ///< acknowledge after so many packets at the latest,
  std::uint64_t most_delay_ns = 100'000;         ///< and after so long
  std::uint64_t most_stored_delay_ns = 500'000;  ///< so long after the first one became durable
  std::uint32_t received_ranges = 256;           ///< that are remembered; holes make them
  std::uint32_t stored_ranges = 1024;
};

/// Plain numbers: one thread writes them.
struct ReceiverCounters {
  std::uint64_t arrived = 0;  ///< packets that must be acknowledged
  std::uint64_t out_of_order = 0;
  std::uint64_t repeated = 0;
  std::uint64_t acknowledgements = 0;
  std::uint64_t forgotten = 0;  ///< ranges that there was no room for: they will arrive again
};

class TransportReceiver {
 public:
  /// How many acknowledgements acknowledge() makes at most.
  static constexpr std::size_t most_acknowledgements = 4;

  explicit TransportReceiver(const ReceiverOptions& options);
  TransportReceiver(const TransportReceiver&) = delete;
  TransportReceiver& operator=(const TransportReceiver&) = delete;

  /// Cells of this key index as Opener::open() left them, in their order; what was dropped is passed over. A
  /// cell whose owner cannot take it in now, for lack of room, must not be here: its sender would forget it.
  void arrived(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept;
  /// After arrived() of a ping. The caller gives its d_below to PadReceiver::discard_below(), too.
  void ping(const Ping& ping) noexcept;

  /// The contents of an opened packet are durable: its header, and its Cell::range_length where it is under
  /// pad. False where there is no room to remember it: tell again after the next ping.
  bool stored(const PacketHeader& header, std::uint32_t range_length, std::uint64_t now_ns) noexcept;

  /// Cells that the owner has room for beyond those that arrived. Growth is told to a sender that may be
  /// waiting for it.
  void set_credit(std::uint32_t cells, std::uint64_t now_ns) noexcept;

  /// Whether acknowledge() has something to say now.
  bool due(std::uint64_t now_ns) const noexcept { return next_due() <= now_ns; }
  /// When it will; UINT64_MAX for never.
  std::uint64_t next_due() const noexcept;
  /// What is due; `out` has room for most_acknowledgements. Each becomes one packet in the other direction.
  std::size_t acknowledge(std::span<Acknowledgement> out, std::uint64_t now_ns) noexcept;

  const ReceiverCounters& counters() const noexcept { return counters_; }

 private:
  /// Packets under pads, or under AES-256-GCM.
  struct Space {
    explicit Space(const ReceiverOptions& options, bool used);
    void mark(std::uint64_t number) noexcept;
    std::uint64_t seen_from(std::int64_t first) const noexcept;

    RangeSet received;  // of D, or numbers
    RangeSet stored;
    std::vector<std::uint64_t> seen;  // the latest numbers
    std::uint64_t next = 0;           // behind the highest number
    std::uint64_t largest_ns = 0;     // when that arrived
    std::uint32_t waiting = 0;        // packets since the last acknowledgement
    std::uint64_t due_ns = UINT64_MAX;
    std::uint64_t stored_due_ns = UINT64_MAX;
    std::size_t told_received = 0;  // where in the ranges the next acknowledgement begins
    std::size_t told_stored = 0;
  };

  void arrive(const Cell& cell, std::uint64_t now_ns) noexcept;
  static void remember(Space& space, const Cell& cell, ReceiverCounters& counters) noexcept;
  void fill(const Space& space, bool computational, Acknowledgement::Kind kind, std::size_t& told,
            std::uint64_t now_ns, Acknowledgement& out) const noexcept;

  ReceiverOptions options_;
  Space pads_;
  Space cipher_;
  std::uint32_t credit_ = 0;
  std::uint32_t told_credit_ = 0;
  std::uint64_t credit_due_ns_ = UINT64_MAX;
  ReceiverCounters counters_;
};

}  // namespace ssn::protocol
