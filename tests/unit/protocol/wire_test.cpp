// SPDX-License-Identifier: BSD-3-Clause
// Headers and payloads byte by byte, and the worked examples of docs/wire-format.md.
#include "ssn/protocol/wire.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "implementations.h"
#include "packet_ends.h"
#include "wire_examples.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::TestRandom;

TEST(Wire, TheExamplesOfTheDocumentAreSealedAndOpened) {
  const std::map<std::string, Bytes> examples = test::read_wire_examples(SSN_TEST_VECTORS);
  ASSERT_EQ(examples.size(), 12U);
  test::ExampleEnds ends;
  const Placement placement{0x1122334455667788, 9, 2, 1, 3};
  const Bytes& plaintext = examples.at("plaintext");
  ends.out.prepare(0, plaintext.size(), ends.random);
  std::copy(plaintext.begin(), plaintext.end(), ends.out.plaintext(0));
  ends.out[0].header.placement = placement;

  Acknowledgement acknowledgement;
  acknowledgement.key_index = 9;
  acknowledgement.delay_us = 250;
  acknowledgement.credit = 1000;
  acknowledgement.largest = 77;
  acknowledgement.bitmap[0] = 0xFF;
  acknowledgement.bitmap[1] = 0x0F;
  acknowledgement.below = 2688;
  acknowledgement.range_count = 1;
  acknowledgement.ranges[0] = {4032, 5376};
  ends.out.prepare(1, write_acknowledgement(acknowledgement, ends.out.plaintext(1)), ends.random);
  (void)write_acknowledgement(acknowledgement, ends.out.plaintext(1));
  ends.out[1].header.type = PacketType::acknowledgement;
  ends.out[1].header.placement = placement;
  ends.out[1].header.placement.share = 0;
  const auto burst = ends.out.burst(2);
  ASSERT_EQ(ends.sealer.seal(ends.send, burst), 2U);

  ends.out.prepare(2, keep_order_bytes, ends.random);
  ends.out[2].header.placement = placement;
  Bytes share(128);
  ASSERT_EQ(ends.sealer.seal_order(ends.send, ends.out[2], KeepOrder{2, 64, 1}, share), SealResult::sealed);
  EXPECT_EQ(share, examples.at("kept"));

  EXPECT_EQ(ends.out.packet(0), examples.at("cell"));
  EXPECT_EQ(ends.out.packet(1), examples.at("acknowledgement"));
  EXPECT_EQ(ends.out.packet(2), examples.at("keep_order"));

  ASSERT_EQ(ends.open_one(examples.at("keep_order")), OpenResult::kept);
  EXPECT_EQ(Bytes(ends.in[0].target, ends.in[0].target + 128), examples.at("kept"));
  ASSERT_EQ(ends.open_one(examples.at("acknowledgement")), OpenResult::acknowledgement);
  Acknowledgement read;
  ASSERT_TRUE(read_acknowledgement({ends.in[0].data, ends.in[0].length}, read));
  EXPECT_EQ(read, acknowledgement);
  ASSERT_EQ(ends.open_one(examples.at("cell")), OpenResult::opened);
  EXPECT_EQ(Bytes(ends.in[0].target, ends.in[0].target + 64), plaintext);
}

PacketHeader random_header(TestRandom& random) {
  PacketHeader header;
  header.type = static_cast<PacketType>(1 + random.below(last_packet_type));
  header.key_index = static_cast<std::uint16_t>(random.next());
  header.connection_id = static_cast<std::uint32_t>(random.next());
  header.number = random.next() % max_offset;
  header.d_offset = has_pad_range(header.type) ? random.next() % max_offset / 64 * 64 : 0;
  header.placement = {random.next(), static_cast<std::uint32_t>(random.next()),
                      static_cast<std::uint32_t>(random.next()), static_cast<std::uint16_t>(random.next()),
                      random.byte()};
  return header;
}

TEST(Wire, HeadersAreReadAsTheyWereWritten) {
  TestRandom random = test::random_for_this_test();
  for (unsigned run = 0; run < 2000; ++run) {
    const PacketHeader header = random_header(random);
    Bytes packet(overhead_bytes + 1);
    write_header(header, packet.data());
    PacketHeader read;
    ASSERT_EQ(parse_header(packet.data(), packet.size(), read), DropReason::none);
    ASSERT_EQ(read, header);
    write_number(5, packet.data());
    ASSERT_EQ(parse_header(packet.data(), packet.size(), read), DropReason::none);
    ASSERT_EQ(read.number, 5U);
  }
}

TEST(Wire, WhatNoSenderOfOursWritesIsRefusedWithItsReason) {
  TestRandom random = test::random_for_this_test();
  Bytes packet(overhead_bytes + max_payload + 1);
  PacketHeader header = random_header(random);
  header.type = PacketType::acknowledgement;
  header.d_offset = 0;
  write_header(header, packet.data());
  PacketHeader read;
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    Bytes changed(packet.begin(), packet.begin() + 65);
    changed[at] = value;
    return parse_header(changed.data(), changed.size(), read);
  };
  for (std::size_t length = 0; length <= overhead_bytes; ++length) {
    EXPECT_EQ(parse_header(packet.data(), length, read), DropReason::too_short);
  }
  EXPECT_EQ(parse_header(packet.data(), packet.size(), read), DropReason::too_long);
  EXPECT_EQ(parse_header(packet.data(), packet.size() - 1, read), DropReason::none);
  EXPECT_EQ(refused(0, 2), DropReason::unknown_version);
  EXPECT_EQ(refused(1, 0), DropReason::unknown_type);
  EXPECT_EQ(refused(1, last_packet_type + 1), DropReason::unknown_type);
  EXPECT_EQ(refused(43, 2), DropReason::reserved_bits);
  EXPECT_EQ(refused(47, 1), DropReason::reserved_bits);
  EXPECT_EQ(refused(8, 0x40), DropReason::bad_field);  // number
  EXPECT_EQ(refused(22, 1), DropReason::bad_field);    // an acknowledgement has no range
  EXPECT_EQ(refused(1, 1), DropReason::none);
}

TEST(Wire, PayloadsAreReadAsTheyWereWrittenAndNothingElse) {
  TestRandom random = test::random_for_this_test();
  for (unsigned run = 0; run < 300; ++run) {
    Acknowledgement a;
    a.kind = random.coin() ? Acknowledgement::Kind::received : Acknowledgement::Kind::stored;
    a.largest = random.next() % max_offset;
    a.below = random.below(1000);
    a.range_count = static_cast<std::uint16_t>(random.below(Acknowledgement::max_ranges + 1));
    std::uint64_t last = a.below;
    for (std::size_t i = 0; i < a.range_count; ++i) {
      a.ranges[i].begin = last + 1 + random.below(100);
      a.ranges[i].end = last = a.ranges[i].begin + 1 + random.below(5000);
    }
    Bytes payload(max_acknowledgement_bytes);
    payload.resize(write_acknowledgement(a, payload.data()));
    Acknowledgement read;
    ASSERT_TRUE(read_acknowledgement(payload, read));
    ASSERT_EQ(read, a);
    payload.push_back(0);
    ASSERT_FALSE(read_acknowledgement(payload, read));

    PadGone gone{PacketType::keep_order, 3, random.below(1000), 64 * random.below(1000), 1344};
    Bytes answer(pad_gone_bytes);
    write_pad_gone(gone, answer.data());
    ASSERT_EQ(read_pad_gone(answer), gone);
    answer[0] = 4;  // an acknowledgement has no pad
    ASSERT_FALSE(read_pad_gone(answer).has_value());
  }
  Bytes order(keep_order_bytes);
  write_order(KeepOrder{UINT32_MAX, 64, 255}, order.data());
  EXPECT_FALSE(read_keep_order(order).has_value());
  write_order(KeepOrder{1, 64, 256}, order.data());
  EXPECT_FALSE(read_keep_order(order).has_value());
}

TEST(Wire, EveryReasonAndAlarmHasAName) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < drop_reason_count; ++i) names.insert(name(static_cast<DropReason>(i)));
  EXPECT_EQ(names.size(), drop_reason_count);
  EXPECT_EQ(names.count("unknown"), 0U);
  EXPECT_EQ(name(EpochAlarm::keys_differ), "keys_differ");
}

}  // namespace
}  // namespace ssn::protocol
