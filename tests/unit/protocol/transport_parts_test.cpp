// SPDX-License-Identifier: BSD-3-Clause
// The parts of the transport, each against a slow model or by hand.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "implementations.h"
#include "packet_ends.h"
#include "ssn/protocol/transport_receiver.h"
#include "ssn/protocol/transport_sender.h"

namespace ssn::protocol {
namespace {

using test::TestRandom;

constexpr std::uint64_t one_us = 1000;
constexpr std::uint64_t one_ms = 1'000'000;

TEST(RangeSet, HoldsWhatAModelHolds) {
  TestRandom random = test::random_for_this_test();
  for (unsigned run = 0; run < 200; ++run) {
    RangeSet set(1 + random.below(8));
    std::set<std::uint64_t> model;
    std::uint64_t top = 0;
    for (unsigned step = 0; step < 60; ++step) {
      const std::uint64_t begin = random.below(120);
      const std::uint64_t end = begin + 1 + random.below(12);
      if (random.below(12) == 0) {
        set.raise(begin);
        for (std::uint64_t i = 0; i < begin; ++i) model.insert(i);
      } else if (set.add(begin, end)) {
        for (std::uint64_t i = begin; i < end; ++i) model.insert(i);
      } else {
        ASSERT_TRUE(set.full());
      }
      top = std::max(top, end);
      for (std::uint64_t i = 0; i < top; ++i) ASSERT_EQ(set.contains(i, i + 1), model.count(i) != 0) << i;
      std::uint64_t last = set.below();
      for (const RangeSet::Range& range : set.ranges()) {
        ASSERT_GT(range.begin, last);
        ASSERT_GT(range.end, range.begin);
        ASSERT_FALSE(set.contains(range.begin - 1, range.end));
        ASSERT_TRUE(set.contains(range.begin, range.end));
        last = range.end;
      }
    }
  }
}

TEST(RecordTable, ListsHoldWhatWasPutThere) {
  TestRandom random = test::random_for_this_test();
  RecordTable table(64);
  RecordList list;
  std::vector<std::uint32_t> model;
  for (unsigned step = 0; step < 3000; ++step) {
    if (random.coin() && table.free() != 0) {
      const std::uint32_t at = table.take();
      table[at].state = TransportRecord::State::flying;
      const std::size_t place = random.below(model.size() + 1);
      const std::uint32_t before = place == 0 ? TransportRecord::none : model[place - 1];
      table.insert(list, TransportRecord::by_range, before, at);
      model.insert(model.begin() + static_cast<std::ptrdiff_t>(place), at);
    } else if (!model.empty()) {
      const std::size_t place = random.below(model.size());
      const std::uint32_t life = table[model[place]].life;
      table.remove(list, TransportRecord::by_range, model[place]);
      table.give_back(model[place]);
      ASSERT_NE(table[model[place]].life, life);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(place));
    }
    std::vector<std::uint32_t> found;
    for (std::uint32_t at = list.head; at != TransportRecord::none;
         at = table.next(TransportRecord::by_range, at)) {
      found.push_back(at);
    }
    ASSERT_EQ(found, model);
    ASSERT_EQ(list.count, model.size());
    ASSERT_EQ(table.free(), 64 - model.size());
  }
}

TEST(NumberMap, ClaimsEachNumberOnceAndForgetsOldOnes) {
  TestRandom random = test::random_for_this_test();
  NumberMap map(256);
  std::map<std::uint64_t, std::uint32_t> owners;
  std::set<std::uint64_t> claimed;
  std::uint64_t number = 0;
  for (unsigned step = 0; step < 2000; ++step) {
    number += 1 + (random.below(10) == 0 ? random.below(300) : 0);
    const auto record = static_cast<std::uint32_t>(random.below(100));
    map.sent(number, record, step);
    owners[number] = record;
    ASSERT_EQ(map.owner(number).record, record);
    ASSERT_EQ(map.owner(number).life, step);
    const std::uint64_t word = number / 64 - std::min<std::uint64_t>(number / 64, random.below(6));
    const std::uint64_t bits = random.next();
    const std::uint64_t fresh = map.claim(NumberMap::Claim::received, word, bits);
    const bool remembered = number / 64 - word < 256 / 64;
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t each = word * 64 + bit;
      const bool asked = (bits >> bit & 1U) != 0 && remembered && each <= number;
      ASSERT_EQ((fresh >> bit & 1U) != 0, asked && claimed.count(each) == 0) << each;
      if (asked) claimed.insert(each);
    }
    const std::uint64_t first = number - std::min<std::uint64_t>(number, random.below(100));
    const auto at = claimed.lower_bound(first);
    ASSERT_EQ(map.any_received(first, number + 1), at != claimed.end());
  }
}

TEST(DeadlineWheel, NothingIsEarlyAndNothingLaterThanATick) {
  TestRandom random = test::random_for_this_test();
  RecordTable table(64);
  DeadlineWheel wheel(one_ms);
  constexpr std::uint64_t tick = 1 << 20;
  std::map<std::uint32_t, std::uint64_t> pending;
  std::uint64_t now = 0;
  for (unsigned step = 0; step < 20000; ++step) {
    if (random.below(4) == 0 && table.free() != 0) {
      const std::uint32_t at = table.take();
      table[at].state = TransportRecord::State::flying;
      table[at].deadline_ns = random.below(50) == 0 ? UINT64_MAX : now + random.below(700 * one_ms);
      if (table[at].deadline_ns != UINT64_MAX) pending[at] = table[at].deadline_ns;
      wheel.add(table, at);
      if (table[at].deadline_ns == UINT64_MAX) table.give_back(at);
    }
    ASSERT_EQ(wheel.next() == UINT64_MAX, pending.empty());
    for (const auto& [at, deadline] : pending) ASSERT_LE(wheel.next(), deadline + tick);
    now += random.below(100) == 0 ? random.below(1000 * one_ms) : random.below(one_ms);
    wheel.advance(table, now, [&](std::uint32_t at) {
      ASSERT_LE(pending.at(at), now);
      pending.erase(at);
      wheel.remove(table, at);
      table.give_back(at);
    });
    // Nor is anybody called for nothing but what lies a revolution later.
    const std::uint64_t first = (now >> 20) + 1;
    std::uint64_t least = UINT64_MAX;
    for (const auto& [at, deadline] : pending) {
      ASSERT_LT(now, deadline + tick);
      const std::uint64_t its = ((table[at].deadline_ns - 1) >> 20) + 1;
      least = std::min(least, (first + (its - first) % DeadlineWheel::buckets) << 20);
    }
    ASSERT_EQ(wheel.next(), least);
  }
}

TEST(RoundTrip, FollowsTheEstimateOfTheDocument) {
  RoundTrip trip(5 * one_ms, 50 * one_us);
  EXPECT_EQ(trip.probe_timeout(0), 15 * one_ms);
  trip.sample(100 * one_us, 0);
  EXPECT_EQ(trip.smoothed(), 100 * one_us);
  EXPECT_EQ(trip.variation(), 50 * one_us);
  trip.sample(300 * one_us, 120 * one_us);  // 180 us without the peer's delay
  EXPECT_EQ(trip.smoothed(), 110 * one_us);
  EXPECT_EQ(trip.variation(), (3 * 50 * one_us + 80 * one_us) / 4);
  trip.sample(110 * one_us, 50 * one_us);  // a delay that would go below the least does not count
  EXPECT_EQ(trip.smoothed(), 110 * one_us);
  EXPECT_EQ(trip.least(), 100 * one_us);
  EXPECT_EQ(trip.loss_delay(9), 110 * one_us / 8 * 9);
  EXPECT_EQ(RoundTrip(one_us, 50 * one_us).loss_delay(9), 50 * one_us);
}

TEST(CongestionWindow, DoublesThenGrowsByOnePacketARoundAndHalvesOncePerLossyRound) {
  CongestionWindow window(1000, 1 << 20, true);
  ASSERT_EQ(window.bytes(), 10000U);
  const auto round = [&](std::uint64_t at) {
    const std::uint64_t packets = window.bytes() / 1000;
    for (std::uint64_t i = 0; i < packets; ++i) window.sent(1000);
    for (std::uint64_t i = 0; i < packets; ++i) {
      window.left(1000);
      window.acknowledged(1000, at);
    }
  };
  round(1);
  EXPECT_EQ(window.bytes(), 20000U);
  EXPECT_TRUE(window.lost(2, 10));
  EXPECT_FALSE(window.lost(3, 11));  // of the same round
  EXPECT_EQ(window.bytes(), 10000U);
  window.sent(9500);
  window.left(1000);
  window.acknowledged(1000, 9);  // sent before the loss was known: no growth
  EXPECT_EQ(window.bytes(), 10000U);
  window.left(8500);
  round(20);
  EXPECT_EQ(window.bytes(), 11000U);
  round(21);
  EXPECT_EQ(window.bytes(), 12000U);
  EXPECT_TRUE(window.lost(22, 30));
  EXPECT_EQ(window.bytes(), 6000U);
  window.not_lost();  // it had only been late
  EXPECT_EQ(window.bytes(), 12000U);
  window.persistent();
  EXPECT_EQ(window.bytes(), 2000U);
  // Who does not fill the window does not earn a larger one.
  for (unsigned i = 0; i < 100; ++i) {
    window.sent(100);
    window.left(100);
    window.acknowledged(100, 40);
  }
  EXPECT_EQ(window.bytes(), 2000U);
  CongestionWindow fixed(1000, 50000, false);
  EXPECT_FALSE(fixed.lost(1, 2));
  EXPECT_EQ(fixed.bytes(), 50000U);
}

TEST(Pacer, KeepsTheRateAndAllowsShortBursts) {
  CongestionWindow window(1000, 100000, false);  // no slow start: at its largest
  RoundTrip trip(one_ms, one_us);
  Pacer pacer(1000, 10 * one_us, 50'000'000);  // 20 us a packet
  pacer.set_pace(window, trip);
  std::uint64_t sent = 0;
  for (std::uint64_t now = 1000 * one_ms; now < 1100 * one_ms; now += 5 * one_us) {
    const std::uint64_t allowed = pacer.allowed(1000, now);
    ASSERT_LE(allowed, 17U);
    pacer.sent(allowed * 1000, now);
    sent += allowed;
  }
  EXPECT_NEAR(static_cast<double>(sent), 5000.0, 25.0);
}

// ---- The receiver, packet by packet.

Cell arrived_cell(PacketType type, OpenResult result, std::uint64_t number, std::uint64_t d_offset,
                  std::uint32_t length) {
  Cell cell;
  cell.header.type = type;
  cell.header.number = number;
  cell.header.d_offset = d_offset;
  cell.length = cell.range_length = length;
  cell.open_result = result;
  return cell;
}

struct Receiving {
  void cell(std::uint64_t number, std::uint64_t d_offset, OpenResult result = OpenResult::opened) {
    Cell each = arrived_cell(PacketType::cell, result, number, d_offset, 640);
    Cell* const cells[] = {&each};
    receiver.arrived(cells, now);
  }
  std::vector<Acknowledgement> acknowledge() {
    std::vector<Acknowledgement> out(TransportReceiver::most_acknowledgements);
    out.resize(receiver.acknowledge(out, now));
    return out;
  }
  TransportReceiver receiver{ReceiverOptions{}};
  std::uint64_t now = one_ms;
};

TEST(TransportReceiver, AcknowledgesEverySixteenOrAfterADelayOrAtOnce) {
  Receiving end;
  EXPECT_EQ(end.receiver.next_due(), UINT64_MAX);
  end.cell(0, 0);
  EXPECT_FALSE(end.receiver.due(end.now));
  EXPECT_EQ(end.receiver.next_due(), end.now + 100 * one_us);
  for (std::uint64_t i = 1; i < 15; ++i) end.cell(i, 640 * i);
  EXPECT_FALSE(end.receiver.due(end.now));
  end.cell(15, 640 * 15);
  ASSERT_TRUE(end.receiver.due(end.now));
  end.now += 30 * one_us;
  std::vector<Acknowledgement> made = end.acknowledge();
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].kind, Acknowledgement::Kind::received);
  EXPECT_EQ(made[0].largest, 15U);
  EXPECT_EQ(made[0].delay_us, 30U);
  EXPECT_EQ(made[0].below, 640U * 16);
  EXPECT_EQ(made[0].range_count, 0U);
  EXPECT_EQ(made[0].bitmap[0], 0xFF);
  EXPECT_EQ(made[0].bitmap[1], 0x7F);
  EXPECT_FALSE(end.receiver.due(end.now + one_ms));
  // A hole: at once. Number 16 and its range are missing.
  end.cell(17, 640 * 17);
  ASSERT_TRUE(end.receiver.due(end.now));
  made = end.acknowledge();
  ASSERT_EQ(made[0].range_count, 1U);
  EXPECT_EQ(made[0].ranges[0], (Acknowledgement::Range{640 * 17, 640 * 18}));
  EXPECT_EQ(made[0].bitmap[0] & 1U, 0U);
  // It comes under another number, and once more.
  end.cell(18, 640 * 16);
  EXPECT_FALSE(end.receiver.due(end.now));
  end.cell(19, 640 * 16, OpenResult::repeated);
  ASSERT_TRUE(end.receiver.due(end.now));
  made = end.acknowledge();
  EXPECT_EQ(made[0].below, 640U * 18);
  EXPECT_EQ(made[0].range_count, 0U);
}

TEST(TransportReceiver, WhatWasDroppedOrHasNoPadIsNotAcknowledged) {
  Receiving end;
  end.cell(0, 0);
  end.cell(1, 640, OpenResult::dropped);
  end.cell(2, 1280, OpenResult::pad_gone);
  end.cell(3, 1920);
  const std::vector<Acknowledgement> made = end.acknowledge();
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].bitmap[0], 4U);  // packet 0 alone, beside 3
  EXPECT_EQ(made[0].below, 640U);
}

TEST(TransportReceiver, AcknowledgementsAreNotAcknowledged) {
  Receiving end;
  Cell each = arrived_cell(PacketType::acknowledgement, OpenResult::acknowledgement, 0, 0, 0);
  Cell* const cells[] = {&each};
  end.receiver.arrived(cells, end.now);
  EXPECT_EQ(end.receiver.next_due(), UINT64_MAX);
}

TEST(TransportReceiver, StoredIsToldForABatchAndOnlyWhatIsDurable) {
  Receiving end;
  for (std::uint64_t i = 0; i < 16; ++i) end.cell(i, 640 * i);
  (void)end.acknowledge();
  PacketHeader header;
  for (const std::uint64_t i : {0U, 1U, 5U}) {
    header.d_offset = 640 * i;
    ASSERT_TRUE(end.receiver.stored(header, 640, end.now));
  }
  EXPECT_EQ(end.receiver.next_due(), end.now + 500 * one_us);
  end.now += 500 * one_us;
  std::vector<Acknowledgement> made = end.acknowledge();
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].kind, Acknowledgement::Kind::stored);
  EXPECT_EQ(made[0].below, 1280U);
  ASSERT_EQ(made[0].range_count, 1U);
  EXPECT_EQ(made[0].ranges[0], (Acknowledgement::Range{3200, 3840}));
  EXPECT_EQ(made[0].largest, 0U);
  EXPECT_EQ(made[0].bitmap, Acknowledgement().bitmap);
  // A ping asks for both kinds at once, and closes holes.
  Cell ping = arrived_cell(PacketType::ping, OpenResult::message, 16, 0, 16);
  Cell* const cells[] = {&ping};
  end.receiver.arrived(cells, end.now);
  end.receiver.ping({3200, 0});
  made = end.acknowledge();
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(made[1].below, 3840U);
}

TEST(TransportReceiver, MoreRangesThanAPacketHoldsAreToldInTurn) {
  Receiving end;
  for (std::uint64_t i = 0; i < 300; ++i) end.cell(2 * i, 1280 * i + 640);
  EXPECT_GT(end.receiver.counters().forgotten, 0U);  // 256 are remembered
  std::set<std::uint64_t> told;
  for (unsigned i = 0; i < 4; ++i) {
    end.cell(1000 + 2 * i, 640);  // out of order
    for (const Acknowledgement& each : end.acknowledge()) {
      ASSERT_LE(each.range_count, Acknowledgement::max_ranges);
      for (std::size_t r = 0; r < each.range_count; ++r) told.insert(each.ranges[r].begin);
    }
  }
  EXPECT_GE(told.size(), 250U);
}

TEST(TransportReceiver, CreditThatGrowsIsToldUnasked) {
  Receiving end;
  end.receiver.set_credit(1000, end.now);
  EXPECT_EQ(end.receiver.next_due(), UINT64_MAX);  // nobody is there yet
  end.cell(0, 0);
  EXPECT_EQ(end.acknowledge().at(0).credit, 1000U);
  end.receiver.set_credit(0, end.now);
  end.cell(2, 1280);
  EXPECT_EQ(end.acknowledge().at(0).credit, 0U);
  EXPECT_EQ(end.receiver.next_due(), UINT64_MAX);
  end.receiver.set_credit(100, end.now);
  ASSERT_TRUE(end.receiver.due(end.now));
  EXPECT_EQ(end.acknowledge().at(0).credit, 100U);
  EXPECT_EQ(end.receiver.next_due(), UINT64_MAX);
}

// ---- The sender, acknowledgement by acknowledgement.

struct Sending {
  explicit Sending(SenderOptions options = {}) : sender(options, 0), cells(256) {}
  PacketHandle send(std::uint64_t number, bool until_stored = false, std::uint64_t d_offset = UINT64_MAX) {
    Cell& cell = cells[number % cells.size()];
    cell = Cell{};
    cell.header.number = number;
    cell.header.d_offset = d_offset == UINT64_MAX ? 640 * number : d_offset;
    cell.length = cell.range_length = 640;
    cell.seal_result = SealResult::sealed;
    return sender.sent_one({&cell, number, UINT64_MAX, 1, until_stored}, now);
  }
  /// Of packets 0 to 63, by bit.
  void acknowledge(std::uint64_t largest, std::uint64_t others, std::uint32_t credit = 1000) {
    Acknowledgement a;
    a.largest = largest;
    a.credit = credit;
    for (std::uint64_t i = 0; i < 64 && i < largest; ++i) {
      if ((others >> (largest - 1 - i) & 1U) == 0) continue;
      a.bitmap[i / 8] = static_cast<std::uint8_t>(a.bitmap[i / 8] | 1U << (i % 8));
    }
    take(a);
  }
  void take(const Acknowledgement& a, std::uint64_t number = UINT64_MAX) {
    PacketHeader header;
    header.number = number == UINT64_MAX ? next++ : number;
    EXPECT_TRUE(sender.acknowledged(a, header, now));
    EXPECT_TRUE(sender.audit());
  }
  std::vector<std::uint64_t> received() {
    std::vector<ReceivedPacket> out(64);
    out.resize(sender.take_received(out));
    std::vector<std::uint64_t> tokens;
    for (const ReceivedPacket& each : out) tokens.push_back(each.token);
    return tokens;
  }
  std::vector<LostPacket> lost() {
    std::vector<LostPacket> out(64);
    out.resize(sender.take_lost(out, now));
    return out;
  }
  TransportSender sender;
  std::vector<Cell> cells;
  std::uint64_t now = one_ms;
  std::uint64_t next = 0;
};

using Tokens = std::vector<std::uint64_t>;

TEST(TransportSender, ThreeNumbersBehindIsLostAndOneIsNotYet) {
  Sending end;
  for (std::uint64_t i = 0; i < 6; ++i) (void)end.send(i);
  end.now += 100 * one_us;
  end.acknowledge(3, 0b0110);
  EXPECT_EQ(end.received(), (Tokens{1, 2, 3}));
  const std::vector<LostPacket> lost = end.lost();
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].token, 0U);
  EXPECT_EQ(end.sender.round_trip().smoothed(), 100 * one_us);
}

TEST(TransportSender, OlderThanNineEighthsOfARoundTripIsLost) {
  Sending end;
  (void)end.send(0);
  end.now += 10 * one_us;
  (void)end.send(1);
  end.now += 100 * one_us;
  end.acknowledge(1, 0);
  EXPECT_TRUE(end.lost().empty());
  EXPECT_EQ(end.sender.next_due(), one_ms + 100 * one_us / 8 * 9);
  end.now = end.sender.next_due() - 1;
  end.sender.due(end.now);
  EXPECT_TRUE(end.lost().empty());
  end.now += 1;
  end.sender.due(end.now);
  EXPECT_EQ(end.lost().size(), 1U);
}

TEST(TransportSender, ARangeAcknowledgesWhateverNumberItCameUnder) {
  Sending end;
  for (std::uint64_t i = 0; i < 4; ++i) (void)end.send(i);
  end.acknowledge(3, 0b0110);
  (void)end.received();
  std::vector<LostPacket> lost = end.lost();
  ASSERT_EQ(lost.size(), 1U);
  lost[0].cell->header.number = 4;
  end.sender.sent_again(lost, end.now);
  // Its first transmission was only slow: its range is there, its new number is not.
  Acknowledgement a;
  a.largest = 3;
  a.credit = 1000;
  a.below = 4 * 640;
  end.take(a);
  EXPECT_EQ(end.received(), (Tokens{0}));
  EXPECT_EQ(end.sender.outstanding(), 0U);
  // And when the new number comes, too, it is news for nobody.
  end.acknowledge(4, 0b1111);
  EXPECT_TRUE(end.received().empty());
}

TEST(TransportSender, ALostPacketThatArrivesAfterAllRestoresTheWindow) {
  Sending end;
  for (std::uint64_t i = 0; i < 10; ++i) (void)end.send(i);
  const std::uint64_t window = end.sender.window().bytes();
  end.acknowledge(9, 0b111111110);
  EXPECT_EQ(end.received().size(), 9U);
  EXPECT_LT(end.sender.window().bytes(), window + 9 * 704);
  end.acknowledge(9, 0b111111111);
  EXPECT_EQ(end.received(), (Tokens{0}));
  EXPECT_EQ(end.sender.counters().spurious, 1U);
  EXPECT_GE(end.sender.window().bytes(), window);
  EXPECT_EQ(end.sender.packet_threshold(), 10U);
}

TEST(TransportSender, StoredMeansReceivedAndIsToldAfterIt) {
  Sending end;
  for (std::uint64_t i = 0; i < 3; ++i) (void)end.send(i, true);
  Acknowledgement a;
  a.kind = Acknowledgement::Kind::stored;
  a.credit = 1000;
  a.below = 640;
  a.range_count = 1;
  a.ranges[0] = {1280, 1920};
  end.take(a);
  std::vector<std::uint64_t> stored(8);
  EXPECT_EQ(end.sender.take_stored(stored), 0U);
  EXPECT_EQ(end.received(), (Tokens{0, 2}));
  EXPECT_EQ(end.sender.take_stored(stored), 2U);
  EXPECT_EQ(end.sender.outstanding(), 1U);
  // Half a range is no range.
  a.range_count = 1;
  a.below = 1000;
  a.ranges[0] = {1001, 1920};
  end.take(a);
  EXPECT_TRUE(end.received().empty());
}

TEST(TransportSender, AcknowledgementsOfWhatWasNeverSentChangeNothing) {
  Sending end;
  for (std::uint64_t i = 0; i < 5; ++i) (void)end.send(i, true);
  Acknowledgement a;
  a.largest = 1000;  // an acknowledgement of ours that the table does not know
  a.bitmap.fill(0xFF);
  a.credit = 10;
  end.take(a);
  EXPECT_TRUE(end.received().empty());
  a.key_index = 1;
  EXPECT_FALSE(end.sender.acknowledged(a, PacketHeader{}, end.now));
}

TEST(TransportSender, TheNewestAcknowledgementSaysTheCredit) {
  Sending end;
  (void)end.send(0);
  Acknowledgement a;
  a.credit = 5;
  end.take(a, 10);
  a.credit = 50;
  end.take(a, 9);  // overtaken
  EXPECT_EQ(end.sender.credit(), 5U);
  EXPECT_EQ(end.received(), (Tokens{0}));
  EXPECT_EQ(end.sender.allowance(640, 1, true, end.now + one_ms).packets, 5U);
  EXPECT_EQ(end.sender.allowance(640, 1, true, end.now + one_ms).limit, SendLimit::credit);
  EXPECT_EQ(end.sender.allowance(640, 2, true, end.now + one_ms).packets, 2U);
  EXPECT_GT(end.sender.allowance(640, 0, false, end.now + one_ms).packets, 5U);  // not a cell
}

TEST(TransportSender, AFullTableSaysSo) {
  SenderOptions options;
  options.packets = 64;
  options.congestion_control = false;
  options.initial_credit = 1000;
  Sending end(options);
  std::uint64_t number = 0;
  while (end.sender.allowance(640, 1, true, end.now).packets != 0) {
    (void)end.send(number++);
    end.now += 10 * one_us;
    ASSERT_LE(number, 64U);
  }
  EXPECT_EQ(number, 48U);  // 16 are left for pings
  EXPECT_EQ(end.sender.allowance(640, 1, true, end.now).limit, SendLimit::table);
  EXPECT_EQ(name(SendLimit::table), "table");
  EXPECT_EQ(name(ExpireReason::abandoned), "abandoned");
}

TEST(TransportSender, WhatIsHeldWhileItsAcknowledgementComesIsReceivedOnce) {
  Sending end;
  for (std::uint64_t i = 0; i < 4; ++i) (void)end.send(i);
  end.acknowledge(3, 0b0110);
  (void)end.received();
  std::vector<LostPacket> lost = end.lost();
  ASSERT_EQ(lost.size(), 1U);
  end.acknowledge(3, 0b0111);
  EXPECT_TRUE(end.received().empty());  // the caller has it
  lost[0].cell->header.number = 4;
  end.sender.sent_again(lost, end.now);
  EXPECT_EQ(end.received(), (Tokens{0}));
  EXPECT_TRUE(end.sender.audit());
  EXPECT_EQ(end.sender.outstanding(), 0U);
}

TEST(TransportSender, WhatCouldNotBeSealedAgainStaysLost) {
  Sending end;
  for (std::uint64_t i = 0; i < 4; ++i) (void)end.send(i);
  end.acknowledge(3, 0b0110);
  std::vector<LostPacket> lost = end.lost();
  lost[0].cell->seal_result = SealResult::waiting;  // no masks
  end.sender.sent_again(lost, end.now);
  EXPECT_TRUE(end.sender.audit());
  lost = end.lost();
  ASSERT_EQ(lost.size(), 1U);
  end.sender.abandon(lost[0].handle);
  lost[0].cell->seal_result = SealResult::sealed;
  lost[0].cell->header.number = 7;
  end.sender.sent_again(lost, end.now);
  std::vector<ExpiredPacket> expired(4);
  ASSERT_EQ(end.sender.take_expired(expired), 1U);
  EXPECT_EQ(expired[0].reason, ExpireReason::abandoned);
  EXPECT_EQ(expired[0].cell, lost[0].cell);
  end.sender.abandon(lost[0].handle);  // names nothing any more
  EXPECT_EQ(end.sender.take_expired(expired), 0U);
}

}  // namespace
}  // namespace ssn::protocol
