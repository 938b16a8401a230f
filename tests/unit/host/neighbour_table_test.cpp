// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/neighbour_table.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "host_fixture.h"

namespace ssn::dataplane {
namespace {

using test::address;
using test::mac;
using test::second;
using test::TestRandom;
using Ask = NeighbourTable::Ask;
using State = NeighbourState;

const EthernetAddress first = mac("02:00:00:00:00:01");
const EthernetAddress other = mac("02:00:00:00:00:02");

struct OneNeighbour : testing::Test {
  NeighbourTable table{{{1, test::address("10.0.0.2")}}, NeighbourTimes{}};
  /// What resolve answers, as one value.
  std::tuple<State, bool, Ask> at(std::uint64_t now) {
    const NeighbourTable::Answer answer = table.resolve(0, now);
    return {answer.state, answer.usable, answer.ask};
  }
  using Seen = std::tuple<State, bool, Ask>;
};

TEST_F(OneNeighbour, IsAskedForOnceASecondThenGivenUpAndAskedForStill) {
  EXPECT_EQ(at(0), Seen(State::incomplete, false, Ask::everybody));
  EXPECT_EQ(at(0), Seen(State::incomplete, false, Ask::no));
  EXPECT_EQ(at(second - 1), Seen(State::incomplete, false, Ask::no));
  EXPECT_EQ(at(second + 1), Seen(State::incomplete, false, Ask::everybody));
  EXPECT_EQ(at(2 * second + 1), Seen(State::incomplete, false, Ask::everybody));
  EXPECT_EQ(at(3 * second + 1), Seen(State::failed, false, Ask::everybody));
  EXPECT_EQ(at(3 * second + 2), Seen(State::failed, false, Ask::no));
  EXPECT_EQ(at(100 * second), Seen(State::failed, false, Ask::everybody));
  EXPECT_TRUE(table.learn(0, first, true, true, 100 * second + 5));
  EXPECT_EQ(at(100 * second + 6), Seen(State::reachable, true, Ask::no));
  EXPECT_EQ(table.look(0).mac, first);
}

TEST_F(OneNeighbour, GrowsStaleIsUsedAndAskedItself) {
  table.learn(0, first, true, true, second);
  EXPECT_EQ(at(31 * second - 1), Seen(State::reachable, true, Ask::no));
  EXPECT_EQ(at(31 * second), Seen(State::stale, true, Ask::itself));
  EXPECT_EQ(at(31 * second), Seen(State::stale, true, Ask::no));
  table.learn(0, first, true, true, 31 * second + 5);
  EXPECT_EQ(at(60 * second), Seen(State::reachable, true, Ask::no));
  // It falls silent.
  EXPECT_EQ(at(100 * second), Seen(State::stale, true, Ask::itself));
  EXPECT_EQ(at(101 * second), Seen(State::stale, true, Ask::itself));
  EXPECT_EQ(at(102 * second), Seen(State::stale, true, Ask::itself));
  EXPECT_EQ(at(103 * second), Seen(State::failed, false, Ask::everybody));
  EXPECT_EQ(table.look(0).mac, EthernetAddress{});
}

TEST_F(OneNeighbour, ClocksOfWorkersMayDiffer) {
  table.learn(0, first, true, true, 10 * second);
  EXPECT_EQ(at(9 * second), Seen(State::reachable, true, Ask::no));
  EXPECT_EQ(at(40 * second), Seen(State::stale, true, Ask::itself));
  EXPECT_EQ(at(39 * second), Seen(State::stale, true, Ask::no));
}

// RFC 4861, 7.2.5, and appendix C.
TEST_F(OneNeighbour, LearnsByTheFlags) {
  EXPECT_TRUE(table.learn(0, first, false, false, second));
  EXPECT_EQ(table.look(0).state, State::stale);
  EXPECT_FALSE(table.learn(0, first, false, true, second));  // nothing new
  EXPECT_EQ(table.look(0).state, State::stale);
  EXPECT_FALSE(table.learn(0, other, true, false, second));  // may not override
  EXPECT_EQ(table.look(0).mac, first);
  EXPECT_EQ(table.look(0).state, State::stale);
  EXPECT_FALSE(table.learn(0, first, true, false, second));
  EXPECT_EQ(table.look(0).state, State::reachable);
  EXPECT_FALSE(table.learn(0, first, false, true, second));
  EXPECT_EQ(table.look(0).state, State::reachable);
  EXPECT_FALSE(table.learn(0, other, false, false, second));  // casts doubt
  EXPECT_EQ(table.look(0).state, State::stale);
  EXPECT_EQ(table.look(0).mac, first);
  EXPECT_TRUE(table.learn(0, other, false, true, second));
  EXPECT_EQ(table.look(0).state, State::stale);
  EXPECT_EQ(table.look(0).mac, other);
  EXPECT_TRUE(table.learn(0, first, true, true, second));
  EXPECT_EQ(table.look(0).state, State::reachable);
  EXPECT_EQ(table.look(0).mac, first);
}

TEST_F(OneNeighbour, FixedOnesStay) {
  table.fix(0, first);
  EXPECT_EQ(at(1), Seen(State::fixed, true, Ask::no));
  EXPECT_FALSE(table.learn(0, other, true, true, 2));
  EXPECT_EQ(at(1000 * second), Seen(State::fixed, true, Ask::no));
  EXPECT_EQ(table.look(0).mac, first);
}

std::vector<NeighbourKey> many(TestRandom& random, std::size_t count) {
  std::vector<NeighbourKey> keys;
  for (std::size_t i = 0; i < count; ++i) {
    test::Bytes bytes = random.bytes(16);
    bytes[15] = static_cast<std::uint8_t>(i);
    bytes[14] = static_cast<std::uint8_t>(i >> 8);
    keys.push_back({static_cast<std::uint16_t>(i % 3), ip6_address(bytes.data())});
  }
  return keys;
}

TEST(NeighbourTable, FindsItsKeysAndNoOthers) {
  TestRandom random = TestRandom::labelled("neighbours");
  const std::vector<NeighbourKey> keys = many(random, 3000);
  const NeighbourTable table(keys, NeighbourTimes{});
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(table.find(keys[i]), i);
    NeighbourKey wrong = keys[i];
    wrong.port = 7;
    ASSERT_EQ(table.find(wrong), NeighbourTable::none);
  }
  // The same bytes in the other family are another address.
  const NeighbourTable four({{1, address("10.0.0.2")}}, NeighbourTimes{});
  EXPECT_EQ(four.find({1, address("a00:2::")}), NeighbourTable::none);
  EXPECT_EQ(NeighbourTable({}, NeighbourTimes{}).find({1, address("10.0.0.2")}), NeighbourTable::none);
}

TEST(NeighbourTable, InheritsWhatItsPredecessorKnew) {
  NeighbourTable before({{1, address("10.0.0.2")}, {1, address("10.0.0.3")}, {1, address("10.0.0.4")}},
                        NeighbourTimes{});
  before.learn(0, first, true, true, 5);
  before.fix(1, first);
  before.learn(2, first, true, true, 5);
  NeighbourTable after({{1, address("10.0.0.4")}, {1, address("10.0.0.3")}, {2, address("10.0.0.2")}},
                       NeighbourTimes{});
  after.fix(0, other);
  after.inherit(before);
  EXPECT_EQ(after.look(0).mac, other);  // the configuration says so now
  EXPECT_EQ(after.look(1).state, State::stale);
  EXPECT_EQ(after.look(1).mac, first);
  EXPECT_EQ(after.look(2).state, State::incomplete);  // another port
}

// Of all threads that need a neighbour at one moment, one is told to ask; and nobody ever sees an address
// that nobody said.
TEST(NeighbourTable, ThreadsShareIt) {
  constexpr unsigned threads = 4;
  constexpr unsigned rounds = 2000;
  NeighbourTable table({{1, address("10.0.0.2")}}, NeighbourTimes{});
  std::array<std::atomic<unsigned>, rounds> asked{};
  std::atomic<unsigned> wrong{0};
  auto run = [&](unsigned number) {
    for (unsigned round = 0; round < rounds; ++round) {
      const std::uint64_t now = (round + 1) * 2 * second;
      const NeighbourTable::Answer answer = table.resolve(0, now);
      if (answer.ask != Ask::no) ++asked[round];
      if (answer.usable && !(answer.mac == first) && !(answer.mac == other)) ++wrong;
      if (!answer.usable && !answer.mac.is_zero()) ++wrong;
      if (round % 7 == number) table.learn(0, (round & 1U) != 0 ? first : other, number == 0, true, now);
    }
  };
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) running.emplace_back(run, i);
  for (std::thread& one : running) one.join();
  EXPECT_EQ(wrong, 0U);
  unsigned total = 0;
  for (const auto& count : asked) {
    EXPECT_LE(count, 1U);
    total += count;
  }
  EXPECT_GT(total, 0U);
}

}  // namespace
}  // namespace ssn::dataplane
