// SPDX-License-Identifier: BSD-3-Clause
// Two ends through a channel that loses, repeats, reorders and damages packets: exactly the bytes arrive,
// each once, and the accounts of both ends balance and agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "implementations.h"
#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::PacketEnds;
using test::TestRandom;

/// What the sender still has to get through.
struct Outstanding {
  std::size_t at = 0;  // in the arena
  Bytes expected;      // plaintext, or the share of a keep order
};

class Channel {
 public:
  explicit Channel(TestRandom& random) : random_(random) {}

  void send(const Bytes& packet) {
    const std::size_t fate = random_.below(100);
    if (fate < 20) return;  // lost
    waiting_.insert(place(), packet);
    if (fate < 35) waiting_.push_back(packet);
    if (fate >= 90) {
      Bytes damaged = packet;
      const std::size_t bits = 1 + random_.below(4);
      for (std::size_t i = 0; i < bits; ++i) {
        std::uint8_t& byte = damaged[random_.below(damaged.size())];
        byte = static_cast<std::uint8_t>(byte ^ random_.nonzero_byte());
      }
      if (random_.coin()) damaged.resize(random_.below(damaged.size()));
      waiting_.insert(place(), damaged);
    }
  }
  bool arrives(Bytes& packet) {
    if (waiting_.empty()) return false;
    packet = waiting_.front();
    waiting_.pop_front();
    return true;
  }

 private:
  std::deque<Bytes>::iterator place() {
    return waiting_.begin() + static_cast<std::ptrdiff_t>(random_.below(waiting_.size() + 1));
  }

  TestRandom& random_;
  std::deque<Bytes> waiting_;
};

class Exchange {
 public:
  explicit Exchange(TestRandom& random) : random_(random), channel_(random) {
    ends_.random = TestRandom(random.next());
    kept_.resize(64 * 1024);
  }

  void run(unsigned rounds) {
    for (unsigned round = 0; round < rounds; ++round) {
      ends_.d_out.deliver(random_.below(40000));
      ends_.d_in.deliver(random_.below(40000));
      ends_.a_out.deliver(random_.below(600));
      ends_.a_in.deliver(random_.below(600));
      ends_.poll();
      if (random_.below(4) != 0) send_new();
      if (random_.below(3) == 0) send_again();
      for (std::size_t i = random_.below(40); i > 0; --i) receive_one();
      ASSERT_TRUE(ends_.balanced());
    }
    // Everything is delivered, and the rest is sent until it arrives.
    ends_.deliver(std::uint64_t{1} << 30, std::uint64_t{1} << 30);
    for (unsigned round = 0; round < 400 && !outstanding_.empty(); ++round) {
      ends_.deliver(0, 0);
      send_again();
      for (unsigned i = 0; i < 100; ++i) receive_one();
    }
    EXPECT_TRUE(outstanding_.empty()) << outstanding_.size() << " never arrived";
    finish();
  }

  const PacketCounters& counters() const { return ends_.opened; }

 private:
  std::size_t free_place() const {
    for (std::size_t at = 0; at < ends_.out.size(); ++at) {
      if (std::none_of(outstanding_.begin(), outstanding_.end(),
                       [at](const auto& each) { return each.second.at == at; })) {
        return at;
      }
    }
    return ends_.out.size();
  }

  void send_new() {
    const std::size_t at = free_place();
    if (at == ends_.out.size()) return;
    Bytes expected;
    if (random_.below(8) == 0) {
      ends_.out.prepare(at, keep_order_bytes, ends_.random);
      const KeepOrder order{1 + static_cast<std::uint32_t>(random_.below(8)), 1344, 1};
      expected.resize(order.bytes());
      if (ends_.sealer.seal_order(ends_.send, ends_.out[at], order, expected) != SealResult::sealed) return;
    } else {
      const std::size_t length = random_.coin() ? 1344 : 1 + random_.below(2000);
      ends_.out.prepare(at, length, ends_.random);
      Cell* const cells[] = {&ends_.out[at]};
      if (ends_.sealer.seal(ends_.send, cells) != 1) return;
      expected.assign(ends_.out.plaintext(at), ends_.out.plaintext(at) + length);
    }
    outstanding_[ends_.out[at].header.d_offset] = {at, expected};
    sent_bytes_ += expected.size();
    channel_.send(ends_.out.packet(at));
  }

  void send_again() {
    for (const auto& each : outstanding_) {
      Cell* const cells[] = {&ends_.out[each.second.at]};
      if (ends_.sealer.retransmit(ends_.send, cells) == 1) channel_.send(ends_.out.packet(each.second.at));
    }
  }

  void receive_one() {
    Bytes packet;
    if (!channel_.arrives(packet)) return;
    ends_.in.receive(0, packet);
    Cell& cell = ends_.in[0];
    cell.target = kept_.data();
    cell.target_room = static_cast<std::uint32_t>(kept_.size());
    Cell* const cells[] = {&cell};
    ends_.opener.open(cells);
    ASSERT_NE(cell.open_result, OpenResult::alarm) << name(ends_.receive.alarm);
    if (cell.open_result != OpenResult::opened && cell.open_result != OpenResult::kept) {
      if (cell.open_result == OpenResult::repeated) {
        EXPECT_EQ(outstanding_.count(cell.header.d_offset), 0U);
      }
      return;
    }
    const auto found = outstanding_.find(cell.header.d_offset);
    ASSERT_NE(found, outstanding_.end()) << "a range was opened twice, or never sent";
    ASSERT_EQ(cell.range_length, found->second.expected.size());
    ASSERT_TRUE(std::equal(found->second.expected.begin(), found->second.expected.end(), cell.target));
    EXPECT_EQ(cell.header.placement, ends_.out[found->second.at].header.placement);
    received_bytes_ += cell.range_length;
    outstanding_.erase(found);
  }

  void finish() {
    EXPECT_EQ(sent_bytes_, received_bytes_);
    EXPECT_EQ(ends_.pads_out.account().used, ends_.pads_in.account().used);
    EXPECT_EQ(ends_.pads_out.account().kept, ends_.pads_in.account().kept);
    for (StreamEnd* end :
         {static_cast<StreamEnd*>(&ends_.pads_out), static_cast<StreamEnd*>(&ends_.pads_in)}) {
      end->end();
      EXPECT_TRUE(end->audit());
      EXPECT_EQ(end->account().left, 0U);
    }
    ends_.tags_out.end();
    ends_.tags_in.end();
    EXPECT_TRUE(ends_.balanced());
  }

  TestRandom& random_;
  Channel channel_;
  PacketEnds ends_;
  Bytes kept_;
  std::map<std::uint64_t, Outstanding> outstanding_;  // by D offset
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;
};

TEST(Channel, ExactlyWhatWasSentArrivesOnce) {
  TestRandom random = test::random_for_this_test();
  std::uint64_t replayed = 0;
  std::uint64_t bad_tags = 0;
  std::uint64_t repeated = 0;
  for (unsigned run = 0; run < 6 && !HasFailure(); ++run) {
    Exchange exchange(random);
    exchange.run(300);
    replayed += exchange.counters().dropped_for(DropReason::number_replayed);
    bad_tags += exchange.counters().dropped_for(DropReason::bad_tag);
    repeated += exchange.counters().repeated;
  }
  EXPECT_GT(replayed, 0U);  // the channel did its worst
  EXPECT_GT(bad_tags, 0U);
  EXPECT_GT(repeated, 0U);
}

}  // namespace
}  // namespace ssn::protocol
