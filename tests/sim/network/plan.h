// SPDX-License-Identifier: BSD-3-Clause
// What a seed decides before anything runs: nodes, streams, devices, and how bad the world is.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ssn/protocol/wire_stream.h"
#include "test_random.h"

namespace ssn::sim {

inline constexpr std::uint64_t microsecond = 1000;
inline constexpr std::uint64_t millisecond = 1000 * microsecond;

/// Of one thousand packets.
struct LinkFaults {
  unsigned loss = 0;
  unsigned duplicate = 0;
  unsigned corrupt = 0;
  unsigned forge = 0;
  unsigned replay = 0;
  std::uint64_t delay_ns = 0;
  std::uint64_t jitter_ns = 0;  ///< more than packets lie apart: reordering
};

struct OffloadPlan {
  std::string driver;  ///< empty: no queue, the CPU does everything within prepare()
  std::vector<std::pair<std::string, std::string>> settings;
  std::uint64_t deadline_ns = 0;
  std::uint32_t depth = 64;

  std::string text() const;
};

enum class RandomSource : std::uint8_t { stream, generator };

/// A stream of frames in both directions between two nodes.
struct StreamPlan {
  std::size_t a = 0;
  std::size_t b = 0;
  protocol::WireStream wire;
  RandomSource random = RandomSource::stream;
  unsigned frame_low = 1;
  unsigned frame_high = 1;
};

struct NodePlan {
  std::string name;
  OffloadPlan offload;
};

struct Plan {
  std::uint64_t seed = 0;
  std::vector<NodePlan> nodes;
  std::vector<StreamPlan> streams;
  bool wait = false;  ///< shortage policy: wait, else refuse
  std::size_t d_ring = 0;
  std::size_t a_ring = 0;
  std::uint64_t extent = 0;  ///< of ledgers
  LinkFaults faults;
  // In one thousand steps, while the world is bad:
  unsigned crash = 0;
  unsigned partition = 0;
  unsigned shortage = 0;
  unsigned desynchronise = 0;
  unsigned device_restart = 0;
  std::uint64_t cells = 256;  ///< sealed before the world is healed

  std::string text() const;
};

Plan make_plan(std::uint64_t seed);

}  // namespace ssn::sim
