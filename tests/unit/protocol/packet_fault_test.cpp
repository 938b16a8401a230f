// SPDX-License-Identifier: BSD-3-Clause
// Promises of sealing and opening, broken on purpose: each must be noticed.
#include <gtest/gtest.h>

#include <algorithm>

#include "packet_ends.h"
#include "planted_faults.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::PacketEnds;

constexpr std::uint64_t much = 1 << 16;

/// Whether a changed attempt number is noticed.
bool headers_are_covered() {
  PacketEnds ends;
  ends.deliver(much, much);
  Bytes plain;
  Bytes packet = ends.seal_one(1344, plain);
  packet[41] ^= 1;
  return ends.open_one(packet) == OpenResult::dropped;
}

/// Whether a changed byte of a share is noticed.
bool payloads_are_covered() {
  PacketEnds ends;
  ends.deliver(much, much);
  Bytes plain;
  Bytes packet = ends.seal_one(1344, plain);
  packet[packet.size() / 2] ^= 1;
  return ends.open_one(packet) == OpenResult::dropped;
}

/// Whether a replayed packet is dropped.
bool numbers_are_marked() {
  PacketEnds ends;
  ends.deliver(much, much);
  Bytes plain;
  const Bytes packet = ends.seal_one(1344, plain);
  return ends.open_one(packet) == OpenResult::opened && ends.open_one(packet) == OpenResult::dropped;
}

/// Whether a clone's message under a pad that was used ends the epoch.
bool repeats_are_compared() {
  PacketEnds ends;
  PacketEnds clone;
  clone.random = test::TestRandom(2);
  ends.deliver(much, much);
  clone.deliver(much, much);
  Bytes plain;
  if (ends.open_one(ends.seal_one(1344, plain)) != OpenResult::opened) return true;
  (void)clone.seal_one(1344, plain);
  const auto burst = clone.out.burst(1);
  if (clone.sealer.retransmit(clone.send, burst) != 1) return true;
  return ends.open_one(clone.out.packet(0)) == OpenResult::alarm;
}

/// Whether both rings are empty after a packet went from one to the other.
bool pads_are_erased() {
  PacketEnds ends;
  ends.deliver(1344, 32);
  Bytes plain;
  if (ends.open_one(ends.seal_one(1344, plain)) != OpenResult::opened) return true;
  bool erased = true;
  for (test::TestKeyStream* const stream : {&ends.d_out, &ends.d_in, &ends.a_out, &ends.a_in}) {
    const std::uint8_t* const ring = stream->stream().ring;
    erased = erased && std::all_of(ring, ring + 1344, [](std::uint8_t byte) { return byte == 0; });
  }
  return erased;
}

struct Promise {
  PlantedFault fault;
  bool (*kept)();
};

TEST(PacketFaults, EachIsNoticed) {
  for (const Promise& promise : {Promise{PlantedFault::uncovered_header, headers_are_covered},
                                 Promise{PlantedFault::unchecked_tag, payloads_are_covered},
                                 Promise{PlantedFault::unmarked_number, numbers_are_marked},
                                 Promise{PlantedFault::unchecked_repeat, repeats_are_compared},
                                 Promise{PlantedFault::lost_erase, pads_are_erased}}) {
    plant(PlantedFault::none);
    EXPECT_TRUE(promise.kept()) << static_cast<int>(promise.fault);
    plant(promise.fault);
    EXPECT_FALSE(promise.kept()) << static_cast<int>(promise.fault);
    plant(PlantedFault::none);
  }
}

}  // namespace
}  // namespace ssn::protocol
