// SPDX-License-Identifier: BSD-3-Clause
// Blocks in, n sealed packets of each out. Takes numbers, pads and random blocks for a whole burst at once;
// each block gets n successive packet numbers and n pad ranges one behind the other.
//
// A job that the device failed, or did not complete in time, burns its pads and numbers: the block is split
// again on the CPU, by the next prepare(), with fresh random blocks, pads and numbers, into other cells.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/frame_packer.h"
#include "ssn/protocol/offload_tag_keys.h"
#include "ssn/protocol/sealer.h"

namespace ssn::protocol {

class BlockSplitter {
 public:
  /// Blocks that one prepare() takes.
  static constexpr std::size_t max_burst = 64;

  /// Everything outlives the splitter.
  struct Parts {
    const StreamCode* code = nullptr;
    const kernels::Implementation* implementation = nullptr;
    SendKeys* keys = nullptr;  ///< policy refuse or wait; aes_256_gcm is not for wire mode (asserted)
    BlockPool* pool = nullptr;
    PacketCounters* packets = nullptr;
    WireSendCounters* counters = nullptr;
    /// Where random blocks come from, one of them; neither for rs. A random stream of the key device is taken
    /// like pads.
    PadSender* random = nullptr;
    kernels::RandomGenerator* generator = nullptr;
    hw::SecretBuffer* generated = nullptr;  ///< with `generator`: generated_bytes(), locked
    OffloadUse offload;
    OffloadTagKeys* tag_keys = nullptr;  ///< where offload.queue is not null
    std::uint32_t jobs = max_burst;      ///< that can be in flight
    std::uint64_t first_block = 0;       ///< every epoch begins at 0; tests begin elsewhere
  };
  static std::size_t generated_bytes(const WireStream& stream, std::uint32_t jobs) noexcept;

  explicit BlockSplitter(const Parts& parts);
  BlockSplitter(const BlockSplitter&) = delete;
  BlockSplitter& operator=(const BlockSplitter&) = delete;
  ~BlockSplitter();

  /// Cells that prepare() could use now.
  std::size_t wanted(const FramePacker& packer) const noexcept;

  struct Prepared {
    std::size_t cells = 0;  ///< taken from the front of `fresh`
    std::size_t jobs = 0;   ///< to be carried to the queue
    Take why = Take::ok;    ///< what ended it: shortage, not_written_ahead, busy (device or ring), ended
  };
  /// Takes closed blocks. `fresh`: cells with overhead_bytes of headroom and room for a cell behind `data`,
  /// best on a cache line. Where the policy is to refuse, blocks for which there are no keys are given up.
  /// Without a queue, and for blocks whose job failed, the CPU does the work at once.
  Prepared prepare(FramePacker& packer, std::span<Cell* const> fresh, std::span<ssn_offload_job*> jobs,
                   std::uint64_t now) noexcept;
  /// Jobs as enqueue completed them or dequeue gave them back, those that were `held` twice.
  void finish(std::span<ssn_offload_job* const> jobs) noexcept;
  /// After dequeue(): jobs that the device has, and that it should have given back at a deadline below
  /// `before`, are late from now on, as if it had said so. Returns how many; then prepare() has work.
  std::uint32_t take_as_lost(std::uint64_t before) noexcept;
  OverdueJobs overdue() const noexcept;
  /// The queue was closed, the connection goes on: what was with the device, or on its way, is split again.
  void device_closed() noexcept;

  // Both to be emptied after every prepare() and finish().
  /// Packets to be sent: n successive ones are shares 1..n of one block. `data`, `length` and
  /// header.placement are set; the whole header is in the packet.
  std::size_t take_sealed(std::span<Cell*> cells) noexcept;
  /// The same without copying: all of them, until sealed_are_sent().
  std::span<Cell* const> sealed() const noexcept { return sealed_; }
  void sealed_are_sent() noexcept { sealed_.clear(); }
  /// Cells of failed jobs, to be freed.
  std::size_t take_spent(std::span<Cell*> cells) noexcept;

  std::uint32_t in_flight() const noexcept { return in_flight_; }
  /// Number of the next block.
  std::uint64_t next_block() const noexcept { return next_block_; }
  /// The queue was closed: no job of this object is with the device any more. Gives up what was in flight.
  void abandon() noexcept;

 private:
  struct Job;
  struct Run;

  std::size_t usable() const noexcept;
  std::size_t affordable(std::uint32_t share_bytes, std::size_t blocks) const noexcept;
  Take why_none(std::uint32_t share_bytes) const noexcept;
  bool gives_up(Take why) const noexcept;
  std::size_t take(std::uint32_t share_bytes, std::size_t blocks, Run& run) noexcept;
  void begin(Job& job, Block& block, const Run& run, std::size_t at, std::span<Cell* const> cells) noexcept;
  void generate(std::uint8_t* to, std::size_t bytes) noexcept;
  static void prefetch(std::span<Cell* const> cells) noexcept;
  void write_packets(Job& job) noexcept;
  bool to_device(Job& job, std::uint64_t now) noexcept;
  void on_cpu(Job& job) noexcept;
  void complete(Job& job) noexcept;
  void settle(const Job& job) noexcept;
  void settle_used() noexcept;
  void fail(Job& job, bool held) noexcept;
  void land(Job& job) noexcept;
  void burn(Job& job) noexcept;
  void let_go(Block& block) noexcept;
  void give_back() noexcept;
  void split_again(std::span<Cell* const> fresh, Prepared& result) noexcept;
  static std::size_t run_length(const FramePacker& packer, std::size_t most) noexcept;
  static std::size_t take_out(std::vector<Cell*>& from, std::span<Cell*> cells) noexcept;

  Parts parts_;
  std::uint32_t n_;
  std::uint32_t random_blocks_;
  std::uint64_t next_block_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t spare_;  // jobs that never go to the device: for the CPU, where it has all others and is late
  std::array<std::uint8_t, header_bytes> header_{};  // what all packets have in common
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Job*> free_;
  std::vector<Block*> again_;  // to be split once more, on the CPU
  std::vector<Cell*> sealed_;
  std::vector<Cell*> spent_;
  struct Used {
    TagBurst numbers;
    PadRange pads;
    PadRange random;
  };
  Used used_;            // and not yet erased; nothing between calls
  Take why_ = Take::ok;  // the last take() gave nothing
};

}  // namespace ssn::protocol
