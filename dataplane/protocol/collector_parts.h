// SPDX-License-Identifier: BSD-3-Clause
// What a BlockCollector is made of.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "offload_job.h"
#include "ssn/protocol/block_collector.h"

namespace ssn::protocol {

enum class SlotState : std::uint8_t {
  empty,
  collecting,
  flying,  ///< a job recovers it
  done,    ///< recovered, and not yet delivered
  lost,    ///< given up out of its turn
};

/// One block of the window; behind it its n shares. With up to 10 of them no more than two cache lines.
struct BlockCollector::Slot {
  std::uint64_t time = 0;  ///< when it was done, or lost
  union {
    Block* block = nullptr;  ///< done
    Job* job;                ///< flying
  };
  // What the first share that is held says of all of them.
  std::uint64_t d_first = 0;       ///< where the pad of share 1 begins
  std::uint64_t number_first = 0;  ///< packet number of share 1
  std::uint32_t share_bytes : 24 = 0;
  SlotState state : 8 = SlotState::empty;
  std::uint8_t held = 0;
  std::uint8_t verified = 0;    ///< of these
  bool suspicious : 1 = false;  ///< shares disagree, or one was forged: only verified ones are used
  bool queued : 1 = false;      ///< among the ready ones
  bool waiting : 1 = false;     ///< for keys

  Cell** shares() noexcept { return reinterpret_cast<Cell**>(this + 1); }
  void refer_to(const Cell& cell) noexcept {
    const std::uint32_t before = cell.header.placement.share - 1U;
    share_bytes = cell.length & 0xffffff;
    d_first = cell.header.d_offset - std::uint64_t{before} * cell.length;
    number_first = cell.header.number - before;
  }
  bool agrees(const Cell& cell) const noexcept {
    const std::uint32_t before = cell.header.placement.share - 1U;
    return cell.length == share_bytes && number_first == cell.header.number - before &&
           d_first == cell.header.d_offset - std::uint64_t{before} * cell.length;
  }
};

struct alignas(64) BlockCollector::Line {
  std::uint8_t bytes[64];
};

struct BlockCollector::Job {
  Job(const kernels::Code& code, void* context)
      : offload(SSN_OFFLOAD_OPEN_RECOVER, code.k(), code.data_blocks(), code.k(), context),
        cells(code.k()),
        shares(code.k()) {}

  bool has(const Cell& cell) const noexcept {
    return std::find(cells.begin(), cells.end(), &cell) != cells.end();
  }

  OffloadJob offload;
  std::uint64_t number = 0;  ///< of the block
  Slot* slot = nullptr;
  Block* out = nullptr;
  std::vector<Cell*> cells;          ///< k of them, by share
  std::vector<std::uint8_t> shares;  ///< their indices
  ShareSet set;
  std::uint64_t d_first = 0;
  std::uint64_t number_first = 0;
  std::uint32_t share_bytes = 0;
  const kernels::TagKey* key = nullptr;
  const std::uint8_t* masks = nullptr;  ///< of all n shares, where `whole`
  TagMismatch mismatch{};
  bool whole = false;  ///< pads and masks of all n shares were there
  bool flying = false;
  // The device was late and may still touch the job: what becomes of it when it does not any more.
  bool late = false;
  bool lost = false;       ///< it did not even say so
  bool redo = false;       ///< there was no block to recover it into meanwhile
  bool delivered = false;  ///< else its cells are dropped, as each one says
};

/// A matrix that was not prepared, or is wanted on the CPU.
struct BlockCollector::CpuTransform {
  ShareSet set;
  bool valid = false;
  kernels::Transform transform;
};

inline constexpr std::size_t cpu_transforms = 4;

}  // namespace ssn::protocol
