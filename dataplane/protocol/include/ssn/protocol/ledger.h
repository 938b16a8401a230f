// SPDX-License-Identifier: BSD-3-Clause
// The ledger: what a node remembers of its key streams, written ahead. Two rules keep pads from being used
// twice and let peers recognise a node that was rolled back or cloned:
//   - no offset of a stream is used before a mark above it is durable (StreamMarks::granted);
//   - nothing is told to a peer before it is durable.
//
// Sans-IO: the caller reads the file's image, and writes and syncs the batches that this object gives out,
// one at a time. dataplane/ledger/ does that with a file; the simulator does it with a disk that crashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ssn/protocol/ledger_state.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::protocol {

/// Of the file; never changes.
inline constexpr std::size_t ledger_file_bytes = 2 * 256 * 4096;

/// How far marks run ahead of use. More means fewer writes; it costs no pad, because pads do not survive a
/// restart anyway. 256 MiB: at 4 GB/s a write every 32 ms.
inline constexpr std::uint64_t default_extent = std::uint64_t{256} << 20;
inline constexpr std::uint64_t least_extent = 4096;

/// Bytes to write at `offset` of the file, in any order, and then to sync.
struct LedgerBatch {
  std::uint64_t number = 0;
  std::uint64_t offset = 0;
  std::vector<std::uint8_t> bytes;
};

/// What has to be durable before something is done. Compare with Ledger::durable().
using LedgerTicket = std::uint64_t;

/// One thread at a time: the one that does the ledger's I/O. Workers see only their StreamMarks.
class Ledger {
 public:
  /// The file of a node that has never run. Put it in place atomically.
  static std::vector<std::uint8_t> initial_image(std::string_view node);
  /// Reads the file of `node` at the start of its process: counts the start, and ends the streams of every
  /// open epoch. integrity: damaged; refused: another node's.
  static Result<Ledger> open(std::string_view node, std::span<const std::uint8_t> image,
                             std::uint64_t extent = default_extent);

  Ledger(Ledger&&) noexcept = default;
  Ledger& operator=(Ledger&&) = delete;

  const LedgerState& state() const noexcept { return state_; }
  /// Null for a peer that was never met.
  const PeerRecord* peer(std::string_view name) const noexcept;

  /// Whether a change that names this peer is possible.
  bool has_room(std::string_view name) const noexcept {
    return peer(name) != nullptr || state_.peers.size() < peers_max;
  }

  // ---- Changes. Each gives the ticket of the batch that will hold it, and asserts has_room().
  /// Enters `epoch` with a peer: its streams, with marks of 0 but for the first extent of senders. exhausted
  /// limits are errors. The streams of the epoch before are forgotten.
  Result<LedgerTicket> enter_epoch(std::string_view name, PeerRecord record);
  /// The streams of the epoch are not used any more.
  LedgerTicket end_epoch(std::string_view name);
  /// What a peer stated of itself.
  LedgerTicket note_peer(std::string_view name, const PeerRecord& record);
  LedgerTicket quarantine(std::string_view name, Quarantine reason);
  LedgerTicket quarantine_self();
  /// An operator's word: whatever was known of the peer's marks is forgotten, its epoch is not.
  LedgerTicket readmit(std::string_view name);
  LedgerTicket readmit_self();
  /// The peer was taken out of the network for good.
  LedgerTicket forget(std::string_view name);
  /// The ticket of everything that was changed so far.
  LedgerTicket everything() const noexcept { return dirty() ? next_number() : last_number_; }

  // ---- Marks of streams in use.
  /// Follows the marks of a stream of the current epoch, which is durable already, and grants the first
  /// extent. Once for each stream; `marks` stays until detach(), end_epoch() or quarantine.
  void attach(std::string_view name, std::size_t stream, StreamMarks& marks);
  /// Stops following all streams of a peer and revokes their marks.
  void detach(std::string_view name);
  /// Takes over what the streams of a peer have seen, exactly; before it is compared with what the peer
  /// states.
  void settle(std::string_view name);
  /// Looks at the workers' progress; call every millisecond or so. True when there is something to write.
  bool collect();

  // ---- Writing.
  bool dirty() const noexcept { return !failed_ && (snapshot_ || !records_.empty()); }
  /// The next batch to write; nothing while one is in flight or there is nothing to do. Valid until
  /// committed().
  const LedgerBatch* next_batch();
  /// The batch is on the disk: it was written and synced without error. Grants the marks in it.
  void committed();
  /// Writing or syncing failed. Nothing more is granted, and no later success is believed: the process must
  /// start again and read what is on the disk.
  void fail();
  bool failed() const noexcept { return failed_; }
  /// Everything with at most this ticket is on the disk.
  LedgerTicket durable() const noexcept { return durable_; }

 private:
  struct Followed {
    std::string peer;
    std::uint16_t stream;
    StreamMarks* marks;
    std::uint64_t staged = 0;    // sender: mark in the batch to come or in flight
    std::uint64_t in_batch = 0;  // sender: mark in the batch in flight
  };

  Ledger() = default;
  PeerRecord& peer_record(std::string_view name);
  LedgerTicket changed(std::string_view name);
  std::uint64_t next_number() const noexcept { return last_number_ + 1; }
  bool follow(Followed& followed, bool all);
  void start_area();

  LedgerState state_;
  std::uint64_t extent_ = default_extent;
  std::vector<Followed> followed_;
  std::map<std::string, LedgerTicket, std::less<>> entered_;  // epochs of this run
  std::vector<std::uint8_t> records_;                         // of the batch to come
  bool snapshot_ = true;  // the batch to come is the whole state, in a fresh area
  bool in_flight_ = false;
  bool failed_ = false;
  std::uint64_t generation_ = 0;
  std::uint32_t next_block_ = 0;
  LedgerBatch batch_;
  std::uint64_t last_number_ = 0;  // of the batch that was given out last
  LedgerTicket durable_ = 0;
};

}  // namespace ssn::protocol
