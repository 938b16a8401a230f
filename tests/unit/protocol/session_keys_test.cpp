// SPDX-License-Identifier: BSD-3-Clause
// Keys of a connection without a key device: what is refused, what they let in, and that they change and end.
#include <gtest/gtest.h>

#include "implementations.h"
#include "ssn/protocol/session_keys.h"
#include "transport_world.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::LinkOptions;
using test::one_ms;
using test::one_s;
using test::TransportEnd;
using test::TransportOptions;
using test::TransportWorld;

Bytes keys_of(std::uint8_t name, std::size_t bytes) { return Bytes(bytes, name); }

TEST(SessionKeys, RefusesWhatIsNoKeys) {
  const SessionKeysOptions options{.send_connection_id = 5, .receive_connection_id = 6};
  const Bytes good = keys_of(1, 64);
  EXPECT_TRUE(SessionKeys::make(options, good, keys_of(2, 32)).ok());
  EXPECT_TRUE(SessionKeys::make(options, good, keys_of(2, SessionKeys::max_keys_bytes)).ok());
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{31}, std::size_t{33}, SessionKeys::max_keys_bytes + 32}) {
    EXPECT_FALSE(SessionKeys::make(options, good, keys_of(2, bytes)).ok()) << bytes;
    EXPECT_FALSE(SessionKeys::make(options, keys_of(2, bytes), good).ok()) << bytes;
  }
  const auto same = SessionKeys::make(options, good, keys_of(1, 32));
  ASSERT_FALSE(same.ok());
  EXPECT_EQ(same.error().why, "both directions have the same key");
  EXPECT_FALSE(SessionKeys::make({.send_connection_id = 5}, good, keys_of(2, 32)).ok());
  EXPECT_FALSE(SessionKeys::make({.receive_connection_id = 5}, good, keys_of(2, 32)).ok());
}

/// A world of one session whose sender there begins at a packet number.
TransportOptions session_from(std::uint64_t first_number) {
  TransportOptions options;
  options.session = true;
  options.until_stored = true;
  options.ends.first_gcm_number = first_number;
  return options;
}

TEST(SessionKeys, ChangeEvery2To24PacketsWithoutALoss) {
  LinkOptions link;
  link.loss_percent = 10;
  link.mix_percent = 20;
  TransportWorld world(session_from((1U << 24) - 150), link, link, test::random_for_this_test().next());
  world.ends[0]->traffic.wanted = 600;
  world.ends[1]->traffic.wanted = 600;
  EXPECT_TRUE(world.run(60 * one_s, [&] { return world.finished(); })) << world.wrong();
  for (const auto& end : world.ends) EXPECT_EQ(end->traffic.stored, 600U);
  EXPECT_TRUE(world.run(10 * one_s, [&] { return world.quiet(); })) << world.wrong();
}

TEST(SessionKeys, EndWithTheirLastPacketAndGiveEverythingBack) {
  TransportWorld world(session_from(0), {}, {}, test::random_for_this_test().next());
  TransportEnd& end = *world.ends[0];
  const Bytes one = keys_of(3, 32);
  auto made = SessionKeys::make({.send_connection_id = world.keys[0]->options.connection_id,
                                 .receive_connection_id = 9,
                                 .key_index = 7,
                                 .first_number = (1U << 24) - 10},
                                one, keys_of(4, 32));
  ASSERT_TRUE(made.ok());
  Channel channel({}, made.value()->send(), made.value()->receive(), world.keys[0]->sealer, end.pool, one_s);
  std::array<Cell*, 10> cells;
  ASSERT_EQ(end.pool.take(cells), 10U);
  std::array<Parcel, 10> parcels;
  for (std::size_t i = 0; i < 10; ++i) {
    cells[i]->length = 64;
    parcels[i] = {.cell = cells[i], .token = i};
  }
  ASSERT_EQ(channel.send(parcels, one_s), 10U);
  Cell* more = nullptr;
  ASSERT_EQ(end.pool.take({&more, 1}), 1U);
  more->length = 64;
  Parcel last{.cell = more};
  // The window is full: nothing was in the way but that. Give them up, and the keys are what is missing.
  for (const Parcel& each : parcels) channel.abandon(each.handle);
  EXPECT_EQ(channel.send({&last, 1}, one_s + one_ms), 0U);
  EXPECT_EQ(more->seal_result, SealResult::ended);
  end.pool.give_back({&more, 1});
  EXPECT_FALSE(channel.ended());  // what arrived may still be acknowledged
  std::array<Departure, 16> departures;
  const std::size_t departed = channel.take_departures(departures);
  for (const Departure& each : std::span(departures).first(departed)) {
    end.pool.to_port(*each.cell, each.held);
    end.pool.port_done(*each.cell);
  }
  channel.step(3 * one_s);  // a ping is due, and there is no key for it
  EXPECT_TRUE(channel.ended());
  std::array<Settled, 16> settled;
  EXPECT_EQ(channel.take_settled(settled), 10U);
  EXPECT_EQ(end.pool.out(), 0U);
}

TEST(SessionKeys, LetInNothingThatIsNotUnderThem) {
  TransportWorld world(session_from(0), {}, {}, test::random_for_this_test().next());
  TransportEnd& from = *world.ends[0];
  from.traffic.wanted = 3;
  std::vector<Bytes> packets;
  from.departs = false;
  (void)world.run(one_ms, [] { return false; });
  std::array<Departure, 8> departures;
  const std::size_t count = from.channel.take_departures(departures);
  ASSERT_GE(count, 3U);
  test::PacketEnds& keys = *world.keys[0];
  const auto open = [&](const Bytes& packet) {
    keys.in.receive(0, packet);
    keys.opener.open(keys.in.burst(1));
    return keys.in[0].reason;
  };
  const Cell& cell = *departures[0].cell;
  const Bytes good(cell.packet(), cell.packet() + cell.packet_bytes());
  Bytes plain = good;
  plain[43] = 0;  // says that it is under pad
  store_big(plain.data() + 16, std::uint64_t{0});
  EXPECT_EQ(open(plain), DropReason::not_permitted);
  for (std::size_t at = 8; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] ^= 1;
    keys.in.receive(0, changed);
    keys.opener.open(keys.in.burst(1));
    EXPECT_EQ(keys.in[0].open_result, OpenResult::dropped) << at;
  }
  EXPECT_EQ(open(good), DropReason::none);
  EXPECT_EQ(keys.in[0].open_result, OpenResult::opened);
  EXPECT_EQ(open(good), DropReason::number_replayed);
  // The second session of the same connection has other keys: nothing of the first one opens.
  world.session_keys[1]->end();
  const Cell& next = *departures[1].cell;
  EXPECT_EQ(open(Bytes(next.packet(), next.packet() + next.packet_bytes())), DropReason::epoch_ended);
  for (const Departure& each : std::span(departures).first(count)) {
    from.pool.to_port(*each.cell, each.held);
    from.pool.port_done(*each.cell);
  }
}

}  // namespace
}  // namespace ssn::protocol
