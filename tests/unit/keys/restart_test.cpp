// SPDX-License-Identifier: BSD-3-Clause
// What ends an epoch, and what comes after it: restarts of either end, disks that fail or go back, copies of
// a node, messages that nobody of ours sends.
#include <gmock/gmock.h>

#include "packet_ends.h"
#include "setup.h"

namespace ssn::dataplane_test {
namespace {

using testing::HasSubstr;

TEST_F(TwoNodes, EitherEndStartsAgain) {
  world.channels.connect("alice", "bob");
  auto a = alice(2);
  auto b = bob(2);
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_TRUE(b->stop().ok());
  b = bob(2);
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_TRUE(a->stop().ok());
  a = alice(2);
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_EQ(b->peer("alice").alarms, 0U);
  EXPECT_EQ(a->report().incarnation, 2U);
  EXPECT_GE(world.witness.ksids(), 12U) << "three epochs, each with fresh streams for two workers";
  finish({a.get(), b.get()});
}

// The process vanishes without a word; on its disk is what was there at that moment.
TEST_F(TwoNodes, EitherEndCrashes) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(flows(*a, *b, 200)) << round;
    std::unique_ptr<TestNode>& victim = round % 2 == 0 ? a : b;
    const std::string name = victim->name();
    test::Bytes image = disk(name).image();
    world.channels.disconnect("alice", "bob");
    disk(name).restore(std::move(image));  // what the dying process writes from here on is lost
    victim->crash();
    EXPECT_TRUE(disk(name).open().ledger().state().incarnation > 1);
    victim = name == "alice" ? alice() : bob();
    world.channels.connect("alice", "bob");
  }
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_EQ(a->peer("bob").alarms, 0U);
  EXPECT_EQ(b->peer("alice").alarms, 0U);
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, AFailedDiskStopsSealing) {
  world.channels.connect("alice", "bob");
  KeyServiceConfiguration small = configuration("alice", {"bob"});
  small.ledger_extent = std::uint64_t{64} << 10;  // written often
  auto a = node(small);
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b, 200));
  disk("alice").fail();
  ASSERT_TRUE(eventually([&] { return a->report().ledger_failed; }));
  ASSERT_TRUE(eventually([&] { return a->peer("bob").connections.empty(); }));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::ledger_failed, "nothing is sealed until"));
  const std::uint64_t sealed = a->sealed();
  ASSERT_TRUE(eventually([&] { return b->peer("alice").connections.empty(); })) << "the peer was told";
  EXPECT_EQ(a->sealed(), sealed);
  EXPECT_EQ(a->peer("bob").epochs_entered, 1U);
  EXPECT_THAT(a->peer("bob").last_error.why, HasSubstr("ledger"));
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, ANodeThatWasRolledBackIsRefusedUntilReadmitted) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_TRUE(a->stop().ok());
  const test::Bytes old = disk("alice").image();
  for (int i = 0; i < 2; ++i) {
    a = alice();
    ASSERT_TRUE(flows(*a, *b, 200));
    EXPECT_TRUE(a->stop().ok());
  }
  disk("alice").restore(old);
  a = alice();
  ASSERT_TRUE(eventually([&] {
    return b->saw(KeyEvent::Kind::alarm, "quarantine") || a->saw(KeyEvent::Kind::alarm, "rolled back");
  }));
  ASSERT_TRUE(eventually([&] { return a->peer("bob").state == Association::State::refused; }));
  EXPECT_EQ(b->peer("alice").quarantine, protocol::Quarantine::rolled_back);
  const std::uint64_t sealed = a->sealed();
  EXPECT_TRUE(b->keys().readmit("alice").ok());
  ASSERT_TRUE(flows(*a, *b, 200));
  EXPECT_GT(a->sealed(), sealed);
  EXPECT_EQ(b->peer("alice").quarantine, protocol::Quarantine::none);
  EXPECT_EQ(b->keys().readmit("carol").error().code, Exit::not_found);
  finish({a.get(), b.get()});
}

// A copy of the disk of a node that runs is started as well, and takes its place in the network.
TEST_F(TwoNodes, ACopyOfANodeIsRefused) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b, 200));
  const test::Bytes image = disk("alice").image();
  world.channels.disconnect("alice", "bob");
  disk("alice").restore(image);
  a->crash();
  // One copy goes on ...
  a = alice();
  world.channels.connect("alice", "bob");
  ASSERT_TRUE(flows(*a, *b, 200));
  // ... and then the other one shows up, from the same image.
  world.channels.disconnect("alice", "bob");
  disk("alice").restore(image);
  a->crash();
  a = alice();
  world.channels.connect("alice", "bob");
  ASSERT_TRUE(eventually([&] { return b->peer("alice").quarantine != protocol::Quarantine::none; }));
  EXPECT_GE(b->peer("alice").alarms, 1U);
  ASSERT_TRUE(eventually([&] { return b->peer("alice").connections.empty(); }));
  EXPECT_TRUE(b->saw(KeyEvent::Kind::alarm, "cloned") || b->saw(KeyEvent::Kind::alarm, "rolled back"));
  finish({a.get(), b.get()});
}

// Two processes with one set of streams: what a snapshot of a running machine would be. The second message
// under a packet number comes to bob's worker, which gives up the keys, and the service the peer.
TEST_F(TwoNodes, TwoMessagesUnderOneNumberAreAnAlarm) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b, 200));
  a->set_sealing(false);
  ASSERT_TRUE(arrived(*a, *b));
  const std::uint64_t sealed = a->sealed();

  // The copy: the same KSIDs, opened again at a key device with the same seed.
  Result<hw::KeyDevice> device = hw::KeyDevice::open(
      {.driver = "memory", .local_name = "alice", .settings = {{"seed", "key service test"}}});
  ASSERT_TRUE(device.ok());
  dataplane::ConnectionTerms terms = a->terms();
  Result<std::unique_ptr<Connection>> copy = Connection::open(
      device.value(), terms, configuration("alice", {"bob"}).limits, test::chosen_implementation());
  ASSERT_TRUE(copy.ok()) << copy.error().why;
  for (std::size_t i = 0; i < dataplane::connection_streams; ++i) copy.value()->marks(i).grant(1 << 20);
  copy.value()->permit_sending();
  copy.value()->service(1);
  protocol::PacketCounters counters;
  hw::SecretBuffer memory = test::locked_memory(protocol::OneTimeCheck::memory_bytes);
  protocol::Sealer sealer(test::chosen_implementation(), counters, memory);
  // As far as the copied process had come: then a number that bob still remembers is used again.
  for (std::uint64_t sent = 0; sent < sealed;) {
    const std::size_t length = 1344;
    Bytes packet(protocol::overhead_bytes + length, 0x33);
    protocol::Cell cell;
    cell.data = packet.data() + protocol::overhead_bytes;
    cell.source = cell.data;
    cell.length = static_cast<std::uint32_t>(length);
    cell.headroom = protocol::overhead_bytes;
    protocol::Cell* const pointer = &cell;
    if (sealer.seal(*copy.value()->sending(), {&pointer, 1}) == 1) {
      ++sent;
      if (sent + 100 > sealed) world.packets.send("bob", packet);
    } else {
      for (std::size_t i = 0; i < 2; ++i)
        copy.value()->marks(i).grant(copy.value()->marks(i).granted() + (1 << 20));
    }
    copy.value()->service(sent + 2);
  }
  ASSERT_TRUE(eventually([&] { return b->peer("alice").quarantine == protocol::Quarantine::cloned; }));
  EXPECT_TRUE(b->saw(KeyEvent::Kind::alarm, "saw what no honest peer sends"));
  EXPECT_TRUE(b->saw(KeyEvent::Kind::alarm, "it was cloned"));
  ASSERT_TRUE(eventually([&] { return a->peer("bob").state == Association::State::refused; }));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::alarm, "the peer has this node in quarantine"));
  ASSERT_TRUE(eventually([&] { return a->peer("bob").connections.empty(); }));
  finish({a.get(), b.get()});
}

// Carol has seen more of alice than alice knows. Bob has not; but alice is not what she should be, so she has
// nothing with him either, until an operator says so.
TEST_F(KeyServiceTest, ANodeThatIsNotWhatItShouldBeLeavesEverybody) {
  world.channels.connect("alice", "carol");
  auto b = node(configuration("bob", {"alice"}));
  auto c = node(configuration("carol", {"alice"}));
  const auto alice = [&] { return node(configuration("alice", {"bob", "carol"})); };
  test::Bytes old;
  std::unique_ptr<TestNode> a;
  for (int run = 0; run < 3; ++run) {
    a = alice();
    ASSERT_TRUE(flows(*a, *c)) << run;
    EXPECT_TRUE(a->stop().ok());
    if (run == 0) old = disk("alice").image();
  }
  Bytes hello;  // of carol, who looks for alice
  ASSERT_TRUE(eventually([&] {
    hello = world.channels.last("carol", PeerMessageKind::association);
    return c->peer("alice").state == Association::State::offered && hello.size() > 100;
  }));
  world.channels.disconnect("alice", "carol");
  disk("alice").restore(old);
  world.channels.connect("alice", "bob");
  a = alice();
  ASSERT_TRUE(flows(*a, *b)) << "bob knows nothing of it";
  world.channels.inject("carol", "alice", PeerMessageKind::association, hello);
  ASSERT_TRUE(eventually([&] { return a->report().self_quarantine; }));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::alarm, "this node was rolled back"));
  ASSERT_TRUE(eventually([&] { return a->peer("bob").connections.empty(); }));
  ASSERT_TRUE(eventually([&] { return b->peer("alice").connections.empty(); }));
  EXPECT_EQ(b->peer("alice").alarms, 0U);

  EXPECT_TRUE(c->keys().readmit("alice").ok());
  EXPECT_TRUE(a->keys().readmit("carol").ok());
  a->keys().readmit_self();
  world.channels.connect("alice", "carol");
  ASSERT_TRUE(flows(*a, *b) && flows(*a, *c));
  finish({a.get(), b.get(), c.get()});
}

TEST_F(TwoNodes, WhatNobodyOfOursSendsIsCounted) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  test::TestRandom random = test::TestRandom::labelled("garbage");
  const Bytes association = world.channels.last("bob", PeerMessageKind::association);
  const Bytes session = world.channels.last("bob", PeerMessageKind::session);
  for (int i = 0; i < 300; ++i) {
    for (const auto& [kind, good] :
         {std::pair{PeerMessageKind::association, association}, std::pair{PeerMessageKind::session, session},
          std::pair{PeerMessageKind::key_device, session}}) {
      Bytes bad = good;
      bad[random.below(5)] ^= random.nonzero_byte();  // magic or version
      bad.resize(random.below(2 * bad.size()));
      world.channels.inject("bob", "alice", kind, bad);
    }
    world.channels.inject("mallory", "alice", PeerMessageKind::association, association);
  }
  ASSERT_TRUE(eventually([&] { return a->peer("bob").messages_dropped >= 100; }));
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_EQ(a->peer("bob").epochs_entered, 1U);
  finish({a.get(), b.get()});
}

// What was said of an epoch before does not touch the one that is.
TEST_F(TwoNodes, OldSessionMessagesMeanNothing) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_TRUE(b->stop().ok());
  const Bytes ended = world.channels.last("bob", PeerMessageKind::session);
  ASSERT_EQ(ended.at(5), 2U);
  b = bob();
  ASSERT_TRUE(flows(*a, *b));
  world.channels.inject("bob", "alice", PeerMessageKind::session, ended);
  ASSERT_TRUE(flows(*a, *b, 500));
  EXPECT_EQ(a->peer("bob").epochs_entered, 2U);
  finish({a.get(), b.get()});
}

// One disk that takes its time: reports and the other node's epochs do not wait for it.
TEST_F(TwoNodes, ASlowDiskDelaysNobodyElse) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  disk("alice").set_delay(std::chrono::milliseconds(600));
  EXPECT_TRUE(b->stop().ok());
  b = bob();
  ASSERT_TRUE(eventually([&] { return a->peer("bob").epochs_entered >= 1; }));
  const auto begin = std::chrono::steady_clock::now();
  static_cast<void>(a->report());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(550));
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_GE(a->report().ledger_syncs_slow, 1U);
  disk("alice").set_delay(std::chrono::milliseconds(0));
  finish({a.get(), b.get()});
}

}  // namespace
}  // namespace ssn::dataplane_test
