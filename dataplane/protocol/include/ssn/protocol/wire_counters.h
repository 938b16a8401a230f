// SPDX-License-Identifier: BSD-3-Clause
// What happened to the frames and blocks of a stream. Packets have their own: packet_counters.h.
#pragma once

#include <cstdint>

namespace ssn::protocol {

/// Of one stream at one worker. Plain numbers: one thread writes them.
struct WireSendCounters {
  std::uint64_t frames = 0;  ///< packed
  std::uint64_t frame_bytes = 0;
  std::uint64_t frames_too_long = 0;  ///< refused: longer than the stream's longest, or empty
  std::uint64_t frames_no_room = 0;   ///< refused: all blocks wait for keys or for the device
  std::uint64_t frames_given_up = 0;  ///< packed, and dropped with their block: too few keys, or keys ended
  std::uint64_t blocks = 0;           ///< split and sealed
  std::uint64_t blocks_given_up = 0;
  std::uint64_t jobs_failed = 0;  ///< by the device: split again on the CPU, with fresh keys
  std::uint64_t jobs_late = 0;    ///< of these: after their deadline
  std::uint64_t jobs_lost = 0;    ///< of these: the device did not even say so
  std::uint64_t on_cpu = 0;       ///< blocks that the CPU did instead of the device
};

struct WireReceiveCounters {
  std::uint64_t blocks = 0;            ///< recovered
  std::uint64_t blocks_lost = 0;       ///< given up: too few of their shares came in time
  std::uint64_t blocks_malformed = 0;  ///< authentic, but no sender of ours makes such a block
  std::uint64_t frames = 0;            ///< handed out
  std::uint64_t frame_bytes = 0;
  std::uint64_t frames_cut = 0;       ///< begun in one block, and the block with the rest was lost
  std::uint64_t frames_too_long = 0;  ///< longer than frames may be here
  std::uint64_t verified_alone =
      0;                          ///< shares whose tags were checked by themselves: forgeries and conflicts
  std::uint64_t held = 0;         ///< shares that are held at present
  std::uint64_t held_most = 0;    ///< most that ever were
  std::uint64_t jobs_failed = 0;  ///< by the device: recovered again on the CPU
  std::uint64_t jobs_late = 0;
  std::uint64_t jobs_lost = 0;
  std::uint64_t on_cpu = 0;
};

}  // namespace ssn::protocol
