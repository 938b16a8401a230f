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
  /// `period_ns`: at least the longest `reorder` of the streams. A pad that no packet used is discarded one
  /// to two periods after later ones were used, or when half of the ring lies between.
  explicit ReceiveProgress(std::uint64_t period_ns) noexcept : period_ns_(period_ns) {}

  /// An authentic block's pads end there.
  void note(std::uint64_t d_end) noexcept { seen_ = d_end > seen_ ? d_end : seen_; }
  void advance(PadReceiver& pads, std::uint64_t now) noexcept;

  std::uint32_t in_flight = 0;  ///< jobs of all collectors

 private:
  std::uint64_t period_ns_;
  std::uint64_t seen_ = 0;
  std::uint64_t mark_ = 0;  // what it was when the period began
  std::uint64_t marked_ = 0;
};

/// A block whose turn it is, or a run of lost ones.
struct Delivered {
  Block* block = nullptr;    ///< the taker's, to be given back to the pool; null: lost
  std::uint64_t number = 0;  ///< of the block, or of the first lost one
  std::uint64_t lost = 0;    ///< how many, where `block` is null
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
    std::uint64_t first_block = 0;       ///< every epoch begins at 0; tests begin elsewhere
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
  /// After dequeue(): jobs that the device has, and that it should have given back at a deadline below
  /// `before`, are late from now on, as if it had said so. Returns how many.
  std::uint32_t take_as_lost(std::uint64_t before, std::uint64_t now) noexcept;
  OverdueJobs overdue() const noexcept;
  /// The queue was closed, the connection goes on: what was with the device, or on its way, is done again.
  void device_closed(std::uint64_t now) noexcept;
  /// Once a burst, and at deadline() without one: gives up blocks whose time is over, and looks again at
  /// those that waited for keys.
  void advance(std::uint64_t now) noexcept;
  /// When prepare() and advance() have something to do at the latest; 0: soon, blocks wait for keys or the
  /// device; UINT64_MAX: nothing waits.
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
  struct Line;
  struct Begun {
    std::uint64_t number;
    std::uint64_t time;
  };
  enum class Verdict : std::uint8_t { authentic, forged, unknown };
  enum class Start : std::uint8_t { started, keys, shares };

  Slot& slot_of(std::uint64_t number) noexcept;
  void prefetch(const Cell& cell) noexcept;
  DropReason why_not(const Cell& cell, std::uint64_t number) noexcept;
  void place(Cell& cell, std::uint64_t now) noexcept;
  void far_ahead(Cell& cell, std::uint64_t number) noexcept;
  void hold(Slot& slot, std::uint64_t number, Cell& cell, std::uint64_t now) noexcept;
  void settle_conflict(Slot& slot, std::uint64_t number, Cell& cell) noexcept;
  void put(Slot& slot, std::uint64_t number, Cell& cell) noexcept;
  void take_off(Slot& slot, Cell& cell) noexcept;
  void queue(Slot& slot, std::uint64_t number) noexcept;

  Verdict judge(Slot* slot, Cell& cell) noexcept;
  Verdict judge_number(Cell& cell) noexcept;
  void sift(Slot& slot, bool all) noexcept;

  bool has_job() const noexcept;
  bool choose(Slot& slot, Job& job) noexcept;
  Start find_keys(Slot& slot, Job& job) noexcept;
  Start find_each(Slot& slot, Job& job, Cell& cell, const std::uint8_t*& mask, std::uint8_t*& pad) noexcept;
  Start beyond_the_ring(Slot& slot, Cell& cell) noexcept;
  Start begin(Slot& slot, std::uint64_t number, std::uint64_t now, bool& flying) noexcept;
  bool to_device(Job& job, std::uint64_t now) noexcept;
  const kernels::Transform& transform_for(const Job& job) noexcept;
  bool on_cpu(Job& job, Block& out) noexcept;

  bool settle(Job& job) noexcept;
  bool settle_each(Job& job) noexcept;
  void remember(const Job& job, unsigned at, const std::uint8_t* mask) noexcept;
  void deliver(Job& job, Block& out, std::uint64_t now) noexcept;
  void release(Job& job) noexcept;
  void complete(Job& job, std::uint64_t now) noexcept;
  void reject(Job& job, std::uint64_t now) noexcept;
  void forget(Job& job, DropReason reason, std::uint64_t now) noexcept;
  void collect_again(Slot& slot, std::uint64_t number, std::uint64_t now) noexcept;
  bool still_good(const Job& job) noexcept;
  void redo(Job& job, std::uint64_t now, bool held) noexcept;
  void free_late(Job& job) noexcept;
  void land(Job& job) noexcept;

  void note_authentic(std::uint64_t number) noexcept;
  void expire(const Begun& begun, std::uint64_t now) noexcept;
  void check_stuck(std::uint64_t now) noexcept;
  void clear(Slot& slot, DropReason reason) noexcept;
  void requeue_waiting() noexcept;
  void push_begun(std::uint64_t number, std::uint64_t time) noexcept;
  void drop(Cell& cell, DropReason reason) noexcept;
  void end_epoch(EpochAlarm alarm) noexcept;
  void end_keys() noexcept;

  Parts parts_;
  std::uint32_t n_;
  std::uint32_t k_;
  std::uint32_t cell_bytes_;
  std::uint64_t stream_;
  std::uint64_t window_;
  std::uint64_t reorder_ns_;
  std::uint64_t base_;     // the next block to be delivered
  std::uint64_t skip_;     // blocks below are not waited for any more
  std::uint64_t highest_;  // behind the highest block of which something authentic came
  std::uint64_t occupied_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint32_t spare_ =
      0;  // jobs that never go to the device: for the CPU, where it has all others and is late
  std::uint64_t floor_ = 0;  // of packet numbers that are looked at, during one collect()
  std::uint64_t credit_ = 0;
  std::uint64_t stuck_at_ = UINT64_MAX;  // base_ for which stuck_since_ was found out
  std::uint64_t stuck_since_ = UINT64_MAX;
  std::uint64_t stuck_next_ = 0;
  std::uint64_t delivered_keys_ = 0;      // what the streams had when blocks began to wait for keys
  DropReason reason_ = DropReason::none;  // of the last verdict

  std::size_t slot_lines_;
  std::vector<Line> slots_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Job*> free_jobs_;
  std::vector<std::uint64_t> ready_;  // a ring: blocks with k shares
  std::uint64_t ready_first_ = 0;
  std::uint64_t ready_end_ = 0;
  std::vector<std::uint64_t> waiting_;  // for keys
  std::vector<Begun> begun_;            // a ring: blocks in the order in which their first shares came
  std::uint64_t begun_first_ = 0;
  std::uint64_t begun_end_ = 0;
  std::vector<Cell*> done_;  // to be taken
  struct CpuTransform;
  std::vector<std::unique_ptr<CpuTransform>> transforms_;
  std::size_t next_transform_ = 0;
};

/// Reads the header of a packet (`data` and `length` are everything after UDP), as the first step of every
/// packet: moves `data` to the payload. none, or why it is dropped (not counted). What is not a cell of wire
/// mode has other types: the Opener's.
inline DropReason parse_cell(Cell& cell) noexcept {
  cell.open_result = OpenResult::none;
  cell.reason = parse_header(cell.data, cell.length, cell.header);
  if (cell.reason != DropReason::none) return cell.reason;
  cell.data += overhead_bytes;
  cell.length -= static_cast<std::uint32_t>(overhead_bytes);
  cell.headroom = static_cast<std::uint16_t>(cell.headroom + overhead_bytes);
  return DropReason::none;
}

}  // namespace ssn::protocol
