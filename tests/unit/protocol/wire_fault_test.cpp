// SPDX-License-Identifier: BSD-3-Clause
// Promises of wire mode, broken on purpose: each must be noticed.
#include <gtest/gtest.h>

#include "planted_faults.h"
#include "wire_scenario.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::WireEnds;

Bytes forged(const WireEnds& ends, std::uint64_t block, unsigned share, std::uint64_t number,
             std::uint64_t d_offset) {
  PacketHeader header;
  header.connection_id = ends.options.ends.connection_id;
  header.key_index = ends.options.ends.key_index;
  header.number = number;
  header.d_offset = d_offset;
  header.placement = block_placement(ends.options.stream.id, block, share);
  Bytes packet(overhead_bytes + 256, 0x55);
  write_header(header, packet.data());
  return packet;
}

/// Whether a frame arrives after what `attack` did, and nothing was given up.
template <typename Attack>
bool frame_arrives(Attack attack) {
  WireEnds ends(test::options_for(test::three_of_five));
  ends.deliver(1000);
  const std::vector<Bytes> frames{ends.frame(240)};
  const auto packets = ends.send(frames);
  attack(ends, packets);
  ends.receive(packets);
  return ends.frames() == frames && ends.received.blocks_lost == 0;
}

// Two of three honest shares come second.
bool forged_shares_give_way() {
  WireEnds ends(test::options_for(test::three_of_five));
  ends.deliver(1000);
  const std::vector<Bytes> frames{ends.frame(240)};
  const auto packets = ends.send(frames);
  std::vector<Bytes> copies{packets[0], packets[1]};
  for (Bytes& copy : copies) copy[70] ^= 1;
  ends.receive(copies);
  ends.receive({packets[0], packets[1]});
  ends.receive({packets[2]});
  return ends.frames() == frames;
}

bool forgers_do_not_move_the_window() {
  return frame_arrives([](WireEnds& ends, const auto&) { ends.receive({forged(ends, 1000, 1, 4, 0)}); });
}

bool forgers_start_no_clock() {
  return frame_arrives([](WireEnds& ends, const auto&) {
    ends.receive({forged(ends, 0, 1, 0, 0)});
    ends.advance(2 * ends.options.stream.reorder_ns);
  });
}

// Block 0 is lost, but for a forged share of it that names the pads of block 3.
bool forgers_spend_no_pads() {
  WireEnds ends(test::options_for(test::three_of_five));
  ends.deliver(1000);
  (void)ends.send({ends.frame(240)});
  const auto second = ends.send({ends.frame(240)});
  const auto third = ends.send({ends.frame(240)});
  const auto fourth = ends.send({ends.frame(240)});
  ends.receive(second);
  ends.receive(third);
  ends.advance(1000);
  ends.receive({forged(ends, 0, 1, 15, 15 * 256)});
  ends.advance(ends.options.stream.reorder_ns - 1000);  // gives block 0 up, with what is held of it
  ends.receive(fourth);
  return ends.frames().size() == 3;
}

bool numbers_are_marked() {
  WireEnds ends(test::options_for(test::three_of_five));
  ends.deliver(1000);
  ends.receive(ends.send({ends.frame(240)}));
  const std::uint8_t* mask = nullptr;
  const kernels::TagKey* key = nullptr;
  return ends.ends.tags_in.find(0, mask, key) == Found::already_opened;
}

bool pads_are_erased() {
  WireEnds ends(test::options_for(test::three_of_five));
  ends.deliver(5);
  ends.receive(ends.send({ends.frame(240)}));
  bool erased = true;
  for (test::TestKeyStream* const stream : {&ends.ends.d_out, &ends.ends.d_in}) {
    for (std::size_t i = 0; i < 5 * 256; ++i) erased = erased && stream->stream().ring[i] == 0;
  }
  return erased;
}

struct Promise {
  PlantedFault broken_by;
  bool (*kept)();
};

class WireFaults : public testing::TestWithParam<Promise> {};

INSTANTIATE_TEST_SUITE_P(Wire, WireFaults,
                         testing::Values(Promise{PlantedFault::first_share_stays, forged_shares_give_way},
                                         Promise{PlantedFault::window_of_anybody,
                                                 forgers_do_not_move_the_window},
                                         Promise{PlantedFault::clock_of_anybody, forgers_start_no_clock},
                                         Promise{PlantedFault::pads_of_anybody, forgers_spend_no_pads},
                                         Promise{PlantedFault::unmarked_number, numbers_are_marked},
                                         Promise{PlantedFault::lost_erase, pads_are_erased}));

TEST_P(WireFaults, AreNoticed) {
  EXPECT_TRUE(GetParam().kept());
  plant(GetParam().broken_by);
  EXPECT_FALSE(GetParam().kept());
  plant(PlantedFault::none);
}

}  // namespace
}  // namespace ssn::protocol
