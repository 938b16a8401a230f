// SPDX-License-Identifier: BSD-3-Clause
// The two ends of one stream in one epoch: frames to packets, and packets to frames. They do what the wire
// nodes of the pipeline do, and check after every round that nothing was lost or kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "arena.h"
#include "frame_book.h"
#include "job_carrier.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/block_collector.h"
#include "ssn/protocol/block_splitter.h"
#include "ssn/protocol/frame_unpacker.h"

namespace ssn::sim {

using test::Bytes;
using test::TestRandom;

/// What both ends of a stream stand on.
struct StreamContext {
  const StreamPlan* plan = nullptr;
  const protocol::StreamCode* code = nullptr;
  const kernels::Implementation* implementation = nullptr;
  const OffloadPlan* offload = nullptr;
  hw::OffloadDevice* device = nullptr;
  Recorder* recorder = nullptr;
  Marks* marks = nullptr;
  FrameBook* book = nullptr;
  Ksid d{}, a{};
};

struct Outgoing {
  unsigned share = 0;
  Bytes packet;
};

class SendingStream {
 public:
  SendingStream(const StreamContext& context, protocol::SendKeys& keys, protocol::PacketCounters& packets,
                protocol::PadSender& random_stream, TestRandom& random);
  ~SendingStream();

  /// Offers up to `count` frames.
  void feed(unsigned count, std::uint64_t now);
  /// Offers frames of at most three blocks, if all that went in before have come out: a sender that cannot
  /// lose anything by its own haste.
  void feed_calmly(std::uint64_t now);
  bool all_came() const { return context_.book->missing() == 0; }
  /// One walk of the pipeline; packets for the wire.
  std::vector<Outgoing> round(std::uint64_t now);
  /// Whether keys are there for what feed_calmly() offers, twice.
  bool has_keys() const;
  bool idle() const {
    return splitter_.in_flight() == 0 && packer_.closed() == 0 && pool_.free() == pool_.size();
  }
  std::uint32_t in_flight() const { return splitter_.in_flight(); }
  const protocol::WireSendCounters& counters() const { return counters_; }
  void count_marks(Marks& marks) const;

 private:
  void take_out(std::vector<Outgoing>& out);
  void offer(std::span<const std::size_t> lengths, std::uint64_t now);

  StreamContext context_;
  protocol::SendKeys& keys_;
  TestRandom random_;
  protocol::WireSendCounters counters_;
  Bytes pool_memory_;
  protocol::BlockPool pool_;
  Arena arena_;
  JobCarrier carrier_;
  kernels::RandomGenerator generator_;
  hw::SecretBuffer generated_;
  protocol::FramePacker packer_;
  protocol::BlockSplitter splitter_;
};

class ReceivingStream {
 public:
  ReceivingStream(const StreamContext& context, protocol::ReceiveKeys& keys,
                  protocol::ReceiveProgress& progress, protocol::PacketCounters& packets, TestRandom& random);
  ~ReceivingStream();

  protocol::Cell* receive(std::span<const std::uint8_t> packet) { return arena_.receive(packet); }
  void give(protocol::Cell* cell);
  /// Cells of this stream, parsed.
  void collect(std::span<protocol::Cell* const> cells, std::uint64_t now);
  /// `pending`: cells that were received and not yet given to collect().
  void round(std::uint64_t now, std::size_t pending);
  std::string describe() const;
  std::uint64_t held() const { return counters_.held; }
  std::uint32_t in_flight() const { return collector_.in_flight(); }
  void count_marks(Marks& marks) const;

 private:
  void drain();
  void unpack();
  void check(std::size_t pending);

  StreamContext context_;
  protocol::ReceiveKeys& keys_;
  protocol::WireReceiveCounters counters_;
  Bytes pool_memory_;
  protocol::BlockPool pool_;
  Arena arena_;
  Arena frames_;
  JobCarrier carrier_;
  protocol::BlockCollector collector_;
  protocol::FrameUnpacker unpacker_;
};

}  // namespace ssn::sim
