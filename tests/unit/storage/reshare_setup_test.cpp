// SPDX-License-Identifier: BSD-3-Clause
// What the configuration says of re-sharing becomes limits and a floor.
#include "reshare_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ssn/protocol/payloads.h"

namespace ssn::dataplane::test {
namespace {

Configuration among(std::initializer_list<const char*> shareholders) {
  Configuration configuration;
  configuration.name = "sae-a";
  configuration.shareholder.present = true;
  configuration.peers.emplace_back().name = "ssa";
  configuration.peers.back().role = PeerConfiguration::Role::ssa;
  for (const char* const name : shareholders) {
    configuration.peers.emplace_back().name = name;
    configuration.peers.back().role = PeerConfiguration::Role::shareholder;
  }
  return configuration;
}

TEST(ReshareSetup, ListsShareholdersAndNobodyElse) {
  Configuration configuration = among({"sae-b", "sae-c"});
  configuration.shareholder.minimum_t = 3;
  const HolderRole::Resharing made = resharing_of(configuration, 40000, 1344);
  std::vector<std::uint64_t> listed;
  for (const roles::ListedNode& each : made.floor.nodes) listed.push_back(each.node);
  EXPECT_THAT(listed, testing::UnorderedElementsAre(roles::node_number("sae-a"), roles::node_number("sae-b"),
                                                    roles::node_number("sae-c")));
  EXPECT_EQ(made.floor.minimum_t, 3U);
  EXPECT_EQ(made.options.node, roles::node_number("sae-a"));
  EXPECT_GE(made.options.peers, 2U);
  EXPECT_TRUE(made.random_stream);
  configuration.shareholder.random = RandomSource::drbg;
  EXPECT_FALSE(resharing_of(configuration, 40000, 1344).random_stream);
}

TEST(ReshareSetup, JobsTakeNoMoreThanAQuarterOfThePackets) {
  Configuration configuration = among({"sae-b"});
  configuration.shareholder.reshare_jobs = 4;
  configuration.shareholder.reshare_memory = std::uint64_t{16} << 20;
  EXPECT_EQ(resharing_of(configuration, 1'000'000, 1344).options.job_bytes, std::size_t{16} << 20);
  const roles::ResharerOptions small = resharing_of(configuration, 20'000, 1344).options;
  EXPECT_LE(small.jobs * small.job_bytes / 1344, 5000U);
  EXPECT_GT(small.jobs * small.job_bytes / 1344, 4000U);
}

// However many mask orders a peer sends: more than these are dropped, and come again.
TEST(ReshareSetup, MaskOrdersHaveBoundedMemory) {
  for (const std::uint32_t cell_room : {64U, 1344U, 8896U}) {
    auto made = mask_memory(cell_room);
    ASSERT_TRUE(made.ok()) << made.error().why;
    OrderMemory& memory = made.value();
    EXPECT_EQ(memory.bytes(), std::min<std::uint32_t>(64 * cell_room, protocol::max_order_bytes));
    unsigned pieces = 0;
    while (memory.take() != nullptr) ASSERT_LE(++pieces, 32U);
    EXPECT_EQ(pieces, 32U);
  }
}

TEST(ReshareSetup, TheLesserRateCounts) {
  EXPECT_EQ(lesser_rate(0, 0), 0U);
  EXPECT_EQ(lesser_rate(5, 0), 5U);
  EXPECT_EQ(lesser_rate(0, 7), 7U);
  EXPECT_EQ(lesser_rate(5, 7), 5U);
  EXPECT_EQ(lesser_rate(9, 7), 7U);
}

TEST(ReshareSetup, NumbersFollowFromNames) {
  // Published FNV-1a: all nodes must come to the same.
  EXPECT_EQ(roles::node_number("foobar"), 0x85944171f73967e8U);
  EXPECT_EQ(roles::node_number(""), 0xcbf29ce484222325U);
  EXPECT_TRUE(check_node_numbers(among({"sae-b", "sae-c"})).ok());
  EXPECT_FALSE(check_node_numbers(among({"sae-b", "sae-a"})).ok());
}

}  // namespace
}  // namespace ssn::dataplane::test
