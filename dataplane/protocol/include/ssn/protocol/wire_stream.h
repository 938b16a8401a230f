// SPDX-License-Identifier: BSD-3-Clause
// Wire mode: frames come in at one node, travel as shares over n links, and go out at the other.
// docs/wire-mode.md is the specification. One worker of each node, one stream, one connection:
//
//   frames -> FramePacker -> BlockSplitter -> job -> n packets        packets -> BlockCollector -> job
//                                              |                                     |          |
//                                        offload queue                         offload queue    FrameUnpacker
//                                        -> frames
//
// These objects do no arithmetic and no I/O. They prepare jobs for an offload queue (ssn/offload_device.h)
// and finish those that are completed. Whoever owns the queue, a node of the pipeline, the simulator or a
// benchmark, carries jobs, cells and the time between them:
//
//   sending                                              receiving
//     packer.pack(frames, now);                            collector.collect(cells, now);   // gives cells
//     away packer.flush(now);                                   n = collector.prepare(jobs, now); n =
//     splitter.prepare(packer, fresh, jobs, now);      carry(jobs, n); carry(jobs, n); collector.finish(jobs,
//     completed, now); splitter.finish(jobs, completed, now);               collector.advance(now); // also
//     without packets n = splitter.take_sealed(cells);  // send these      unpacker.unpack(collector, fresh,
//     taken, frames); n = splitter.take_spent(cells);   // free these      n = collector.take_cells(cells);
//     // free these
//
//   carry: accepted = queue.enqueue(jobs, n, now, completed). If completed == accepted, finish() them at once
//   (the CPU driver). Else dequeue() in every round, and finish() what comes, until it was all given back.
//   Jobs that the queue did not accept are offered again, before any others, in the next round.
//   A device that forgets its deadlines: now and then, behind dequeue(), take_as_lost(). When overdue() says
//   that it is hopeless: close the queue, forget what it did not accept, device_closed(); the CPU does the
//   rest.
//
// Who owns what until when. A job, its lists, matrix, keys, block, random blocks, pads, masks and cells
// belong to the device from enqueue until it was completed and is not `held`; then to the object that
// prepared it. Cells that were given to prepare() or collect() come back through take_...(), exactly once. No
// object here may be destroyed or reset while a job of it is in flight: in_flight() says so; closing the
// queue ends that.
//
// Threads: all objects of one connection belong to one worker. StreamCode is immutable and serves all.
// Memory: everything is allocated when it is made. Time: ns of the worker's clock, which never goes back.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "ssn/hw/offload_device.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

namespace ssn::protocol {

/// What both ends must know of a stream, from configuration, and how this end serves it.
struct WireStream {
  std::uint64_t id = 0;  ///< placement.object
  kernels::Scheme scheme = kernels::Scheme::systematic;
  unsigned k = 3;
  unsigned n = 5;
  unsigned data_blocks = 1;         ///< L: 1, ramp's L, or rs' k
  std::uint32_t cell_bytes = 1344;  ///< longest share: a multiple of 64, at most max_payload
  std::uint32_t frame_max = 1514;   ///< longest frame
  std::uint64_t latency_ns = 0;     ///< sender: how long a frame waits for others; 0: to the end of its burst
  std::uint64_t reorder_ns =
      5'000'000;                ///< receiver: how long a block is waited for once a later one is there
  std::uint32_t window = 1024;  ///< receiver: blocks that can be on their way; a power of two >= 64

  std::uint32_t block_bytes() const noexcept { return data_blocks * cell_bytes; }
};

/// usage: which parameter is out of range, and what the range is.
Outcome check(const WireStream& stream);

/// A set of share indices 1..255.
struct ShareSet {
  std::array<std::uint64_t, 4> bits{};

  void add(unsigned share) noexcept { bits[share / 64] |= std::uint64_t{1} << share % 64; }
  bool has(unsigned share) const noexcept { return (bits[share / 64] >> share % 64 & 1) != 0; }
  bool operator==(const ShareSet& other) const noexcept {
    return ((bits[0] ^ other.bits[0]) | (bits[1] ^ other.bits[1]) | (bits[2] ^ other.bits[2]) |
            (bits[3] ^ other.bits[3])) == 0;
  }
};

/// The matrices of a stream, prepared for a device once, for all workers. Immutable.
class StreamCode {
 public:
  /// Sets of shares whose matrices are prepared: all of them where there are no more, else those nearest to
  /// the first k. A block of another set is recovered on the CPU.
  static constexpr std::size_t prepared_max = 256;

  /// `device`: null, or one that outlives this object. What the device cannot do is done on the CPU, and
  /// `uses_device()` says so.
  static Result<std::unique_ptr<StreamCode>> make(const WireStream& stream, hw::OffloadDevice* device);

  const WireStream& stream() const noexcept { return stream_; }
  const kernels::Code& code() const noexcept { return code_; }
  /// Random blocks, then data blocks in; shares 1..n out.
  const kernels::Transform& split() const noexcept { return *split_; }
  bool uses_device() const noexcept { return split_matrix_.is_open(); }
  /// Null: on the CPU.
  const ssn_offload_matrix* split_matrix() const noexcept { return split_matrix_.get(); }
  /// For k shares in ascending order; null: on the CPU.
  const ssn_offload_matrix* recover_matrix(const ShareSet& shares) const noexcept;
  std::size_t prepared() const noexcept { return recover_.size(); }

 private:
  struct Prepared {
    ShareSet shares;
    hw::OffloadMatrix matrix;
  };

  explicit StreamCode(const WireStream& stream) noexcept : stream_(stream) {}
  Outcome prepare(hw::OffloadDevice& device);
  Outcome prepare_recover(hw::OffloadDevice& device);
  static std::size_t hash(const ShareSet& shares) noexcept;

  WireStream stream_;
  kernels::Code code_;
  std::unique_ptr<kernels::Transform> split_;
  hw::OffloadMatrix split_matrix_;
  std::vector<Prepared> recover_;
  std::vector<std::uint16_t> places_;  // by hash: index into recover_ plus one
};

/// How one worker uses the offload device. Handles are of the device's registrations.
struct OffloadUse {
  hw::OffloadQueue* queue = nullptr;  ///< null, or closed: everything on the CPU, within prepare()
  std::uint64_t deadline_ns = 0;      ///< for a job; 0: none
  std::uint32_t blocks = SSN_OFFLOAD_UNREGISTERED;
  std::uint32_t pads = SSN_OFFLOAD_UNREGISTERED;
  std::uint32_t masks = SSN_OFFLOAD_UNREGISTERED;
  std::uint32_t random = SSN_OFFLOAD_UNREGISTERED;  ///< of the random stream, or of what a generator fills
  // That of a packet's buffer is in its Cell.
  void* context = nullptr;  ///< of every job: whoever carries jobs of several objects tells them apart by it
};

/// Jobs that a device is late with and may still touch: their buffers and keys stay as they are, and key
/// rings cannot move on behind them.
struct OverdueJobs {
  std::uint32_t jobs = 0;
  std::uint32_t lost = 0;            ///< of which the device did not even say that they are late
  std::uint64_t since = UINT64_MAX;  ///< the earliest of their deadlines

  void add(const OverdueJobs& other) noexcept {
    jobs += other.jobs;
    lost += other.lost;
    since = other.since < since ? other.since : since;
  }
};

}  // namespace ssn::protocol
