// SPDX-License-Identifier: BSD-3-Clause
// Epochs that begin, carry traffic, survive the loss of the control channel, and end.
#include <gmock/gmock.h>

#include "setup.h"

namespace ssn::dataplane_test {
namespace {

using protocol::KeyAccount;

TEST_F(TwoNodes, TrafficFlowsAndAccountsBalance) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b, 2000));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::device_opened));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::established));
  const dataplane::PeerKeyReport open = a->peer("bob");
  EXPECT_EQ(open.state, Association::State::established);
  EXPECT_EQ(open.epochs_entered, 1U);
  ASSERT_EQ(open.connections.size(), 1U);
  EXPECT_TRUE(open.connections[0].sending);
  EXPECT_EQ(open.connections[0].local_id, a->keys().connection_id(0, 0));
  EXPECT_EQ(open.connections[0].peer_id, b->keys().connection_id(0, 0));
  a->set_sealing(false);
  b->set_sealing(false);
  ASSERT_TRUE(arrived(*a, *b) && arrived(*b, *a));
  EXPECT_EQ(a->dropped(protocol::DropReason::unknown_connection), 0U);
  finish({a.get(), b.get()});
  const auto ours = a->peer("bob").finished;
  const auto theirs = b->peer("alice").finished;
  EXPECT_EQ(ours.streams, 4U);
  // What was sealed was opened: then the accounts of both ends agree.
  for (const auto& [from, to, sender, receiver] :
       {std::tuple{&ours, &theirs, a.get(), b.get()}, std::tuple{&theirs, &ours, b.get(), a.get()}}) {
    if (receiver->opened() != sender->sealed()) continue;
    EXPECT_EQ(from->accounts[dataplane::pads_out].used, to->accounts[dataplane::pads_in].used);
    EXPECT_EQ(from->accounts[dataplane::tag_keys_out].used, to->accounts[dataplane::tag_keys_in].used);
  }
  EXPECT_GT(ours.accounts[dataplane::pads_out].used, 0U);
  EXPECT_FALSE(disk("alice").open().ledger().peer("bob")->open);
}

TEST_F(TwoNodes, SnapshotsAreConsistentWhileWorkersRun) {
  world.channels.connect("alice", "bob");
  auto a = alice(2);
  auto b = bob(2);
  ASSERT_TRUE(flows(*a, *b, 100));
  std::uint64_t seen = 0;
  ASSERT_TRUE(eventually([&] {
    for (const auto& connection : a->peer("bob").connections) {
      for (const dataplane::StreamReport& stream : connection.numbers.streams) {
        EXPECT_TRUE(stream.account.balanced());
        EXPECT_EQ(stream.health, SSN_KEY_HEALTH_OK);
      }
      seen = std::max(seen, connection.numbers.received_next);
    }
    return seen > 500;
  }));
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, EachPairOfWorkersHasItsConnection) {
  world.channels.connect("alice", "bob");
  auto a = alice(3);
  auto b = bob(2);
  ASSERT_TRUE(flows(*a, *b, 500));
  EXPECT_EQ(a->attached(), 2U);
  EXPECT_EQ(b->attached(), 2U);
  const auto report = a->peer("bob");
  ASSERT_EQ(report.connections.size(), 2U);
  EXPECT_NE(report.connections[0].local_id, report.connections[1].local_id);
  EXPECT_EQ(dataplane::worker_of(report.connections[1].local_id), 1U);
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, OpenSessionsOutliveTheControlChannel) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  world.channels.disconnect("alice", "bob");
  ASSERT_TRUE(flows(*a, *b, 1000));
  world.channels.connect("alice", "bob");
  ASSERT_TRUE(flows(*a, *b, 1000));
  EXPECT_EQ(a->peer("bob").epochs_entered, 1U);
  EXPECT_EQ(b->peer("alice").epochs_entered, 1U);
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, AssociatesThroughLossAndReordering) {
  world.channels.set_weather({.lost = 30, .late = 30});
  world.channels.connect("alice", "bob");
  auto a = alice(2);
  auto b = bob(2);
  ASSERT_TRUE(flows(*a, *b));
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, ConnectsLate) {
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(eventually([&] { return a->peer("bob").state == Association::State::offered; }));
  EXPECT_FALSE(a->peer("bob").connected);
  world.channels.connect("alice", "bob");
  ASSERT_TRUE(flows(*a, *b));
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, NothingIsSealedBeforeThePeerOpens) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  b->set_frozen(true);
  b->set_sealing(false);
  // Established and attached on this side; the peer's worker has not begun.
  ASSERT_TRUE(eventually([&] {
    const auto report = a->peer("bob");
    return report.connections.size() == 1 && report.connections[0].numbers.streams[0].account.fetched != 0;
  }));
  EXPECT_FALSE(a->peer("bob").connections[0].sending);
  EXPECT_EQ(a->sealed(), 0U);
  b->set_frozen(false);
  ASSERT_TRUE(flows(*b, "alice"));
  EXPECT_EQ(b->dropped(protocol::DropReason::unknown_connection), 0U);
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, WorkersThatSleepAreAskedForNews) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  a->set_frozen(true);
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  a->set_frozen(false);
  EXPECT_TRUE(eventually([&] { return a->refreshed() >= 1; }));
  finish({a.get(), b.get()});
}

// The links are cut until the sender is further than the receiver's rings reach: of pads (256 KiB, 200
// packets) and of tag keys (2048 packets).
TEST_F(TwoNodes, AReceiverThatMissedTooMuchFindsItsPlace) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  for (const std::uint64_t missed : {400U, 5000U}) {
    world.packets.set_cut(true);
    const std::uint64_t before = a->sealed();
    ASSERT_TRUE(eventually([&] { return a->sealed() > before + missed; }));
    world.packets.set_cut(false);
    ASSERT_TRUE(flows(*a, *b, 500)) << missed;
  }
  EXPECT_EQ(a->peer("bob").epochs_entered, 1U);
  ASSERT_TRUE(eventually([&] { return b->peer("alice").connections.at(0).numbers.skips >= 2; }));
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, AStopEndsThePeersSealing) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_TRUE(b->stop().ok());
  ASSERT_TRUE(eventually([&] { return a->peer("bob").connections.empty(); }));
  const std::uint64_t sealed = a->sealed();
  EXPECT_TRUE(a->saw(KeyEvent::Kind::ended));
  EXPECT_EQ(a->peer("bob").alarms, 0U);
  EXPECT_EQ(a->sealed(), sealed);
  finish({a.get()});
}

TEST_F(TwoNodes, AWorkerThatHoldsOnIsNotWaitedForForEver) {
  world.channels.connect("alice", "bob");
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(flows(*a, *b));
  a->set_deaf(true);
  const Outcome stopped = a->keys().stop(std::chrono::milliseconds(50));
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Exit::temporary);
  EXPECT_THAT(stopped.error().why, testing::HasSubstr("1 connections"));
  // The worker goes on with it, and nothing is destroyed under it; but nothing new is sealed.
  const std::uint64_t refused = a->refused();
  EXPECT_TRUE(eventually([&] { return a->refused() > refused + 100; }));
  EXPECT_TRUE(b->stop().ok());
}

TEST_F(TwoNodes, RandomBytesForEachWorker) {
  world.channels.connect("alice", "bob");
  KeyServiceConfiguration with_random = configuration("alice", {"bob"}, 2);
  with_random.peers[0].random = true;
  auto a = node(with_random);
  auto b = bob(2);
  a->set_random(true);
  ASSERT_TRUE(flows(*a, *b));
  ASSERT_TRUE(eventually([&] { return a->random_bytes() > 1'000'000; }));
  ASSERT_TRUE(eventually([&] {
    const auto report = a->peer("bob");
    if (report.connections.size() != 2) return false;
    const KeyAccount& account = report.connections[0].numbers.random.account;
    EXPECT_TRUE(account.balanced());
    return account.used > 100'000;
  }));
  EXPECT_EQ(b->peer("alice").connections[0].numbers.random.account.fetched, 0U);
  finish({a.get(), b.get()});
}

TEST_F(TwoNodes, ComputationalPacketsOnlyWhereThePolicySaysSo) {
  world.channels.connect("alice", "bob");
  KeyServiceConfiguration one = configuration("alice", {"bob"});
  one.peers[0].shortage = protocol::ShortagePolicy::aes_256_gcm;
  KeyServiceConfiguration other = configuration("bob", {"alice"});
  other.peers[0].permit_computational = true;
  auto a = node(one);
  auto b = node(other);
  ASSERT_TRUE(flows(*a, *b, 1000));
  finish({a.get(), b.get()});
}

TEST_F(KeyServiceTest, SeveralPeersAndDevices) {
  const std::vector<std::string> names{"alice", "bob", "carol", "dave"};
  std::vector<std::unique_ptr<TestNode>> nodes;
  for (const std::string& name : names) {
    std::vector<std::string> peers;
    for (const std::string& other : names) {
      if (other != name) peers.push_back(other);
      if (other < name) world.channels.connect(name, other);
    }
    KeyServiceConfiguration each = configuration(name, peers, 2);
    // Whom "alice" and "dave" share keys with they have at another key manager than the others.
    const bool special = name == "alice" || name == "dave";
    each.devices[0].peers = special ? std::vector<std::string>{"bob", "carol"} : std::vector<std::string>{};
    if (special) {
      each.devices.push_back({.driver = "memory", .peers = {}, .settings = {{"seed", "another"}}});
    }
    nodes.push_back(node(std::move(each)));
  }
  for (const auto& one : nodes) {
    for (const auto& other : nodes) {
      if (one != other) {
        EXPECT_TRUE(flows(*one, other->name())) << one->name() << other->name();
      }
    }
  }
  EXPECT_EQ(nodes[0]->peer("dave").device, 1U);
  EXPECT_EQ(nodes[0]->peer("bob").device, 0U);
  EXPECT_EQ(nodes[0]->report().devices.at(0).streams, 16U);
  for (const auto& one : nodes) finish({one.get()});
}

}  // namespace
}  // namespace ssn::dataplane_test
