// SPDX-License-Identifier: BSD-3-Clause
// Two ends of one connection, one direction: a sealer and an opener over key streams that a test fills, and
// packets in an arena.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ssn/protocol/opener.h"
#include "ssn/protocol/sealer.h"
#include "test_key_stream.h"

namespace ssn::test {

struct EndsOptions {
  std::size_t d_ring = std::size_t{1} << 20;
  std::size_t a_ring = std::size_t{1} << 18;
  std::uint64_t window = 1024;
  std::uint16_t key_index = 7;
  std::uint32_t connection_id = 0x01020304;
  std::uint8_t ksid = 1;
  protocol::ShortagePolicy policy = protocol::ShortagePolicy::refuse;
  bool gcm = false;
  std::uint64_t first_gcm_number = 0;
  const kernels::Implementation* implementation = nullptr;  // null: the one that would be chosen
};

hw::SecretBuffer locked_memory(std::size_t bytes);
const kernels::Implementation& chosen_implementation();

/// Cells over buffers of their own: overhead, payload, and plaintext beside it.
class CellArena {
 public:
  CellArena(std::size_t cells, std::size_t payload_room);
  std::size_t size() const { return cells_.size(); }
  protocol::Cell& operator[](std::size_t at) { return cells_[at]; }
  std::vector<protocol::Cell*> burst(std::size_t count);
  std::uint8_t* plaintext(std::size_t at) { return plain_.data() + at * room_; }
  /// Ready to be sealed: a cell of `length` random bytes with a placement of its own.
  void prepare(std::size_t at, std::size_t length, TestRandom& random);
  /// As if it had just come from the network; the packet is copied.
  void receive(std::size_t at, const Bytes& packet);
  Bytes packet(std::size_t at) const;

 private:
  std::size_t room_;
  std::vector<protocol::Cell> cells_;
  Bytes buffers_;
  Bytes plain_;
};

class PacketEnds {
 public:
  explicit PacketEnds(EndsOptions options = {});

  /// Both ends get as much of both streams.
  void deliver(std::uint64_t d_bytes, std::uint64_t a_bytes);
  void poll();
  /// Seals one cell of random bytes; its plaintext is in `plain`.
  Bytes seal_one(std::size_t length, Bytes& plain);
  protocol::OpenResult open_one(const Bytes& packet);
  /// fetched = used + kept + discarded + left, at all four ends, and the windows agree.
  bool balanced() const;

  EndsOptions options;
  TestKeyStream d_out, a_out, d_in, a_in;
  protocol::StreamMarks marks[4];
  hw::SecretBuffer sender_keys, receiver_keys, sealer_memory, opener_memory, history_memory;
  protocol::PadSender pads_out;
  protocol::TagSender tags_out;
  protocol::PadReceiver pads_in;
  protocol::TagReceiver tags_in;
  protocol::PacketHistory history;
  std::unique_ptr<protocol::GcmSender> gcm_out;
  std::unique_ptr<protocol::GcmReceiver> gcm_in;
  protocol::SendKeys send;
  protocol::ReceiveKeys receive;
  protocol::ReceiveConnection connection;
  protocol::ConnectionTable table{16};
  protocol::PacketCounters sent, opened;
  protocol::Sealer sealer;
  protocol::Opener opener;
  TestRandom random{1};
  CellArena out{64, 16384};
  CellArena in{64, 16384};
};

}  // namespace ssn::test
