// SPDX-License-Identifier: BSD-3-Clause
// What moves an owner's data over a SessionLink: all blocks of a source to the SSA, or all blocks of an
// object from it into a sink, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "object_client.h"
#include "session_link.h"
#include "ssn/protocol/requests.h"

namespace ssn::client {

/// How both end when nothing goes on any more.
struct TransferLimits {
  std::uint64_t patience_ns = 30'000'000'000;  ///< without any progress at the other end
  std::uint64_t ask_again_ns = 3'000'000'000;  ///< for blocks that were asked for and did not come
};

/// Whom the data belongs to.
struct TransferObject {
  std::uint64_t object = 0;
  std::uint32_t generation = 0;
};

/// Used once.
class BlockSender {
 public:
  struct Sent {
    std::uint64_t bytes = 0;
    std::uint64_t blocks = 0;
  };

  /// All outlive it. `session`: block_bytes and window_blocks are used.
  static Result<std::unique_ptr<BlockSender>> make(SessionLink& link, const TransferObject& object,
                                                   const agent::Session& session, DataSource& source,
                                                   const TransferLimits& limits);
  /// Returns when the SSA has received all of it, or when that will not be.
  Result<Sent> run(Watch& watch);

 private:
  BlockSender(SessionLink& link, const TransferObject& object, const agent::Session& session,
              DataSource& source, const TransferLimits& limits, hw::SecretBuffer staging);

  Outcome read_source(bool ready);
  std::size_t fill(std::span<protocol::Parcel> parcels);
  void send(std::uint64_t now_ns);
  Outcome settle(std::uint64_t now_ns);
  Outcome take(std::span<protocol::Cell* const> delivered);
  bool wants_data() const noexcept;
  bool has_block() const noexcept;
  bool done_sending() const noexcept;

  SessionLink& link_;
  const TransferObject object_;
  const std::uint32_t block_bytes_;
  const std::uint32_t window_;
  DataSource& source_;
  const TransferLimits limits_;
  hw::SecretBuffer staging_;  // read, and not yet in blocks
  std::size_t staged_begin_ = 0;
  std::size_t staged_end_ = 0;
  bool ended_ = false;                   // the source
  std::vector<protocol::Cell*> filled_;  // blocks that the transport did not take yet
  std::uint64_t next_block_ = 0;
  std::uint64_t bytes_ = 0;     // read
  std::uint64_t received_ = 0;  // blocks, by the SSA
  std::uint64_t progress_ns_ = 0;
};

/// Used once.
class BlockReceiver {
 public:
  /// All outlive it. `session`: block_bytes, window_blocks, size and blocks are used.
  static Result<std::unique_ptr<BlockReceiver>> make(SessionLink& link, const TransferObject& object,
                                                     const agent::Session& session, DataSink& sink,
                                                     const TransferLimits& limits);
  /// Returns when the sink has all of it, or when that will not be.
  Outcome run(Watch& watch);

 private:
  // Blocks that are asked for together. There are as many as fit into the ring; the one of block b is number
  // b / span, modulo.
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t request = 0;  // 0: not yet asked
    std::uint32_t count = 0;    // 0: unused
    std::uint32_t missing = 0;
    std::uint32_t refusals = 0;  // for which it is asked again, once
    bool answered = false;       // not now: what still comes does not put off the next question
    std::uint64_t ask_ns = 0;    // not earlier; where it was asked: again
    protocol::CellBitmap wanted{};
  };

  BlockReceiver(SessionLink& link, const TransferObject& object, const agent::Session& session,
                DataSink& sink, const TransferLimits& limits, hw::SecretBuffer ring);

  Range& range_of(std::uint64_t block) noexcept { return ranges_[block / span_ % ranges_.size()]; }
  std::uint64_t slot_of(std::uint64_t block) const noexcept { return block % (span_ * ranges_.size()); }
  void ask(std::uint64_t now_ns);
  bool ask_for(Range& range, std::uint64_t now_ns);
  Outcome take(std::span<protocol::Cell* const> delivered, std::uint64_t now_ns);
  void take_block(const protocol::Cell& cell, std::uint64_t now_ns);
  Outcome take_answer(const protocol::Cell& cell, std::uint64_t now_ns);
  Outcome settle();
  Result<bool> write(bool ready);
  std::uint64_t next_ask() const noexcept;
  bool has(std::uint64_t block) noexcept;

  SessionLink& link_;
  const TransferObject object_;
  const std::uint32_t block_bytes_;
  const std::uint64_t size_;
  const std::uint64_t blocks_;
  DataSink& sink_;
  const TransferLimits limits_;
  std::uint32_t span_;
  std::vector<Range> ranges_;
  hw::SecretBuffer ring_;
  std::uint64_t asked_ = 0;    // blocks below were given a range
  std::uint64_t written_ = 0;  // bytes
  std::uint64_t last_request_ = 0;
  std::uint64_t arrived_ = 0;  // blocks
  std::uint64_t progress_ns_ = 0;
};

}  // namespace ssn::client
