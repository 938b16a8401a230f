// SPDX-License-Identifier: BSD-3-Clause
// Sealing and opening: what arrives, in what order things are checked, and what a forger can change.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::EndsOptions;
using test::PacketEnds;
using test::TestRandom;

constexpr std::uint64_t much = 1 << 18;

TEST(Packets, CellsArriveAsTheyWereSealed) {
  TestRandom random = TestRandom::labelled("CellsArriveAsTheyWereSealed");
  PacketEnds ends;
  ends.deliver(std::uint64_t{1} << 20, much);
  for (const std::size_t length : {std::size_t{1344}, std::size_t{64}, std::size_t{1}, std::size_t{1408},
                                   max_payload, std::size_t{1343}}) {
    for (std::size_t i = 0; i < 8; ++i) ends.out.prepare(i, length, random);
    const auto burst = ends.out.burst(8);
    ASSERT_EQ(ends.sealer.seal(ends.send, burst), 8U);
    for (std::size_t i = 0; i < 8; ++i) ends.in.receive(i, ends.out.packet(i));
    const auto arrived = ends.in.burst(8);
    ends.opener.open(arrived);
    for (std::size_t i = 0; i < 8; ++i) {
      ASSERT_EQ(ends.in[i].open_result, OpenResult::opened) << name(ends.in[i].reason);
      EXPECT_EQ(ends.in[i].header, ends.out[i].header);
      ASSERT_EQ(ends.in[i].length, length);
      EXPECT_TRUE(std::equal(ends.in[i].target, ends.in[i].target + length, ends.out.plaintext(i)));
    }
    ends.poll();
    EXPECT_TRUE(ends.balanced());
  }
}

}  // namespace
}  // namespace ssn::protocol
