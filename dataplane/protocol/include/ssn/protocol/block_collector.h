// SPDX-License-Identifier: BSD-3-Clause
// Packets in, blocks out, in order. Holds shares unverified until k of a block are there; then one job checks
// their tags, takes the pads off and recovers the block. docs/wire-mode.md has the rules, and why a forger
// costs time but neither delays nor kills a block.
//
// Bounded: `window` blocks, one packet for each share of a block; `reorder_ns`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/protocol/offload_tag_keys.h"
#include "ssn/protocol/opener.h"
#include "ssn/protocol/wire_block.h"
#include "ssn/protocol/wire_counters.h"
#include "ssn/protocol/wire_stream.h"

namespace ssn::protocol {

/// What all collectors of one connection share: how far its authentic packets came. Discards the pads of
/// blocks of which nothing ever came.
class ReceiveProgress {
 public:
  /// `period_ns`: what no packet used is discarded one to two periods after later pads were used.
  explicit ReceiveProgress(std::uint64_t period_ns) noexcept : period_ns_(period_ns) {}

  void note(std::uint64_t d_end) noexcept { seen_ = d_end > seen_ ? d_end : seen_; }
  void advance(PadReceiver& pads, std::uint64_t ring_bytes, std::uint64_t now) noexcept;

  std::uint32_t in_flight = 0;  ///< jobs of all collectors

 private:
  std::uint64_t period_ns_;
  std::uint64_t seen_ = 0;  // D offset behind the last range of an authentic block
  std::uint64_t mark_ = 0;  // what it was a period ago, at least
  std::uint64_t marked_ = 0;
};

/// A block whose turn it is.
struct Delivered {
  Block* block = nullptr;  ///< null: lost. Otherwise the taker's, to be given back to the pool
  std::uint64_t number = 0;
};

class BlockCollector {
 public:
  /// Everything outlives the collector.
  struct Parts {
    const StreamCode* code = nullptr;
    const kernels::Implementation* implementation = nullptr;
    ReceiveKeys* keys = nullptr;
    ReceiveProgress* progress = nullptr;
    /// Best one block for each in the window, and for each job; at least 8.
    BlockPool* pool = nullptr;
    PacketCounters* packets = nullptr;
    WireReceiveCounters* counters = nullptr;
    OffloadUse offload;
    OffloadTagKeys* tag_keys = nullptr;  ///< where offload.queue is not null
    std::uint32_t jobs = 64;             ///< that can be in flight
  };

  explicit BlockCollector(const Parts& parts);
  BlockCollector(const BlockCollector&) = delete;
  BlockCollector& operator=(const BlockCollector&) = delete;
  ~BlockCollector();

  /// Takes packets of this stream as parse_cell() left them: type cell, keys' key index. At most max_burst at
  /// a time. All of them come back through take_cells().
  static constexpr std::size_t max_burst = 64;
  void collect(std::span<Cell* const> cells, std::uint64_t now) noexcept;

  /// Prepares jobs for blocks that k shares are there of. Without a queue, and for what the device failed to
  /// do, the CPU does the work at once.
  std::size_t prepare(std::span<ssn_offload_job*> jobs, std::uint64_t now) noexcept;
  /// Jobs as enqueue completed them or dequeue gave them back, those that were `held` twice.
  void finish(std::span<ssn_offload_job* const> jobs, std::uint64_t now) noexcept;
  /// Once a burst, and at deadline() without one: gives up blocks whose time is over, and looks again at
  /// those that waited for keys.
  void advance(std::uint64_t now) noexcept;
  /// When advance() has something to do at the latest; UINT64_MAX: nothing waits.
  std::uint64_t deadline() const noexcept;

  /// The next block in order, if its turn has come.
  bool next(Delivered& delivered) noexcept;
  /// Cells that are done with: open_result is `opened`, or `dropped` with a reason (counted already).
  std::size_t take_cells(std::span<Cell*> cells) noexcept;

  std::uint32_t in_flight() const noexcept { return in_flight_; }
  /// Blocks below are done with.
  std::uint64_t base() const noexcept { return base_; }
  /// The keys ended: drops every cell that is held, but for those of jobs in flight, which come back with
  /// their jobs.
  void drop_all() noexcept;
  /// The queue was closed: no job of this object is with the device any more.
  void abandon() noexcept;

 private:
  struct Slot;
  struct Job;
  enum class Verdict : std::uint8_t { authentic, forged, unknown, dead };

  Slot& slot_of(std::uint64_t number) noexcept;
  void place(Cell& cell, std::uint64_t now) noexcept;
  void hold(Slot& slot, Cell& cell, std::uint64_t now) noexcept;
  void settle_conflict(Slot& slot, Cell& cell) noexcept;
  bool far_ahead(Cell& cell, std::uint64_t now) noexcept;
  Verdict judge(Cell& cell) noexcept;
  bool sift(Slot& slot) noexcept;
  bool begin(Slot& slot, Job& job) noexcept;
  void run_on_cpu(Job& job) noexcept;
  void complete(Job& job, std::uint64_t now) noexcept;
  void reject(Job& job) noexcept;
  void retire(Job& job) noexcept;
  void give_up(Slot& slot) noexcept;
  void drop(Cell& cell, DropReason reason) noexcept;
  void end_epoch(EpochAlarm alarm) noexcept;

  Parts parts_;
  std::uint32_t n_;
  std::uint32_t k_;
  std::uint64_t window_;
  std::uint64_t base_ = 0;     // the next block to be delivered
  std::uint64_t highest_ = 0;  // behind the highest authentic block
  std::uint32_t in_flight_ = 0;
};

/// Reads the header of a packet (`data` and `length` are everything after UDP), as the first step of every
/// packet: moves `data` to the payload. none, or why it is dropped (not counted). What is not a cell of wire
/// mode has other types: the Opener's.
DropReason parse_cell(Cell& cell) noexcept;

}  // namespace ssn::protocol
