// SPDX-License-Identifier: BSD-3-Clause
// Two ends of wire mode over one connection, one direction: frames in, packets between, frames out. Packets
// are byte strings in the hands of a test, which may lose, repeat, reorder and damage them; so is time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "packet_ends.h"
#include "ssn/protocol/block_splitter.h"
#include "ssn/protocol/frame_unpacker.h"

namespace ssn::test {

struct WireOptions {
  protocol::WireStream stream;
  EndsOptions ends;
  std::string driver;  // of the offload device; empty: none
  hw::OffloadDevice::Settings settings;
  std::uint64_t deadline_ns = 0;
  std::uint64_t patience_ns = 0;  // after which a device that is late is given up; 0: never
  bool random_stream = false;     // else a generator
  std::uint32_t send_blocks = 128;
  std::uint32_t receive_blocks = 0;  // 0: the window and a few
  std::uint32_t jobs = 64;
  std::uint64_t first_block = 0;
};

/// Cells with buffers, given out and taken back; each one must come back once.
class CellPool {
 public:
  static constexpr std::size_t most = 8192;

  explicit CellPool(std::size_t room);
  /// An empty cell: overhead in front, `room` behind, `target` at its data.
  protocol::Cell* take();
  void give_back(protocol::Cell* cell);
  std::size_t out() const { return cells_.size() - free_.size(); }
  std::span<std::uint8_t> memory() { return {memory_.get(), most * stride()}; }
  /// Of all cells from now on.
  std::uint32_t handle = SSN_OFFLOAD_UNREGISTERED;

 private:
  struct Entry {
    protocol::Cell cell;  // first
    std::uint8_t* buffer = nullptr;
    bool out = false;
  };
  std::size_t stride() const { return room_ + 2 * protocol::overhead_bytes; }

  std::size_t room_;
  std::unique_ptr<std::uint8_t[]> memory_;  // not touched before it is used
  std::deque<Entry> cells_;
  std::vector<Entry*> free_;
};

class WireEnds {
 public:
  explicit WireEnds(WireOptions options);
  ~WireEnds();

  /// Keys for that many packets of full cells, at both ends, and random blocks.
  void deliver(std::uint64_t packets);
  void deliver_to_sender(std::uint64_t packets);
  void deliver_to_receiver(std::uint64_t packets);
  /// Packs frames and ends the burst. Returns how many were taken.
  std::size_t pack(const std::vector<Bytes>& frames);
  /// Splits what is packed: packets, n for each block.
  std::vector<Bytes> split();
  std::vector<Bytes> send(const std::vector<Bytes>& frames) {
    pack(frames);
    return split();
  }
  /// Hands packets over, in bursts of 64, and goes on until nothing more happens at this time.
  void receive(const std::vector<Bytes>& packets);
  /// Lets the receiver go on, also without packets.
  void advance(std::uint64_t ns);
  /// Frames that came out, in order, since the last call.
  std::vector<Bytes> frames() { return std::exchange(frames_, {}); }
  /// What became of packets, by reason, since the start; `none`: opened.
  std::uint64_t count(protocol::DropReason reason) const {
    return reasons_[static_cast<std::size_t>(reason)];
  }
  /// Nothing is with a device.
  void settle();
  /// Queues that were closed because the device did not answer.
  unsigned given_up = 0;
  Bytes frame(std::size_t bytes) { return random.bytes(bytes); }

  WireOptions options;
  TestRandom random;
  PacketEnds ends;
  TestKeyStream random_stream;
  protocol::StreamMarks random_marks;
  protocol::PadSender random_source;
  kernels::RandomGenerator generator;
  hw::SecretBuffer generated;
  std::unique_ptr<hw::OffloadDevice> device;
  hw::OffloadQueue queue_out, queue_in;
  protocol::OffloadTagKeys keys_out, keys_in;
  std::unique_ptr<protocol::StreamCode> code;
  Bytes send_memory, receive_memory;
  std::unique_ptr<protocol::BlockPool> send_pool, receive_pool;
  protocol::WireSendCounters sent;
  protocol::WireReceiveCounters received;
  std::unique_ptr<protocol::FramePacker> packer;
  std::unique_ptr<protocol::BlockSplitter> splitter;
  protocol::ReceiveProgress progress;
  std::unique_ptr<protocol::BlockCollector> collector;
  std::unique_ptr<protocol::FrameUnpacker> unpacker;
  CellPool cells;
  std::uint64_t now = 1'000'000'000;

 private:
  void make_sender(const kernels::Implementation& implementation);
  void make_receiver(const kernels::Implementation& implementation);
  bool carry_out(std::span<ssn_offload_job* const> jobs);
  bool carry_in(std::span<ssn_offload_job* const> jobs);
  bool receive_round();
  bool give_up(const protocol::OverdueJobs& overdue) const;
  void take_sent(std::vector<Bytes>& packets);
  std::uint32_t enroll(std::span<std::uint8_t> memory);

  std::vector<hw::OffloadMemory> memories_;

  std::vector<ssn_offload_job*> held_out_, held_in_;  // not accepted yet
  std::vector<Bytes> frames_;
  std::array<std::uint64_t, protocol::drop_reason_count> reasons_{};
};

/// Every packet but those of the share indices in `lost`.
std::vector<Bytes> without_shares(const std::vector<Bytes>& packets, const std::vector<unsigned>& lost);
unsigned share_of(const Bytes& packet);
std::uint64_t block_of(const Bytes& packet);

}  // namespace ssn::test
