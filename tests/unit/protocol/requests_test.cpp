// SPDX-License-Identifier: BSD-3-Clause
// Requests, answers and pings byte by byte, sealed and opened; the worked examples of docs/wire-format.md.
#include "ssn/protocol/requests.h"

#include <gtest/gtest.h>

#include "implementations.h"
#include "packet_ends.h"
#include "wire_examples.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::PacketEnds;

/// Seals a message as the next packet.
Bytes seal_message(PacketEnds& ends, PacketType type, const Placement& placement, const Bytes& payload) {
  ends.out.prepare(0, payload.size(), ends.random);
  std::copy(payload.begin(), payload.end(), ends.out.plaintext(0));
  ends.out[0].header.type = type;
  ends.out[0].header.placement = placement;
  const auto burst = ends.out.burst(1);
  return ends.sealer.seal(ends.send, burst) == 1 ? ends.out.packet(0) : Bytes{};
}

SealOrder two_attempts() {
  SealOrder order;
  order.request = 0x6162636465666768;
  order.cells = 33;
  order.end = 33;
  order.run_count = 2;
  order.runs[0] = {9, 1};
  order.runs[1] = {20, 2};
  return order;
}

TEST(Requests, TheExamplesOfTheDocumentAreSealedAndOpened) {
  const auto examples = test::read_wire_examples(SSN_TEST_VECTORS);
  test::ExampleEnds ends;
  const Placement share{0x1122334455667788, 9, 2, 1, 3};
  const Placement none{0x1122334455667788, 9, 2, 1, 0};
  ReadRequest read{0x5152535455565758, 3, {}};
  name_cell(read.bitmap, 0);
  name_cell(read.bitmap, 2);
  Answer answer{PacketType::read, AnswerCode::quarantined, 1, 0, read.request, {}};
  name_cell(answer.bitmap, 0);
  const Ping ping{2688, 77};
  const DeleteOrder erase{0x7172737475767778};

  TagBurst skipped;  // the examples' packets 0, 1 and 2
  ASSERT_EQ(ends.tags_out.take(3, skipped), Take::ok);
  ends.tags_out.discard(skipped);
  Bytes payload(read_request_bytes);
  write_read_request(read, payload.data());
  EXPECT_EQ(seal_message(ends, PacketType::read, share, payload), examples.at("read"));
  payload.resize(max_seal_order_bytes);
  payload.resize(write_seal_order(two_attempts(), payload.data()));
  EXPECT_EQ(seal_message(ends, PacketType::seal_order, share, payload), examples.at("seal"));
  payload.resize(answer_bytes);
  write_answer(answer, payload.data());
  EXPECT_EQ(seal_message(ends, PacketType::answer, share, payload), examples.at("answer"));
  payload.resize(ping_bytes);
  write_ping(ping, payload.data());
  EXPECT_EQ(seal_message(ends, PacketType::ping, none, payload), examples.at("ping"));
  payload.resize(delete_order_bytes);
  write_delete_order(erase, payload.data());
  EXPECT_EQ(seal_message(ends, PacketType::delete_order, none, payload), examples.at("delete"));

  PadRange before;  // the examples' cell and keep order
  ASSERT_EQ(ends.pads_out.reserve(256, before), Take::ok);
  ends.pads_out.discard(before);
  const Placement made{0x1122334455667788, 9, 2, 1, 4};
  const Bytes& plaintext = examples.at("plaintext");
  EXPECT_EQ(seal_message(ends, PacketType::contribution, made, plaintext), examples.at("contribution"));
  Challenge challenge;
  for (std::size_t i = 0; i < challenge.seed.size(); ++i) {
    challenge.seed[i] = static_cast<std::uint8_t>(0x80 + i);
  }
  payload.resize(challenge_bytes);
  write_challenge(challenge, payload.data());
  EXPECT_EQ(seal_message(ends, PacketType::challenge, made, payload), examples.at("challenge"));

  const auto opened = [&](const char* name) {
    EXPECT_EQ(ends.open_one(examples.at(name)), OpenResult::message) << name;
    return std::span<const std::uint8_t>(ends.in[0].data, ends.in[0].length);
  };
  EXPECT_EQ(read_delete_order(opened("delete")), erase);
  EXPECT_EQ(read_ping(opened("ping")), ping);
  EXPECT_EQ(read_answer(opened("answer")), answer);
  EXPECT_EQ(read_read_request(opened("read")), read);
  SealOrder order;
  EXPECT_TRUE(read_seal_order(opened("seal"), ends.in[0].header.placement.cell, order));
  EXPECT_EQ(order, two_attempts());
  EXPECT_EQ(read_challenge(opened("challenge")), challenge);
  // A contribution is not a cell: nobody who takes shares takes it for one.
  ASSERT_EQ(ends.open_one(examples.at("contribution")), OpenResult::contributed);
  EXPECT_EQ(Bytes(ends.in[0].target, ends.in[0].target + 64), plaintext);
  EXPECT_EQ(ends.in[0].header.placement, made);
}

TEST(Requests, AreReadAsTheyWereWritten) {
  test::TestRandom random = test::random_for_this_test();
  for (unsigned run = 0; run < 500; ++run) {
    ReadRequest read;
    read.request = random.next();
    read.count = static_cast<std::uint16_t>(1 + random.below(max_named_cells));
    name_cell(read.bitmap, random.below(read.count));
    Bytes payload(read_request_bytes);
    write_read_request(read, payload.data());
    ASSERT_EQ(read_read_request(payload), read);

    SealOrder seal;
    const auto first = static_cast<std::uint32_t>(random.below(1000));
    seal.run_count = static_cast<std::uint16_t>(1 + random.below(SealOrder::max_runs));
    std::uint32_t at = first;
    for (std::size_t i = 0; i < seal.run_count; ++i) {
      seal.runs[i] = {at, static_cast<std::uint16_t>(random.next())};
      at += 1 + static_cast<std::uint32_t>(random.below(50));
    }
    seal.end = at;
    seal.cells = at + static_cast<std::uint32_t>(random.below(50));
    payload.assign(max_seal_order_bytes, 0xFF);
    payload.resize(write_seal_order(seal, payload.data()));
    SealOrder order;
    ASSERT_TRUE(read_seal_order(payload, first, order));
    ASSERT_EQ(order, seal);
    ASSERT_FALSE(read_seal_order(payload, first + 1, order));

    Answer answer;
    answer.type = random.coin() ? PacketType::cell : PacketType::seal_order;
    answer.request = answer.type == PacketType::cell ? 0 : random.next();
    answer.code = static_cast<AnswerCode>(1 + random.below(last_answer_code));
    answer.retry_us = answer.code == AnswerCode::busy ? static_cast<std::uint32_t>(random.next()) : 0;
    answer.count = static_cast<std::uint16_t>(random.below(max_named_cells + 1));
    if (answer.count != 0) name_cell(answer.bitmap, random.below(answer.count));
    payload.assign(answer_bytes, 0xFF);
    write_answer(answer, payload.data());
    ASSERT_EQ(read_answer(payload), answer);

    const Ping ping{random.next() % max_offset / 64 * 64, random.next() % max_offset};
    payload.assign(ping_bytes, 0xFF);
    write_ping(ping, payload.data());
    ASSERT_EQ(read_ping(payload), ping);
  }
}

/// Whether `payload` with one byte changed is still one of its type.
bool taken_with(const Bytes& payload, PacketType type, std::size_t at, std::uint8_t value) {
  Bytes changed = payload;
  changed[at] = value;
  PacketHeader header;
  header.type = type;
  header.placement.cell = 9;
  return well_formed_message(header, changed);
}

TEST(Requests, WhatNoSenderOfOursWritesIsRefused) {
  Bytes read(read_request_bytes);
  ReadRequest request{7, 3, {}};
  name_cell(request.bitmap, 2);
  write_read_request(request, read.data());
  EXPECT_TRUE(taken_with(read, PacketType::read, 9, 3));
  EXPECT_FALSE(taken_with(read, PacketType::read, 9, 2));   // a bit from count on
  EXPECT_FALSE(taken_with(read, PacketType::read, 8, 1));   // more than 256
  EXPECT_FALSE(taken_with(read, PacketType::read, 16, 0));  // no cell at all
  EXPECT_FALSE(taken_with(read, PacketType::read, 10, 1));  // reserved
  EXPECT_FALSE(taken_with(read, PacketType::delete_order, 0, 0));

  Bytes seal(max_seal_order_bytes);
  seal.resize(write_seal_order(two_attempts(), seal.data()));
  EXPECT_TRUE(taken_with(seal, PacketType::seal_order, 15, 21));
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 15, 20));  // a run begins at the end
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 15, 34));  // behind the object
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 17, 3));   // runs that are not there
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 27, 8));   // not the header's cell
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 35, 9));   // not ascending
  EXPECT_FALSE(taken_with(seal, PacketType::seal_order, 31, 1));   // reserved
  Bytes nothing(seal_order_bytes);
  SealOrder empty;
  ASSERT_EQ(write_seal_order(SealOrder{}, nothing.data()), seal_order_bytes);
  EXPECT_TRUE(read_seal_order(nothing, 0, empty));
  EXPECT_FALSE(read_seal_order(nothing, 1, empty));
  EXPECT_FALSE(taken_with(nothing, PacketType::seal_order, 11, 1));  // cells without attempts

  Bytes answer(answer_bytes);
  write_answer({PacketType::read, AnswerCode::busy, 0, 100, 7, {}}, answer.data());
  EXPECT_TRUE(taken_with(answer, PacketType::answer, 0, 8));
  for (const int type : {0, 4, 5, 9, 10, 11}) {
    EXPECT_FALSE(taken_with(answer, PacketType::answer, 0, static_cast<std::uint8_t>(type)));
  }
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 0, 1));  // a cell has no request number
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 1, 0));
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 1, last_answer_code + 1));
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 1, 1));  // a time, and not busy
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 3, 1));  // a count, and no cell
  EXPECT_FALSE(taken_with(answer, PacketType::answer, 16, 1));

  Bytes ping(ping_bytes);
  write_ping({64, 1}, ping.data());
  EXPECT_TRUE(taken_with(ping, PacketType::ping, 7, 128));
  EXPECT_FALSE(taken_with(ping, PacketType::ping, 7, 65));
  EXPECT_FALSE(taken_with(ping, PacketType::ping, 0, 0x40));
  EXPECT_FALSE(taken_with(ping, PacketType::ping, 8, 0x40));
}

TEST(Requests, UnderAesGcmTheyAreEncrypted) {
  test::EndsOptions options;
  options.policy = ShortagePolicy::aes_256_gcm;
  options.gcm = true;
  PacketEnds ends(options);
  ends.deliver(4096, 0);  // pads for a key, no masks
  Bytes payload(delete_order_bytes);
  write_delete_order({0x0102030405060708}, payload.data());
  const Bytes packet = seal_message(ends, PacketType::delete_order, {1, 0, 2, 0, 0}, payload);
  ASSERT_EQ(packet.size(), overhead_bytes + payload.size());
  EXPECT_NE(Bytes(packet.begin() + overhead_bytes, packet.end()), payload);
  ASSERT_EQ(ends.open_one(packet), OpenResult::message);
  EXPECT_TRUE(ends.in[0].computational);
  EXPECT_EQ(read_delete_order({ends.in[0].data, ends.in[0].length}), DeleteOrder{0x0102030405060708});
}

}  // namespace
}  // namespace ssn::protocol
