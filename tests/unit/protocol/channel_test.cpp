// SPDX-License-Identifier: BSD-3-Clause
// Channels: cells in, cells out, and every packet followed, under pads, under AES-256-GCM where pads are
// short, and with the keys of a session. transport_test.cpp is about the transport in them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "implementations.h"
#include "ssn/protocol/requests.h"
#include "transport_world.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::LinkOptions;
using test::one_ms;
using test::one_s;
using test::one_us;
using test::PacketEnds;
using test::TransportEnd;
using test::TransportOptions;
using test::TransportWorld;

constexpr std::uint64_t own = TransportEnd::first_own_token;

std::uint64_t seed_of_this_test() { return test::random_for_this_test().next(); }
bool never() { return false; }

enum class Keys { pads, mixed, session };
constexpr Keys all_keys[] = {Keys::pads, Keys::mixed, Keys::session};

TransportOptions options_for(Keys keys) {
  TransportOptions options;
  options.until_stored = true;
  options.session = keys == Keys::session;
  if (keys == Keys::mixed) {
    options.pad_bytes = 200 * 1344;
    options.ends.policy = ShortagePolicy::aes_256_gcm;
    options.ends.gcm = true;
  }
  return options;
}

LinkOptions bad(unsigned loss, unsigned twice, unsigned mixed) {
  LinkOptions link;
  link.loss_percent = loss;
  link.double_percent = twice;
  link.mix_percent = mixed;
  return link;
}

/// All of it came to an end, and every cell came home.
void finish(TransportWorld& world, std::uint64_t limit_ns) {
  EXPECT_TRUE(world.run(limit_ns, [&] { return world.finished(); })) << world.wrong();
  EXPECT_TRUE(world.run(10 * one_s, [&] { return world.quiet(); })) << world.wrong();
  EXPECT_EQ(world.wrong(), "");
  for (const auto& end : world.ends) {
    EXPECT_TRUE(end->sender.audit());
    EXPECT_EQ(end->pool.out(), 0U);
  }
  for (const auto& keys : world.keys) EXPECT_TRUE(keys->balanced());
}

TEST(Channel, CarriesEverythingBothWaysOverBadLinksAndLosesNoCell) {
  const std::uint64_t seed = seed_of_this_test();
  for (const Keys keys : all_keys) {
    for (const unsigned loss : {0U, 5U, 30U}) {
      SCOPED_TRACE(testing::Message() << "keys " << static_cast<int>(keys) << " loss " << loss);
      TransportOptions options = options_for(keys);
      options.port_ns = 700 * one_us;  // longer than a round trip: retransmissions find packets that are read
      TransportWorld world(options, bad(loss, 10, 20), bad(loss, 10, 20), seed + loss);
      world.ends[0]->traffic.wanted = 600;
      world.ends[1]->traffic.wanted = 300;
      finish(world, 120 * one_s);
      for (const auto& end : world.ends) EXPECT_EQ(end->traffic.stored, end->traffic.wanted);
      const std::uint64_t copied = world.ends[0]->channel.counters().copied;
      EXPECT_TRUE(loss == 0 || (keys == Keys::session ? copied == 0 : copied > 0)) << copied;
      const PacketCounters& opened = world.keys[0]->opened;
      EXPECT_EQ(opened.opened_computational != 0, keys != Keys::pads);
      EXPECT_EQ(opened.opened == opened.opened_computational, keys == Keys::session);
    }
  }
}

TEST(Channel, FewCellsSlowItDownAndStopNothing) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportOptions options = options_for(keys);
    options.pool_cells = 40;
    options.departures = 128;
    options.port_ns = 100 * one_us;
    TransportWorld world(options, bad(10, 5, 10), bad(10, 5, 10), seed_of_this_test());
    world.ends[0]->traffic.wanted = 400;
    world.ends[1]->traffic.wanted = 400;
    finish(world, 120 * one_s);
    for (const auto& end : world.ends) EXPECT_EQ(end->traffic.stored, 400U);
  }
}

Bytes read_request(std::uint64_t name) {
  ReadRequest request;
  request.request = name;
  request.count = 1;
  name_cell(request.bitmap, 0);
  Bytes payload(read_request_bytes);
  write_read_request(request, payload.data());
  return payload;
}

TEST(Channel, MessagesArriveAndAreToldOnce) {
  constexpr std::uint64_t count = 200;
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportWorld world(options_for(keys), bad(20, 10, 20), bad(20, 10, 20), seed_of_this_test());
    TransportEnd& from = *world.ends[0];
    TransportEnd& to = *world.ends[1];
    std::uint64_t next = 0;
    const bool done = world.run(60 * one_s, [&] {
      // A request changes nothing of the one after it: it was copied.
      for (; next < count; ++next) {
        Bytes payload = read_request(next);
        const Placement placement{next, 3, 1, 2, 4};
        if (!from.channel.post(PacketType::read, placement, payload, own + next, UINT64_MAX, world.now_ns))
          break;
        std::fill(payload.begin(), payload.end(), std::uint8_t{0});
      }
      return from.settled.size() == count;
    });
    ASSERT_TRUE(done) << world.wrong() << from.settled.size();
    for (const auto& [token, results] : from.settled) {
      ASSERT_EQ(results.size(), 1U);
      EXPECT_EQ(results[0].how, Settled::How::received);
    }
    std::vector<unsigned> times(count);
    for (const TransportEnd::Message& message : to.messages) {
      ASSERT_EQ(message.type, PacketType::read);
      ASSERT_LT(message.placement.object, count);
      EXPECT_EQ(message.placement, (Placement{message.placement.object, 3, 1, 2, 4}));
      EXPECT_EQ(message.payload, read_request(message.placement.object));
      ++times[message.placement.object];
    }
    EXPECT_EQ(std::count(times.begin(), times.end(), 0U), 0);
    finish(world, one_s);
  }
}

TEST(Channel, PostsAreBoundedAndEndWithTheirDeadline) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    LinkOptions cut;
    cut.cut = true;
    TransportWorld world(options_for(keys), cut, cut, seed_of_this_test());
    TransportEnd& end = *world.ends[0];
    std::uint64_t posted = 0;
    PacketHandle first;
    for (int round = 0; round < 100; ++round) {
      while (end.channel.post(PacketType::read, {}, read_request(posted), own + posted,
                              world.now_ns + 20 * one_ms, world.now_ns, posted == 0 ? &first : nullptr)) {
        ++posted;
      }
      (void)world.run(10 * one_us, never);
    }
    EXPECT_GT(posted, 5U);
    EXPECT_LT(posted, 500U);  // the window
    end.channel.abandon(first);
    EXPECT_TRUE(world.run(one_s, [&] { return end.settled.size() == posted; })) << world.wrong();
    for (const auto& [token, results] : end.settled) {
      ASSERT_EQ(results.size(), 1U);
      EXPECT_EQ(results[0].how, Settled::How::expired);
      EXPECT_EQ(results[0].reason, token == own ? ExpireReason::abandoned : ExpireReason::deadline);
    }
    world.there.options.cut = world.back.options.cut = false;  // for the pings
    EXPECT_TRUE(world.run(one_s, [&] { return world.quiet(); })) << world.wrong();
  }
}

std::vector<std::string> sorted(const std::vector<Bytes>& shares) {
  std::vector<std::string> out;
  for (const Bytes& share : shares) out.emplace_back(share.begin(), share.end());
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Channel, KeepOrdersLeaveTheSameShareAtBothEnds) {
  constexpr std::uint64_t orders = 40;
  for (const Keys keys : {Keys::pads, Keys::mixed}) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportWorld world(options_for(keys), bad(20, 5, 10), bad(20, 5, 10), seed_of_this_test());
    TransportEnd& from = *world.ends[0];
    TransportEnd& to = *world.ends[1];
    std::vector<Bytes> shares;
    const KeepOrder order{2, 1344, 1};
    const bool done = world.run(60 * one_s, [&] {
      while (shares.size() < orders) {
        Cell* cell = nullptr;
        if (from.pool.take({&cell, 1}) == 0) break;
        cell->header.placement = {shares.size(), 0, 1, 0, 1};
        Bytes share(order.bytes());
        Parcel parcel{.cell = cell, .token = own + shares.size(), .cells = 2, .until_stored = true};
        if (!from.channel.send_order(parcel, order, share, world.now_ns)) {
          from.pool.give_back({&cell, 1});
          break;
        }
        EXPECT_FALSE(parcel.computational);
        shares.push_back(share);
      }
      return from.settled.size() == orders &&
             std::all_of(from.settled.begin(), from.settled.end(),
                         [](const auto& each) { return each.second.size() == 2; });
    });
    ASSERT_TRUE(done) << world.wrong();
    for (const auto& [token, results] : from.settled) {
      EXPECT_EQ(results[0].how, Settled::How::received);
      EXPECT_EQ(results[1].how, Settled::How::stored);
    }
    EXPECT_EQ(sorted(shares), sorted(to.kept));  // each exactly once
    finish(world, one_s);
  }
}

TEST(Channel, ASessionKeepsNoPads) {
  TransportWorld world(options_for(Keys::session), {}, {}, seed_of_this_test());
  TransportEnd& end = *world.ends[0];
  Cell* cell = nullptr;
  ASSERT_EQ(end.pool.take({&cell, 1}), 1U);
  Bytes share(64);
  Parcel parcel{.cell = cell, .token = own};
  EXPECT_FALSE(end.channel.send_order(parcel, KeepOrder{1, 64, 1}, share, world.now_ns));
  EXPECT_EQ(cell->seal_result, SealResult::invalid);
  EXPECT_EQ(share, Bytes(64));
  end.pool.give_back({&cell, 1});
}

TEST(Channel, WhatTheOwnerRefusesIsNotForgottenByItsSender) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportOptions options = options_for(keys);
    options.pad_bytes = std::uint64_t{1} << 30;
    options.until_stored = false;
    TransportWorld world(options, {}, {}, seed_of_this_test());
    TransportEnd& from = *world.ends[0];
    TransportEnd& to = *world.ends[1];
    to.refuse_percent = 30;
    from.traffic.wanted = 500;
    ASSERT_TRUE(world.run(60 * one_s, [&] { return world.finished(); })) << world.wrong();
    EXPECT_GT(to.channel.counters().refused, 50U);
    // Under AES-256-GCM it came again until it was taken; a pad cannot be used twice, and that was said.
    const std::uint64_t gone = from.traffic.expired[ExpireReason::pad_gone];
    EXPECT_EQ(from.traffic.finished(), gone);
    EXPECT_EQ(from.traffic.received, 500 - gone);
    EXPECT_EQ(from.traffic.arrived, from.traffic.received);
    EXPECT_EQ(gone != 0, keys != Keys::session);
    // Messages come again, whatever the keys.
    for (std::uint64_t i = 0; i < 20; ++i) {
      ASSERT_TRUE(world.run(one_s, [&] {
        return from.channel.post(PacketType::read, {.object = i}, read_request(i), own + i, UINT64_MAX,
                                 world.now_ns);
      }));
    }
    ASSERT_TRUE(world.run(10 * one_s, [&] { return from.settled.size() == 20; })) << world.wrong();
    std::vector<unsigned> times(20);
    for (const TransportEnd::Message& message : to.messages) ++times[message.placement.object];
    EXPECT_EQ(std::count(times.begin(), times.end(), 0U), 0);
    finish(world, one_s);
  }
}

TEST(Channel, WhatIsRefusedAgainAndAgainComesLessAndLessOften) {
  TransportOptions options = options_for(Keys::session);
  options.sender.packets = 64;  // 256 numbers are remembered
  TransportWorld world(options, {}, {}, seed_of_this_test());
  TransportEnd& from = *world.ends[0];
  TransportEnd& to = *world.ends[1];
  to.stores = false;
  from.traffic.wanted = 20;
  ASSERT_TRUE(world.run(one_s, [&] { return from.traffic.received == 20; })) << world.wrong();
  to.refuse_percent = 100;
  from.traffic.wanted = 40;
  (void)world.run(5 * one_s, never);
  const std::uint64_t again = from.sender.counters().sent_again;
  EXPECT_GT(again, 300U);  // more numbers than are remembered
  EXPECT_LT(again, 1000U);
  // Those that arrived before all that are told as stored, and the others get through.
  to.refuse_percent = 0;
  to.stores = true;
  finish(world, 10 * one_s);
  EXPECT_EQ(from.traffic.stored, 40U);
}

TEST(Channel, AnIdleOneSleeps) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportOptions options = options_for(keys);
    options.sender.most_bytes_per_second = 20'000'000;
    options.credit = 30;
    TransportWorld world(options, {}, {}, seed_of_this_test());
    TransportEnd& end = *world.ends[0];
    end.traffic.wanted = 3000;
    (void)world.run(50 * one_ms, never);
    const std::uint64_t* const limited = end.sender.counters().limited;
    EXPECT_GT(limited[static_cast<std::size_t>(SendLimit::pace)], 0U);
    // Limited by pace, then by credit, and then there is nothing to send any more.
    for (const bool by_credit : {false, true}) {
      if (by_credit) world.ends[1]->credit = 0;
      (void)world.run(20 * one_ms, never);
      if (by_credit) {  // whoever goes on asking is not asked for more than what brings him on
        const std::uint64_t before = end.sender.counters().pings;
        (void)world.run(10 * one_s, never);
        EXPECT_LT(end.sender.counters().pings - before, 100U);
        EXPECT_GT(end.sender.counters().pings - before, 20U);
      }
      const std::uint64_t wanted = end.traffic.wanted;
      end.traffic.wanted = end.traffic.begun;
      finish(world, one_s);
      const std::uint64_t pings = end.sender.counters().pings;
      std::uint64_t rounds = 0;
      (void)world.run(10 * one_s, [&] { return ++rounds == 0; });
      EXPECT_LT(rounds, 200U);
      EXPECT_LT(end.sender.counters().pings - pings, 20U);
      end.traffic.wanted = wanted;
    }
    EXPECT_GT(limited[static_cast<std::size_t>(SendLimit::credit)], 0U);
  }
}

TEST(Channel, AShortageIsSaidAsThePolicyWants) {
  for (const ShortagePolicy policy : {ShortagePolicy::refuse, ShortagePolicy::wait}) {
    TransportOptions options;
    options.ends.policy = policy;
    options.pad_bytes = 5 * 1344;
    TransportWorld world(options, {}, {}, seed_of_this_test());
    TransportEnd& end = *world.ends[0];
    const bool refuses = policy == ShortagePolicy::refuse;
    end.traffic.wanted = 10;
    (void)world.run(one_ms, never);
    EXPECT_EQ(end.traffic.begun, 5U);
    const Allowance allowed = end.channel.allowance(1344, 1, world.now_ns);
    EXPECT_EQ(allowed.packets, refuses ? 1U : 0U);
    EXPECT_EQ(allowed.limit, SendLimit::keys);
    EXPECT_EQ(name(allowed.limit), "keys");
    Cell* cell = nullptr;
    ASSERT_EQ(end.pool.take({&cell, 1}), 1U);
    cell->length = 1344;
    Parcel parcel{.cell = cell};
    EXPECT_EQ(end.channel.send({&parcel, 1}, world.now_ns), 0U);
    EXPECT_EQ(cell->seal_result, refuses ? SealResult::refused : SealResult::waiting);
    end.pool.give_back({&cell, 1});
  }
}

TEST(Channel, SaysWhichParcelsAreComputational) {
  TransportOptions options = options_for(Keys::mixed);
  options.pad_bytes = 3 * 1344 + 64;
  TransportWorld world(options, {}, {}, seed_of_this_test());
  TransportEnd& end = *world.ends[0];
  (void)world.run(one_us, never);  // the keys are there
  std::array<Cell*, 6> cells;
  ASSERT_EQ(end.pool.take(cells), 6U);
  std::array<Parcel, 6> parcels;
  for (std::size_t i = 0; i < 6; ++i) {
    cells[i]->length = 1344;
    std::fill_n(cells[i]->data, 1344, std::uint8_t{0});
    parcels[i] = {.cell = cells[i]};
  }
  ASSERT_EQ(end.channel.send(parcels, world.now_ns), 6U);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(parcels[i].computational, i >= 3) << i;
}

TEST(Channel, WhatCannotBeSealedStaysTheCallersAndStopsTheBurst) {
  TransportWorld world(TransportOptions{}, {}, {}, seed_of_this_test());
  TransportEnd& end = *world.ends[0];
  (void)world.run(one_us, never);
  std::array<Cell*, 4> cells;
  ASSERT_EQ(end.pool.take(cells), 4U);
  std::array<Parcel, 4> parcels;
  for (std::size_t i = 0; i < 4; ++i) {
    cells[i]->length = i == 2 ? 0 : 640;
    parcels[i] = {.cell = cells[i], .token = own + i};
    std::memcpy(cells[i]->data, &parcels[i].token, sizeof parcels[i].token);
  }
  EXPECT_EQ(end.channel.send(parcels, world.now_ns), 2U);
  EXPECT_EQ(cells[2]->seal_result, SealResult::invalid);
  EXPECT_EQ(cells[3]->seal_result, SealResult::waiting);
  end.pool.give_back(std::span(cells).subspan(2));
  EXPECT_TRUE(world.run(one_s, [&] { return world.quiet(); })) << world.wrong();
  EXPECT_EQ(end.settled.size(), 2U);
}

TEST(Channel, APortThatIsBehindKeepsWhatItHasYetToSend) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportOptions options = options_for(keys);
    options.departures = 128;
    TransportWorld world(options, {}, {}, seed_of_this_test());
    TransportEnd& end = *world.ends[0];
    end.departs = false;
    end.traffic.wanted = 1000;
    (void)world.run(one_ms, never);
    const std::uint64_t begun = end.traffic.begun;
    ASSERT_GT(begun, 5U);
    ASSERT_LE(begun, 128U);
    // Settled while they wait: the packets are the port's then.
    for (std::uint64_t token = 0; token < begun; ++token) end.give_up(token);
    end.traffic.wanted = begun;
    (void)world.run(one_ms, never);
    EXPECT_EQ(end.traffic.expired[ExpireReason::abandoned], begun);
    EXPECT_GE(end.pool.out(), begun);
    end.departs = true;
    finish(world, one_s);
  }
}

TEST(Channel, AFullQueueOfDeparturesIsALimit) {
  TransportOptions options;
  options.departures = 128;
  options.sender.congestion_control = false;
  options.sender.initial_credit = 100000;
  TransportWorld world(options, {}, {}, seed_of_this_test());
  TransportEnd& end = *world.ends[0];
  end.departs = false;
  end.traffic.wanted = 1000;
  (void)world.run(100 * one_ms, never);
  EXPECT_EQ(end.traffic.begun, 112U);  // the rest is for acknowledgements and pings
  EXPECT_EQ(end.channel.allowance(1344, 1, world.now_ns).limit, SendLimit::port);
  end.departs = true;
  finish(world, 10 * one_s);
  EXPECT_EQ(end.traffic.received, 1000U);
}

TEST(Channel, AnEndGivesEverythingBackAndNothingDepartsAfterIt) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportWorld world(options_for(keys), bad(20, 0, 0), {}, seed_of_this_test());
    TransportEnd& end = *world.ends[0];
    end.traffic.wanted = 1000;
    (void)world.run(3 * one_ms, never);
    end.departs = false;
    (void)world.run(one_ms, never);
    end.channel.end(world.now_ns);
    EXPECT_FALSE(end.channel.departing());
    EXPECT_FALSE(end.channel.post(PacketType::read, {}, read_request(1), own, UINT64_MAX, world.now_ns));
    EXPECT_EQ(end.channel.allowance(1344, 1, world.now_ns).limit, SendLimit::ended);
    EXPECT_EQ(end.channel.next_due(), UINT64_MAX);
    end.traffic.wanted = end.traffic.begun;
    (void)world.run(10 * one_ms, never);
    EXPECT_EQ(world.wrong(), "");
    EXPECT_EQ(end.traffic.stored + end.traffic.finished(), end.traffic.begun);
    EXPECT_EQ(end.pool.out(), 0U);
  }
}

TEST(Channel, GoesAndGivesEveryCellBack) {
  for (const Keys keys : all_keys) {
    SCOPED_TRACE(static_cast<int>(keys));
    TransportWorld world(options_for(keys), bad(20, 0, 0), {}, seed_of_this_test());
    test::TestPacketPool pool(1000);
    {
      PacketEnds& out = *world.keys[0];
      SendKeys& send = keys == Keys::session ? world.session_keys[0]->send() : out.send;
      ReceiveKeys& receive =
          keys == Keys::session ? world.session_keys[0]->receive() : world.keys[1]->receive;
      out.poll();
      Channel channel({}, send, receive, out.sealer, pool, one_s);
      std::array<Cell*, 8> cells;
      ASSERT_EQ(pool.take(cells), 8U);
      std::array<Parcel, 8> parcels;
      for (std::size_t i = 0; i < 8; ++i) {
        cells[i]->length = 640;
        parcels[i] = {.cell = cells[i], .token = i};
      }
      ASSERT_EQ(channel.send(parcels, one_s), 8U);
      std::array<Departure, 3> departures;
      ASSERT_EQ(channel.take_departures(departures), 3U);
      for (const Departure& each : departures) pool.to_port(*each.cell, each.held);
      for (const Departure& each : departures) pool.port_done(*each.cell);
      EXPECT_GE(pool.out(), 8U);
    }
    EXPECT_EQ(pool.out(), 0U);
    EXPECT_EQ(pool.wrong(), "");
  }
}

TEST(Channel, AnAlarmEndsBothDirections) {
  TransportWorld world(TransportOptions{}, {}, {}, seed_of_this_test());
  TransportEnd& end = *world.ends[0];
  LinkOptions cut;
  cut.cut = true;
  end.traffic.wanted = 20;
  (void)world.run(one_us, never);
  world.keys[1]->receive.ended = true;  // as an opener leaves it
  world.keys[1]->receive.alarm = EpochAlarm::number_reused;
  end.traffic.wanted = end.traffic.begun;
  (void)world.run(one_ms, never);
  EXPECT_TRUE(end.channel.ended());
  EXPECT_EQ(end.channel.alarm(), EpochAlarm::number_reused);
  EXPECT_EQ(end.pool.out(), 0U);
}

}  // namespace
}  // namespace ssn::protocol
