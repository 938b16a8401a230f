// SPDX-License-Identifier: BSD-3-Clause
// The queues of a packet socket, with a socket pair in the kernel's place: what is given to it and taken from
// it, byte by byte; what waits, what is refused; and that nothing is allocated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "counted_new.h"
#include "eal_fixture.h"
#include "receive_queue.h"
#include "send_queue.h"
#include "udp_frames.h"

namespace ssn::dataplane {
namespace {

using ssn::test::allocations;
using ssn::test::counts_allocation;
using test::Bytes;
using test::datagram;
using test::DatagramForm;
using testing::ElementsAre;

// What the kernel is given with a frame.
struct Sent {
  FrameHeader note{};
  Bytes frame;
};

class PacketQueues : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(test_eal(), nullptr);
    int both[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both), 0);
    ours_ = both[0];
    kernel_ = both[1];
    const int bytes = 4 << 20;
    for (const int fd : both) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  }
  void TearDown() override {
    ::close(ours_);
    ::close(kernel_);
    EXPECT_EQ(rte_mempool_in_use_count(&pool()), 0U);
  }

  static rte_mempool& pool() { return test_eal()->packets(); }
  static Packet* packet(const Bytes& frame, bool open = true, bool v6 = false) {
    Packet* const made = allocate(pool());
    EXPECT_NE(made, nullptr);
    set_length(*made, static_cast<std::uint16_t>(frame.size()));
    std::memcpy(data_of(*made), frame.data(), frame.size());
    made->l2_len = 14;
    made->l3_len = v6 ? 40 : 20;
    if (open) made->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4;
    return made;
  }
  static std::vector<Packet*> packets(std::size_t count, DatagramForm form = {}) {
    std::vector<Packet*> all;
    for (std::size_t i = 0; i < count; ++i) {
      form.number = static_cast<std::uint32_t>(i);
      all.push_back(packet(datagram(form), true, form.v6));
    }
    return all;
  }
  static std::uint16_t transmit(SendQueue& queue, std::vector<Packet*>& all) {
    allocations = 0;
    counts_allocation = [] { return true; };
    const std::uint16_t sent = queue.transmit(all.data(), static_cast<std::uint16_t>(all.size()));
    counts_allocation = nullptr;
    EXPECT_EQ(allocations, 0U);
    return sent;
  }
  std::vector<Sent> sent() const {
    std::vector<Sent> all;
    Bytes room(1 << 17);
    while (true) {
      const ssize_t got = ::recv(kernel_, room.data(), room.size(), MSG_DONTWAIT);
      if (got < static_cast<ssize_t>(sizeof(FrameHeader))) break;
      Sent one;
      std::memcpy(&one.note, room.data(), sizeof one.note);
      one.frame.assign(room.begin() + sizeof one.note, room.begin() + got);
      all.push_back(one);
    }
    return all;
  }
  void arrives(const FrameHeader& note, const Bytes& frame) const {
    Bytes all(sizeof note);
    std::memcpy(all.data(), &note, sizeof note);
    all.insert(all.end(), frame.begin(), frame.end());
    ASSERT_EQ(::send(kernel_, all.data(), all.size(), MSG_DONTWAIT), static_cast<ssize_t>(all.size()));
  }
  static std::vector<Packet*> receive(ReceiveQueue& queue, std::uint16_t count = 64) {
    std::vector<Packet*> all(count);
    allocations = 0;
    counts_allocation = [] { return true; };
    all.resize(queue.receive(all.data(), count));
    counts_allocation = nullptr;
    EXPECT_EQ(allocations, 0U);
    return all;
  }
  // And releases it.
  static Bytes bytes_of(Packet* packet) {
    Bytes bytes(data_of(*packet), data_of(*packet) + packet->data_len);
    release(*packet);
    return bytes;
  }

  int ours_ = -1, kernel_ = -1;
};

constexpr FrameHeader run_note(std::uint16_t segment) {
  FrameHeader note{};
  note.flags = FrameHeader::needs_checksum;
  note.segmentation = 5;
  note.segment = segment;
  note.checksum_start = 34;
  note.checksum_offset = 6;
  return note;
}

TEST_F(PacketQueues, SendARunAsOneFrame) {
  SendQueue queue(ours_, true);
  std::vector<Packet*> burst = packets(17);
  Packet* const held = burst[3];
  rte_mbuf_refcnt_update(held, 1);  // as a channel does, for a second transmission
  const Bytes before(data_of(*held), data_of(*held) + held->data_len);
  EXPECT_EQ(transmit(queue, burst), 17);
  EXPECT_EQ(bytes_of(held), before) << "others hold it: it is only read";
  const std::vector<Sent> all = sent();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].note.segmentation, 5);
  EXPECT_EQ(all[0].note.segment, 1408);
  EXPECT_EQ(all[0].note.flags, FrameHeader::needs_checksum);
  EXPECT_EQ(all[0].note.checksum_start, 34);
  EXPECT_EQ(all[0].note.checksum_offset, 6);
  EXPECT_EQ(all[0].note.header_bytes, 42);
  EXPECT_EQ(all[0].frame.size(), 42 + 17 * 1408U);
  EXPECT_EQ(queue.statistics().runs.read(), 1U);
  EXPECT_EQ(queue.statistics().packets.read(), 17U);
  EXPECT_EQ(queue.statistics().bytes.read(), 17U * 1450);
}

TEST_F(PacketQueues, SendEveryShapeInOrder) {
  struct Flow {
    std::size_t count, payload;
    bool v6;
  };
  const std::vector<Flow> flows[] = {
      {{1, 1408, false}},
      {{2, 1408, false}, {1, 40, false}},
      {{3, 1408, false}, {3, 1408, true}, {1, 1408, false}},
      {{64, 1408, false}},
      {{150, 900, true}},
      {{150, 64, false}},
      {{30, 500, false}, {1, 1400, false}, {33, 500, true}},
  };
  for (const std::vector<Flow>& shape : flows) {
    std::vector<Packet*> burst;
    std::vector<Bytes> wanted;
    std::uint32_t number = 0;
    for (const Flow& flow : shape) {
      for (std::size_t i = 0; i < flow.count; ++i) {
        DatagramForm form;
        form.v6 = flow.v6;
        form.payload = flow.payload;
        form.number = number++;
        wanted.push_back(datagram(form));
        burst.push_back(packet(test::open_datagram(form), true, form.v6));
      }
    }
    SendQueue queue(ours_, true);
    EXPECT_EQ(transmit(queue, burst), wanted.size());
    // Back through a receiving queue: what it completes is what was sent.
    const std::vector<Sent> frames = sent();
    EXPECT_LE(frames.size(), shape.size() * 4);
    ReceiveQueue back({ours_, &pool(), 7, true});
    std::vector<Bytes> got;
    for (const Sent& each : frames) {
      arrives(each.note, each.frame);
      for (std::vector<Packet*> some = receive(back); !some.empty(); some = receive(back)) {
        for (Packet* const one : some) {
          EXPECT_EQ(one->port, 7);
          got.push_back(bytes_of(one));
        }
      }
    }
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      if ((wanted[i][12] << 8 | wanted[i][13]) == 0x0800) {  // identifications count on in a run
        wanted[i][18] = got[i][18];
        wanted[i][19] = got[i][19];
        wanted[i][24] = got[i][24];
        wanted[i][25] = got[i][25];
      }
      EXPECT_EQ(got[i], wanted[i]) << i;
    }
  }
}

TEST_F(PacketQueues, SendOneByOneWhereTheKernelKnowsNoRuns) {
  SendQueue queue(ours_, false);
  std::vector<Packet*> burst = packets(9);
  EXPECT_EQ(transmit(queue, burst), 9);
  const std::vector<Sent> all = sent();
  ASSERT_EQ(all.size(), 9U);
  for (const Sent& each : all) {
    EXPECT_EQ(each.note.segmentation, 0);
    EXPECT_EQ(each.note.flags, FrameHeader::needs_checksum);
    EXPECT_EQ(each.note.checksum_start, 34);
  }
}

TEST_F(PacketQueues, SendOtherFramesAsTheyAre) {
  SendQueue queue(ours_, true);
  const Bytes arp(60, 3);
  Packet* const chained = packet(arp, false);
  ASSERT_EQ(rte_pktmbuf_chain(chained, packet(Bytes(33, 4), false)), 0);
  std::vector<Packet*> burst = {packet(arp, false), packet(datagram({}), false), packet(datagram({}), false),
                                chained};
  EXPECT_EQ(transmit(queue, burst), 4);
  const std::vector<Sent> all = sent();
  ASSERT_EQ(all.size(), 4U);
  for (const Sent& each : all) EXPECT_EQ(each.note.flags | each.note.segmentation, 0);
  EXPECT_EQ(all[0].frame, arp);
  EXPECT_EQ(all[1].frame, datagram({})) << "its checksum is there already";
  EXPECT_EQ(all[3].frame.size(), 93U);
}

TEST_F(PacketQueues, LeaveToTheCallerWhatTheKernelHasNoRoomFor) {
  const int bytes = 1 << 16;
  ASSERT_EQ(::setsockopt(ours_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
  SendQueue queue(ours_, true);
  std::vector<Packet*> burst;
  for (int i = 0; i < 64; ++i) {  // pairs of flows
    DatagramForm form;
    form.source_port = static_cast<std::uint16_t>(50000 + i / 2);
    burst.push_back(packet(datagram(form)));
  }
  const std::vector<Packet*> kept = burst;
  const std::uint16_t first = transmit(queue, burst);
  EXPECT_GT(first, 0);
  ASSERT_LT(first, 64);
  EXPECT_EQ(first % 2, 0) << "a run goes as a whole";
  std::size_t runs = sent().size();
  EXPECT_EQ(runs, first / 2U);
  std::size_t done = first;
  while (done < 64) {
    std::vector<Packet*> rest(kept.begin() + static_cast<std::ptrdiff_t>(done), kept.end());
    const std::uint16_t some = transmit(queue, rest);
    ASSERT_GT(some, 0);
    done += some;
    runs += sent().size();
  }
  EXPECT_EQ(runs, 32U);
  EXPECT_EQ(queue.statistics().packets.read(), 64U);
  EXPECT_EQ(queue.statistics().errors.read(), 0U);
}

TEST_F(PacketQueues, DropWhatTheKernelRefusesForGood) {
  const int bytes = 4096;  // longer messages are refused
  ASSERT_EQ(::setsockopt(ours_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
  SendQueue queue(ours_, true);
  std::vector<Packet*> burst = packets(8);
  DatagramForm small;
  small.payload = 100;
  small.source_port = 1;
  burst.push_back(packet(datagram(small)));
  EXPECT_EQ(transmit(queue, burst), 9);
  EXPECT_EQ(queue.statistics().errors.read(), 8U);
  EXPECT_EQ(queue.statistics().packets.read(), 1U);
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(PacketQueues, SayWhatIsKnownOfChecksums) {
  ReceiveQueue host({ours_, &pool(), 3, false});
  const Bytes frame = datagram({});
  for (const std::uint8_t flags : std::initializer_list<std::uint8_t>{0, 1, 2}) {
    FrameHeader note{};
    note.flags = flags;
    note.checksum_start = 34;
    note.checksum_offset = 6;
    arrives(note, frame);
    std::vector<Packet*> got = receive(host);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, flags != 0 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0U);
    EXPECT_EQ(got[0]->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, 0U);
    EXPECT_EQ(bytes_of(got[0]), frame);
  }
  EXPECT_EQ(host.statistics().packets.read(), 3U);
  EXPECT_EQ(host.statistics().bytes.read(), 3 * frame.size());
}

// A run of 100 datagrams in bursts of 64, and single ones before and behind it.
TEST_F(PacketQueues, SplitARunOverSeveralBursts) {
  std::vector<Bytes> wanted;
  SendQueue sender(ours_, true);
  DatagramForm form;
  form.payload = 500;
  std::vector<Packet*> burst = packets(64, form);
  ASSERT_EQ(transmit(sender, burst), 64);
  const std::vector<Sent> run = sent();
  ASSERT_EQ(run.size(), 1U);
  ReceiveQueue queue({ours_, &pool(), 3, false});
  const Bytes other(60, 9);
  arrives({}, other);
  arrives(run[0].note, run[0].frame);
  arrives({}, other);
  std::vector<std::size_t> bursts;
  std::vector<Bytes> got;
  for (std::vector<Packet*> some = receive(queue, 24); !some.empty(); some = receive(queue, 24)) {
    bursts.push_back(some.size());
    for (Packet* const one : some) {
      if (one->data_len == 60) {
        EXPECT_EQ(one->ol_flags, 0U);
      } else {
        EXPECT_EQ(one->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD);
      }
      got.push_back(bytes_of(one));
    }
  }
  EXPECT_THAT(bursts, ElementsAre(24, 24, 18));
  ASSERT_EQ(got.size(), 66U);
  EXPECT_EQ(got.front(), other);
  EXPECT_EQ(got.back(), other);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const Bytes payload(got[i + 1].begin() + 42, got[i + 1].end());
    EXPECT_EQ(payload, test::payload_of(i, 500)) << i;
  }
  EXPECT_EQ(queue.statistics().runs.read(), 1U);
}

// They become chains, which port_rx drops as `segmented`.
TEST_F(PacketQueues, PassNothingOnThatIsLongerThanAPacket) {
  ReceiveQueue queue({ours_, &pool(), 3, false});
  FrameHeader tcp{};
  tcp.flags = FrameHeader::needs_checksum;
  tcp.segmentation = FrameHeader::tcp4_segmentation;
  tcp.segment = 1448;
  arrives(tcp, Bytes(30000, 1));
  arrives({}, Bytes(5000, 2));
  arrives(run_note(40000), Bytes(50000, 3));
  arrives({}, Bytes(100000, 4));  // more than its buffer holds
  arrives(tcp, Bytes(100, 5));    // fits, but is no frame of a wire
  std::vector<Packet*> got = receive(queue);
  ASSERT_EQ(got.size(), 5U);
  for (Packet* const each : got) {
    EXPECT_FALSE(is_contiguous(*each));
    EXPECT_EQ(each->ol_flags, 0U);
    release(*each);
  }
  // The same for a run of datagrams that are longer than a packet of ours.
  SendQueue sender(ours_, true);
  std::vector<Packet*> burst = packets(3);
  ASSERT_EQ(transmit(sender, burst), 3);
  Sent run = sent().at(0);
  run.note.segment = 3000;
  arrives(run.note, run.frame);
  got = receive(queue);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_FALSE(is_contiguous(*got[0]));
  release(*got[0]);
  EXPECT_EQ(queue.statistics().runs.read(), 0U);
}

TEST_F(PacketQueues, CountWhatThereIsNoPacketFor) {
  SendQueue sender(ours_, true);
  std::vector<Packet*> burst = packets(20);
  ASSERT_EQ(transmit(sender, burst), 20);
  const Sent run = sent().at(0);
  std::vector<Packet*> all;
  while (Packet* const one = allocate(pool())) all.push_back(one);
  ReceiveQueue queue({ours_, &pool(), 3, false});
  arrives(run.note, run.frame);
  arrives({}, Bytes(60, 1));
  EXPECT_TRUE(receive(queue).empty());
  EXPECT_EQ(queue.statistics().no_memory.read(), 21U);
  for (Packet* const each : all) release(*each);
  // It goes on with what comes next.
  arrives({}, Bytes(60, 2));
  std::vector<Packet*> got = receive(queue);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(bytes_of(got[0]), Bytes(60, 2));
}

}  // namespace
}  // namespace ssn::dataplane
