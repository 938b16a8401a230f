// SPDX-License-Identifier: BSD-3-Clause
// Packets leave and arrive as they are, together or one by one; and the arena that they lie in.
#include "udp_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "packet_arena.h"
#include "test_random.h"

namespace ssn::client {
namespace {

using dataplane::IpEndpoint;
using test::Bytes;
using test::TestRandom;

// Two sockets that talk to each other.
class UdpSocketTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const IpEndpoint nobody{*dataplane::parse_ip_address(GetParam()), 9};
    Result<UdpSocket> near = UdpSocket::make(nobody);
    if (!near.ok()) GTEST_SKIP() << "no address " << GetParam() << " here: " << near.error().why;
    Result<UdpSocket> far = UdpSocket::make(near.value().local());
    ASSERT_TRUE(far.ok());
    near_.emplace(std::move(near.value()));
    far_.emplace(std::move(far.value()));
    ASSERT_TRUE(near_->connect(far_->local()).ok());
    EXPECT_NE(near_->local().port, 0);
  }

  // Everything that `count` packets consist of, in the order of their arrival.
  std::vector<Bytes> receive(std::size_t count, std::size_t room = 16384) {
    std::vector<Bytes> all;
    while (all.size() < count) {
      pollfd ready{far_->fd(), POLLIN, 0};
      if (!far_->has_more() && ::poll(&ready, 1, 5000) <= 0) break;
      std::vector<Bytes> buffers(UdpSocket::max_burst, Bytes(room));
      std::array<iovec, UdpSocket::max_burst> parts;
      for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = {buffers[i].data(), room};
      const Result<std::size_t> came = far_->receive(parts);
      if (!came.ok()) break;
      for (std::size_t i = 0; i < came.value(); ++i) {
        buffers[i].resize(parts[i].iov_len);
        all.push_back(buffers[i]);
      }
    }
    return all;
  }

  void expect_sent(const std::vector<Bytes>& packets) {
    std::vector<iovec> parts;
    for (const Bytes& packet : packets)
      parts.push_back({const_cast<std::uint8_t*>(packet.data()), packet.size()});
    const Result<std::size_t> sent = near_->send(parts);
    ASSERT_TRUE(sent.ok()) << sent.error().why;
    ASSERT_EQ(sent.value(), packets.size());
    EXPECT_TRUE(receive(packets.size()) == packets);
  }

  std::optional<UdpSocket> near_;
  std::optional<UdpSocket> far_;
};

TEST_P(UdpSocketTest, PacketsArriveAsTheyWere) {
  TestRandom random = TestRandom::labelled("udp");
  for (const bool together : {true, false}) {
    near_->set_segmentation(together);
    expect_sent(std::vector<Bytes>(64, Bytes(1408, 7)));
    for (unsigned round = 0; round < 50; ++round) {
      std::vector<Bytes> packets;
      const std::size_t usual = 65 + random.below(1400);
      for (std::size_t i = 0, count = 1 + random.below(64); i < count; ++i) {
        packets.push_back(random.bytes(random.below(4) != 0 ? usual : 65 + random.below(1400)));
      }
      expect_sent(packets);
    }
    // Jumbo frames: more than fits into one datagram of the kernel.
    expect_sent(std::vector<Bytes>(20, Bytes(9000, 8)));
    EXPECT_EQ(near_->segmentation(), together);
  }
}

// What one system call gives is spread over rooms of the same length, of another, and too few of them; and
// after many single packets, which are received as such, over one again.
TEST_P(UdpSocketTest, PacketsThatCameTogetherComeApart) {
  TestRandom random = TestRandom::labelled("udp together");
  const auto packets_of = [&](std::size_t count, std::size_t bytes, std::size_t last) {
    std::vector<Bytes> packets;
    for (std::size_t i = 0; i < count; ++i) packets.push_back(random.bytes(i + 1 == count ? last : bytes));
    return packets;
  };
  const auto send = [&](const std::vector<Bytes>& packets) {
    std::vector<iovec> parts;
    for (const Bytes& packet : packets)
      parts.push_back({const_cast<std::uint8_t*>(packet.data()), packet.size()});
    ASSERT_EQ(near_->send(parts).value(), packets.size());
  };
  for (const std::size_t room : {1408U, 1409U, 4000U, 1000U}) {
    for (const std::size_t last : {1U, 900U, 1408U}) {
      for (const std::size_t count : {2U, 17U, 40U}) {
        SCOPED_TRACE(testing::Message() << room << " " << last << " " << count);
        std::vector<Bytes> packets = packets_of(count, 1408, last);
        send(packets);
        for (Bytes& each : packets) each.resize(each.size() <= room ? each.size() : 0);
        EXPECT_TRUE(receive(count, room) == packets);
        EXPECT_FALSE(far_->has_more());
      }
    }
  }
  // More than there is room for, by and by.
  const std::vector<Bytes> packets = packets_of(40, 1408, 77);
  send(packets);
  std::vector<Bytes> all;
  for (unsigned turn = 0; all.size() < 40 && turn < 40; ++turn) {
    Bytes buffers[3] = {Bytes(1408), Bytes(1408), Bytes(1408)};
    std::array<iovec, 3> parts;
    for (std::size_t i = 0; i < 3; ++i) parts[i] = {buffers[i].data(), 1408};
    const std::size_t came = far_->receive(parts).value();
    for (std::size_t i = 0; i < came; ++i) {
      buffers[i].resize(parts[i].iov_len);
      all.push_back(buffers[i]);
    }
  }
  EXPECT_TRUE(all == packets);
  for (unsigned i = 0; i < 600; ++i) expect_sent({Bytes(100, static_cast<std::uint8_t>(i))});
  expect_sent(packets_of(40, 1408, 5));
}

TEST_P(UdpSocketTest, WhatIsTooLongIsAnError) {
  for (const bool together : {true, false}) {
    near_->set_segmentation(together);
    std::vector<Bytes> packets(3, Bytes(65'530, 1));
    std::vector<iovec> parts;
    for (Bytes& packet : packets) parts.push_back({packet.data(), packet.size()});
    const Result<std::size_t> sent = near_->send(parts);
    ASSERT_FALSE(sent.ok());
    EXPECT_NE(sent.error().why.find("65530 bytes"), std::string::npos) << sent.error().why;
  }
}

TEST_P(UdpSocketTest, WhatIsLongerThanTheRoomIsNothing) {
  std::array<Bytes, 2> packets{Bytes(100, 1), Bytes(200, 2)};
  std::array<iovec, 2> parts{iovec{packets[0].data(), 100}, iovec{packets[1].data(), 200}};
  ASSERT_TRUE(near_->send(parts).ok());
  const std::vector<Bytes> came = receive(2, 150);
  ASSERT_EQ(came.size(), 2U);
  EXPECT_EQ(came[0].size(), 100U);
  EXPECT_EQ(came[1].size(), 0U);
}

TEST_P(UdpSocketTest, NobodyThereIsLikeALoss) {
  far_.reset();
  Bytes packet(100, 1);
  const iovec part{packet.data(), packet.size()};
  for (unsigned i = 0; i < 10; ++i) {
    const Result<std::size_t> sent = near_->send({&part, 1});
    ASSERT_TRUE(sent.ok()) << sent.error().why;
    EXPECT_EQ(sent.value(), 1U);
    iovec room{packet.data(), packet.size()};
    const Result<std::size_t> came = near_->receive({&room, 1});
    ASSERT_TRUE(came.ok()) << came.error().why;
    EXPECT_EQ(came.value(), 0U);
  }
}

TEST_P(UdpSocketTest, OthersAreNotHeard) {
  const Result<UdpSocket> stranger = UdpSocket::make(far_->local());
  ASSERT_TRUE(stranger.ok());
  ASSERT_EQ(::send(stranger.value().fd(), "x", 1, 0), 1);
  Bytes buffer(100);
  iovec room{buffer.data(), buffer.size()};
  EXPECT_EQ(far_->receive({&room, 1}).value(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Families, UdpSocketTest, testing::Values("127.0.0.1", "::1"),
                         [](const auto& param) { return param.index == 0 ? "v4" : "v6"; });

TEST(PacketArena, GivesWhatItHas) {
  auto made = PacketArena::make(10, 1344);
  ASSERT_TRUE(made.ok());
  PacketArena& arena = *made.value();
  std::array<protocol::Cell*, 16> cells{};
  EXPECT_EQ(arena.take(cells), 10U);
  EXPECT_EQ(arena.take(cells), 0U);
  for (std::size_t i = 0; i < 10; ++i) {
    protocol::Cell& cell = *cells[i];
    EXPECT_EQ(cell.headroom, protocol::overhead_bytes);
    EXPECT_EQ(cell.tailroom, 1344);
    EXPECT_EQ(cell.length, 0U);
    std::fill_n(cell.packet(), protocol::overhead_bytes + 1344, static_cast<std::uint8_t>(i));
  }
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(*cells[i]->packet(), i) << "they do not overlap";
    EXPECT_EQ(cells[i]->data[1343], i);
  }
  arena.share(*cells[3]);
  EXPECT_FALSE(arena.is_idle(*cells[3]));
  arena.give_back({cells.data(), 10});
  EXPECT_EQ(arena.free(), 9U) << "somebody still has one";
  EXPECT_TRUE(arena.is_idle(*cells[3]));
  arena.give_back({&cells[3], 1});
  EXPECT_EQ(arena.free(), 10U);
}

}  // namespace
}  // namespace ssn::client
