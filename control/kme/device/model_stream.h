// SPDX-License-Identifier: BSD-3-Clause
// One stream on the side of the device: takes key bytes from its source, keeps a copy of each block until the
// host has accepted it, and writes blocks and descriptors into host memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "descriptor.h"
#include "faults.h"
#include "host_memory.h"
#include "layout.h"
#include "registers.h"
#include "ssn/hw/ring_memory.h"
#include "stream_source.h"

namespace ssn::kme {

/// The most bytes that the device keeps until the host has accepted them.
inline constexpr std::uint64_t retain_bytes = std::uint64_t{1} << 20;

class ModelStream {
 public:
  using Clock = std::chrono::steady_clock;

  struct Setup {
    Ksid ksid{};
    std::uint32_t generation = 0;
    std::uint32_t block_bytes = 0;
    std::uint32_t entries = 0;
    std::uint64_t ring_bytes = 0;
    HostBuffer ring;
    HostBuffer descriptors;
    kmnic::StatusBlock* status = nullptr;
    kmnic::Registers registers;
  };
  struct Counters {
    std::uint64_t delivered_bytes = 0;
    std::uint64_t redelivered_blocks = 0;
    std::uint64_t rejected = 0;
  };

  static Result<std::unique_ptr<ModelStream>> make(Setup setup, std::unique_ptr<StreamSource> source);

  /// Does what there is to do, a bounded amount. False: nothing to do.
  bool pump(Clock::time_point now, FaultPlan& faults, Counters& counters);
  /// How long the host's stock lasts, should it begin to use keys much faster than it does.
  std::chrono::microseconds patience() const noexcept;
  bool open() const noexcept { return end_reason_ == kmnic::end_none; }
  void end(kmnic::EndReason reason) noexcept;
  bool uses(const HostMapping& mapping) const noexcept;

 private:
  ModelStream(Setup setup, std::unique_ptr<StreamSource> source, hw::RingMemory kept);

  struct Block {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
  };

  void take_credit(Counters& counters) noexcept;
  bool answer_redelivery(FaultPlan& faults, Counters& counters) noexcept;
  bool deliver_next(Clock::time_point now, FaultPlan& faults, Counters& counters) noexcept;
  void write_block(const Block& block, std::uint64_t sequence, std::uint16_t attempt,
                   FaultPlan& faults) noexcept;
  void tell(Clock::time_point now, bool starved) noexcept;
  std::uint8_t* kept(std::uint64_t offset) noexcept { return kept_.data() + (offset & (kept_.size() - 1)); }

  Setup setup_;
  std::unique_ptr<StreamSource> source_;
  hw::RingMemory kept_;          // a power of two, mapped twice
  std::vector<Block> blocks_;    // by slot
  std::uint64_t sequence_ = 0;   // of the next block
  std::uint64_t delivered_ = 0;  // offset of the next block
  std::uint64_t pending_ = 0;    // bytes behind that were taken from the source already
  bool dry_ = false;             // the source had nothing when it was last asked
  std::uint64_t accepted_sequence_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t key_credit_ = 0;
  std::uint64_t redelivery_ = 0;  // the last request that was seen
  std::uint32_t ping_ = 0;
  kmnic::EndReason end_reason_ = kmnic::end_none;
  Clock::time_point last_delivery_;
  Clock::time_point last_tell_;
  Clock::time_point last_rate_;
  std::uint64_t rate_from_ = 0;
  double rate_ = 0;  // bytes in a nanosecond
};

}  // namespace ssn::kme
