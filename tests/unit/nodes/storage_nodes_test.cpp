// SPDX-License-Identifier: BSD-3-Clause
// storage_receive and storage_step: between the network, channels and a role. The channels are those of
// owners, whose keys need no device; the role is the test's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "host_fixture.h"
#include "node_bench.h"
#include "ssn/dataplane/graph_builder.h"
#include "storage_nodes.h"

namespace ssn::dataplane::test {
namespace {

using protocol::Cell;
using protocol::PacketType;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint32_t cell_bytes = 1024;
constexpr std::uint32_t their_id = 77;
constexpr std::uint16_t slot = 1;
constexpr std::size_t before_payload = ethernet_bytes + ip4_bytes + udp_bytes;

// Notes what it gets, and gives it back.
class TestRole final : public StorageRole {
 public:
  explicit TestRole(PacketSource& source) : source_(&source) {}
  bool join(StorageChannel& channel, std::uint64_t now_ns) noexcept override {
    if (joins) channel.channel->set_credit(4096, now_ns);
    return joins;
  }
  void leave(StorageChannel&, std::uint64_t) noexcept override { ++left; }
  void delivered(StorageChannel& channel, std::span<Cell* const> cells, std::uint64_t) noexcept override {
    ++bursts;
    for (Cell* const cell : cells) {
      numbers.push_back(cell->header.placement.cell);
      first_bytes.push_back(cell->data[0]);
      last = &channel;
    }
    source_->give_back(cells);
  }
  bool step(std::uint64_t) noexcept override {
    ++steps;
    return std::exchange(worked, false);
  }
  std::uint64_t next_due() const noexcept override { return due; }

  bool joins = true;
  bool worked = false;
  std::uint64_t due = UINT64_MAX;
  std::vector<std::uint32_t> numbers;
  std::vector<std::uint8_t> first_bytes;
  StorageChannel* last = nullptr;
  unsigned bursts = 0, left = 0, steps = 0;

 private:
  PacketSource* source_;
};

hw::SecretBuffer locked(std::size_t bytes) {
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::best_effort);
  EXPECT_TRUE(made.ok());
  return std::move(made.value());
}

// An end of a connection: what both ours and the other one have.
struct End {
  explicit End(const kernels::Implementation& implementation)
      : seal_memory(locked(protocol::OneTimeCheck::memory_bytes)),
        open_memory(locked(protocol::OneTimeCheck::memory_bytes)),
        sealer(implementation, counters, seal_memory),
        opener(implementation, counters, table, open_memory) {}

  protocol::PacketCounters counters;
  protocol::ConnectionTable table{connection_places};
  hw::SecretBuffer seal_memory, open_memory;
  protocol::Sealer sealer;
  protocol::Opener opener;
};

class StorageNodes : public NodeBench {
 protected:
  explicit StorageNodes(unsigned workers = 1) : NodeBench(workers), workers_(workers) {}

  void open(bool joins = true) {
    ASSERT_EQ(kernels::select(implementation_), kernels::Status::ok);
    HostSpec spec = ssn::test::host_spec();
    spec.limits.guests = 2;
    auto host = Host::make(spec);
    ASSERT_TRUE(host.ok());
    host_ = std::move(host.value());
    for (unsigned i = 0; i < workers_; ++i) {
      auto state = std::make_shared<StorageWorker>();
      state->index = static_cast<std::uint16_t>(i);
      state->count = static_cast<std::uint16_t>(workers_);
      state->source.open(pool());
      state->seal_memory = locked(protocol::OneTimeCheck::memory_bytes);
      state->open_memory = locked(protocol::OneTimeCheck::memory_bytes);
      state->sealer.emplace(*implementation_, state->packets, state->seal_memory);
      state->opener.emplace(*implementation_, state->packets, state->table, state->open_memory);
      state->host = std::make_shared<HostWorker>(*host_, static_cast<std::uint16_t>(i));
      auto role = std::make_unique<TestRole>(state->source);
      role->joins = joins;
      roles_.push_back(role.get());
      state->role = std::move(role);
      states_.push_back(state);
    }
    build({[this](GraphBuilder& graph) -> Outcome {
      const auto state = std::make_shared<StorageNode>(StorageNode{states_[graph.worker().index()]});
      const NodeHandle receive = graph.add(storage_receive_type, "t", state);
      const NodeHandle step = graph.add(storage_step_type, "t", state);
      graph.connect(receive, storage_receive_handoff, graph.handoff("t"));
      if (graph.worker_count() > 1) graph.connect(graph.handoff_source("t"), 0, receive);
      graph.connect(step, storage_step_link, graph.drop("links"));
      return done;
    }});
    for (unsigned i = 0; i < workers_; ++i) hold("storage_step-t", i);
  }

  // A session of the owner at 10.0.1.77.
  void connect(unsigned worker = 0) {
    GuestSpec guest;
    guest.port = 1;
    guest.local = ssn::test::address("10.0.1.1");
    guest.local_udp_port = 4405;
    guest.remote = ssn::test::address("10.0.1.77");
    guest.remote_udp_port = 40000;
    auto made = host_->make_guest(guest);
    ASSERT_TRUE(made.ok());
    states_[worker]->host->guests[slot] = made.value();
    std::vector<std::uint8_t> one(32, 1), other(32, 2);
    channel_ = std::make_unique<StorageChannel>();
    channel_->worker = states_[worker].get();
    channel_->number = slot;
    channel_->link = states_[worker]->host->guest_link(slot);
    channel_->id = make_connection_id(first_owner_place + slot, worker, 5);
    channel_->keys = keys(their_id, channel_->id, one, other);
    channel_->channel =
        std::make_unique<protocol::Channel>(options(), channel_->keys->send(), channel_->keys->receive(),
                                            *states_[worker]->sealer, states_[worker]->source, now());
    ASSERT_TRUE(states_[worker]->attach(*channel_));
    their_source_.open(pool());
    their_end_.emplace(*implementation_);
    their_keys_ = keys(channel_->id, their_id, other, one);
    ASSERT_TRUE(their_end_->table.add(their_keys_->connection()));
    theirs_.emplace(options(), their_keys_->send(), their_keys_->receive(), their_end_->sealer, their_source_,
                    now());
    walk(worker);
  }

  void TearDown() override {
    if (channel_ != nullptr && !detached_) channel_->worker->detach(*channel_, now());
    channel_.reset();
    if (theirs_) {
      theirs_->end(now());
      take_theirs();
      protocol::Settled settled[64];
      while (theirs_->take_settled(settled) != 0) {
      }
      theirs_.reset();
    }
    forget();
    unbuild();
    states_.clear();
    NodeBench::TearDown();
  }

  static protocol::ChannelOptions options() {
    protocol::ChannelOptions options;
    options.sender.packets = 1024;
    options.sender.congestion_control = false;
    options.sender.initial_credit = 1000;
    options.departures = 128;
    return options;
  }
  std::unique_ptr<protocol::SessionKeys> keys(std::uint32_t send, std::uint32_t receive,
                                              const std::vector<std::uint8_t>& send_keys,
                                              const std::vector<std::uint8_t>& receive_keys) {
    auto made = protocol::SessionKeys::make({.send_connection_id = send, .receive_connection_id = receive},
                                            send_keys, receive_keys);
    EXPECT_TRUE(made.ok());
    return std::move(made.value());
  }

  // What the owner sends as datagrams: behind the headers, as ports and the host leave it.
  std::vector<Packet*> take_theirs(const char* from = "10.0.1.77") {
    std::vector<Packet*> packets;
    protocol::Departure departures[64];
    while (const std::size_t count = theirs_->take_departures(departures)) {
      for (std::size_t i = 0; i < count; ++i) {
        const Cell& cell = *departures[i].cell;
        packets.push_back(datagram({cell.packet(), cell.packet() + cell.packet_bytes()}, from));
        if (!departures[i].held) release(packet_of(*departures[i].cell));
      }
    }
    if (theirs_->ended()) {
      for (Packet* const each : packets) release(*each);
      packets.clear();
    }
    return packets;
  }
  Packet* datagram(const std::vector<std::uint8_t>& payload, const char* from = "10.0.1.77") {
    std::vector<std::uint8_t> frame(before_payload, 0);
    const EthernetAddress mac = ssn::test::mac("02:00:00:00:07:07");
    std::memcpy(frame.data() + 6, mac.bytes.data(), 6);
    frame[14] = 0x45;
    const IpAddress source = ssn::test::address(from);
    std::memcpy(frame.data() + 26, source.bytes.data(), 4);
    frame.insert(frame.end(), payload.begin(), payload.end());
    Packet* const made = packet(frame, 1);
    strip(*made, before_payload);
    made->l2_len = ethernet_bytes;
    made->l3_len = ip4_bytes;
    return made;
  }
  std::size_t send(protocol::Channel& channel, PacketSource& source, std::uint32_t first, std::size_t count) {
    std::vector<Cell*> cells(count);
    EXPECT_EQ(source.take(cells), count);
    std::vector<protocol::Parcel> parcels;
    for (std::size_t i = 0; i < count; ++i) {
      Cell& cell = *cells[i];
      cell.length = cell_bytes;
      std::memset(cell.data, static_cast<int>(first + i), cell_bytes);
      cell.header.placement = {.object = 9, .cell = static_cast<std::uint32_t>(first + i), .generation = 1};
      parcels.push_back({.cell = &cell, .token = first + i});
    }
    const std::size_t sent = channel.send(parcels, now());
    source.give_back({cells.data() + sent, count - sent});
    return sent;
  }
  // What left for the owner, opened at his end; gives what his channel delivered.
  std::size_t receive_at_owner(unsigned worker = 0) {
    std::vector<Packet*> left = take("storage_step-t", "link", worker);
    std::size_t total = 0;
    for (Packet* const each : left) {
      EXPECT_EQ(link_of(*each), channel_->link);
      Packet* const copy = datagram(bytes_of(*each));
      release(*each);
      Cell& cell = cell_of(*copy);
      cell = Cell{};
      cell.data = data_of(*copy);
      cell.length = length_of(*copy);
      cell.headroom = headroom_of(*copy);
      Cell* one[] = {&cell};
      their_end_->opener.open(one);
      EXPECT_NE(cell.open_result, protocol::OpenResult::dropped) << protocol::name(cell.reason);
      Cell* delivered[1];
      const std::size_t count = theirs_->arrived(one, now(), delivered);
      their_source_.give_back({delivered, count});
      total += count;
    }
    return total;
  }
  TestRole& role(unsigned worker = 0) { return *roles_[worker]; }
  StorageWorker& state(unsigned worker = 0) { return *states_[worker]; }

  const unsigned workers_;
  const kernels::Implementation* implementation_ = nullptr;
  std::unique_ptr<Host> host_;
  std::vector<std::shared_ptr<StorageWorker>> states_;
  std::vector<TestRole*> roles_;
  std::unique_ptr<StorageChannel> channel_;
  PacketSource their_source_;
  std::optional<End> their_end_;
  std::unique_ptr<protocol::SessionKeys> their_keys_;
  std::optional<protocol::Channel> theirs_;
  bool detached_ = false;
};

class TwoWorkers : public StorageNodes {
 protected:
  TwoWorkers() : StorageNodes(2) {}
};

TEST_F(StorageNodes, CellsReachTheRoleAndAreAcknowledged) {
  open();
  connect();
  ASSERT_EQ(send(*theirs_, their_source_, 10, 5), 5U);
  feed("storage_receive-t", take_theirs());
  walk();
  EXPECT_THAT(role().numbers, testing::ElementsAre(10U, 11U, 12U, 13U, 14U));
  EXPECT_THAT(role().first_bytes, testing::ElementsAre(10, 11, 12, 13, 14));
  EXPECT_EQ(role().bursts, 1U) << "cells of one connection go together";
  EXPECT_EQ(role().last, channel_.get());
  EXPECT_EQ(channel_->heard_ns.load(), now());
  advance(ms);
  walk();
  EXPECT_EQ(receive_at_owner(), 0U);
  protocol::Settled settled[8];
  ASSERT_EQ(theirs_->take_settled(settled), 5U);
  EXPECT_EQ(settled[0].how, protocol::Settled::How::received);
}

TEST_F(StorageNodes, WhatTheRoleSendsLeavesForItsLink) {
  open();
  connect();
  ASSERT_EQ(send(*channel_->channel, state().source, 3, 4), 4U);
  const Worker::Walked walked = walk();
  EXPECT_TRUE(walked.worked);
  EXPECT_EQ(receive_at_owner(), 4U);
  theirs_->step(now() + ms);
  feed("storage_receive-t", take_theirs());
  walk();
  protocol::Settled settled[8];
  EXPECT_EQ(channel_->channel->take_settled(settled), 4U);
}

// What a port still reads is never changed: the packet goes out again as another one.
TEST_F(StorageNodes, LostPacketsGoOutAgain) {
  open();
  connect();
  ASSERT_EQ(send(*channel_->channel, state().source, 0, 3), 3U);
  walk();
  const std::vector<Packet*> on_their_way = take("storage_step-t", "link");
  ASSERT_EQ(on_their_way.size(), 3U);
  const std::vector<std::uint8_t> before = bytes_of(*on_their_way[0]);
  for (int i = 0; i < 200; ++i) {
    advance(10 * ms);
    walk();
  }
  EXPECT_EQ(bytes_of(*on_their_way[0]), before);
  const std::size_t delivered = receive_at_owner();
  theirs_->step(now() + ms);
  for (int i = 0; i < 50 && channel_->channel->sender().counters().received < 3; ++i) {
    feed("storage_receive-t", take_theirs());
    advance(10 * ms);
    walk();
    receive_at_owner();
    theirs_->step(now() + ms);
  }
  EXPECT_EQ(channel_->channel->sender().counters().received, 3U) << delivered;
  EXPECT_GE(channel_->channel->sender().counters().sent_again, 3U);
  for (Packet* const each : on_their_way) release(*each);
}

TEST_F(StorageNodes, OwnersAreAnsweredWhereTheySaidTheyAre) {
  open();
  connect();
  ASSERT_EQ(send(*theirs_, their_source_, 0, 2), 2U);
  feed("storage_receive-t", take_theirs("10.0.1.78"));
  walk();
  EXPECT_EQ(state().strays, 2U);
  EXPECT_TRUE(state().host->guests[slot].mac.is_zero());
  ASSERT_EQ(send(*theirs_, their_source_, 2, 1), 1U);
  feed("storage_receive-t", take_theirs());
  walk();
  EXPECT_EQ(state().host->guests[slot].mac, ssn::test::mac("02:00:00:00:07:07"));
}

TEST_F(StorageNodes, NothingThatIsNotAuthenticChangesAnything) {
  open();
  connect();
  ASSERT_EQ(send(*theirs_, their_source_, 0, 4), 4U);
  std::vector<Packet*> packets = take_theirs();
  data_of(*packets[0])[70] ^= 1;  // payload
  data_of(*packets[1])[4] ^= 1;   // connection
  set_length(*packets[2], 40);    // less than a header
  data_of(*packets[3])[0] = 9;    // version
  feed("storage_receive-t", packets);
  walk();
  EXPECT_EQ(counter("drop.bad_tag"), 1U);
  EXPECT_EQ(counter("drop.unknown_connection"), 1U);
  EXPECT_EQ(counter("drop.too_short"), 1U);
  EXPECT_EQ(counter("drop.unknown_version"), 1U);
  EXPECT_TRUE(role().numbers.empty());
  EXPECT_TRUE(state().host->guests[slot].mac.is_zero());
  EXPECT_EQ(state().strays, 0U);
}

// Orders are opened into memory that there is little of: who forges them must not be able to use it up.
TEST_F(StorageNodes, ForgedOrdersKeepNoMemory) {
  open();
  connect();
  PacketSource& source = state().source;
  for (OrderMemory* const each : {&source.orders, &source.masks}) {
    auto memory = OrderMemory::make(2, 1024);
    ASSERT_TRUE(memory.ok());
    *each = std::move(memory.value());
  }
  // Each kind has its own: neither can use up the other's.
  for (unsigned round = 1; round <= 6; ++round) {
    const bool masks = round > 3;
    const PacketType type = masks ? PacketType::mask_order : PacketType::keep_order;
    std::uint8_t* const in_use = (masks ? source.orders : source.masks).take();
    ASSERT_EQ(send(*theirs_, their_source_, 3 * round, 3), 3U);
    std::vector<Packet*> packets = take_theirs();
    for (Packet* const each : packets) data_of(*each)[1] = static_cast<std::uint8_t>(type);
    feed("storage_receive-t", packets);
    walk();
    (masks ? source.orders : source.masks).give_back(in_use, 0);
    EXPECT_EQ(source.orders.free(), 2U);
    EXPECT_EQ(source.masks.free(), 2U);
    EXPECT_EQ(source.no_memory, round) << "there was none for the third";
  }
  EXPECT_TRUE(role().numbers.empty());
}

TEST(OrderMemory, IsErasedWhenItIsGivenBack) {
  auto made = OrderMemory::make(2, 128);
  ASSERT_TRUE(made.ok());
  OrderMemory& memory = made.value();
  std::uint8_t* const first = memory.take();
  std::uint8_t* const second = memory.take();
  ASSERT_TRUE(memory.owns(first) && memory.owns(second));
  EXPECT_EQ(memory.take(), nullptr);
  std::memset(second, 7, 128);
  std::memset(first, 9, 128);
  memory.give_back(first, 100);
  EXPECT_EQ(std::count(first, first + 100, 0), 100);
  EXPECT_EQ(std::count(second, second + 128, 7), 128);
  memory.give_back(second, UINT32_MAX);
  EXPECT_EQ(std::count(second, second + 128, 0), 128);
  EXPECT_EQ(memory.free(), 2U);
  std::uint8_t other = 0;
  EXPECT_FALSE(memory.owns(&other) || memory.owns(nullptr) || OrderMemory().owns(&other));
  EXPECT_EQ(OrderMemory().take(), nullptr);
}

TEST_F(StorageNodes, ConnectionsThatAreNotReadyHearNothing) {
  open(false);
  connect();
  ASSERT_EQ(send(*theirs_, their_source_, 0, 3), 3U);
  feed("storage_receive-t", take_theirs());
  walk();
  EXPECT_EQ(counter("drop.not_ready"), 3U);
  EXPECT_EQ(state().not_joined, 3U);
  EXPECT_TRUE(role().numbers.empty());
  role().joins = true;
  walk();
  EXPECT_TRUE(channel_->joined);
}

TEST_F(StorageNodes, BurstsOfAnySizeComeThrough) {
  open();
  connect();
  std::size_t total = 0;
  for (const std::size_t size : {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65},
                                 std::size_t{0}, std::size_t{100}}) {
    std::vector<Packet*> packets;
    for (std::size_t sent = 0; sent < size;) {
      const std::size_t some = send(*theirs_, their_source_, static_cast<std::uint32_t>(total + sent),
                                    std::min<std::size_t>(size - sent, 16));
      sent += some;
      for (Packet* const each : take_theirs()) packets.push_back(each);
      if (some == 0) break;
    }
    total += packets.size();
    feed("storage_receive-t", packets);
    for (int i = 0; i < 4; ++i) {
      walk();
      advance(ms);
      receive_at_owner();
      theirs_->step(now());
      protocol::Settled settled[64];
      while (theirs_->take_settled(settled) != 0) {
      }
    }
  }
  EXPECT_GT(total, 100U);
  std::sort(role().numbers.begin(), role().numbers.end());
  role().numbers.erase(std::unique(role().numbers.begin(), role().numbers.end()), role().numbers.end());
  EXPECT_GE(role().numbers.size(), total - 64) << "pings and acknowledgements are no cells";
}

TEST_F(StorageNodes, TheWorkerSleepsUntilSomethingIsDue) {
  open();
  connect();
  for (int i = 0; i < 5; ++i) walk();
  role().due = now() + 7 * ms;
  const Worker::Walked walked = walk();
  EXPECT_FALSE(walked.worked);
  EXPECT_LE(walked.wake_ns, now() + 7 * ms);
  EXPECT_GT(walked.wake_ns, now());
  role().worked = true;
  EXPECT_TRUE(walk().worked) << "the store gave something back";
}

TEST_F(StorageNodes, WhatLeavesTakesNoPacketsWithIt) {
  open();
  connect();
  ASSERT_EQ(send(*channel_->channel, state().source, 0, 20), 20U);
  walk();
  state().detach(*channel_, now());
  detached_ = true;
  EXPECT_EQ(role().left, 1U);
  EXPECT_EQ(state().find(channel_->id), nullptr);
  ASSERT_EQ(send(*theirs_, their_source_, 0, 1), 1U);
  feed("storage_receive-t", take_theirs());
  walk();
  EXPECT_EQ(counter("drop.unknown_connection"), 1U);
}  // all packets are back: TearDown() looks

TEST_F(TwoWorkers, PacketsGoToTheWorkerThatHasTheConnection) {
  open();
  connect(1);
  ASSERT_EQ(send(*theirs_, their_source_, 40, 2), 2U);
  feed("storage_receive-t", take_theirs(), 0);
  walk(0);
  walk(1);
  walk(1);
  EXPECT_EQ(state(0).handed_off, 2U);
  EXPECT_THAT(role(1).numbers, testing::ElementsAre(40U, 41U));
  EXPECT_TRUE(role(0).numbers.empty());
}

}  // namespace
}  // namespace ssn::dataplane::test
