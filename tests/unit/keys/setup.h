// SPDX-License-Identifier: BSD-3-Clause
// Two or more nodes with `memory` key devices, whose key services talk over a channel network.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "test_disk.h"
#include "test_node.h"

namespace ssn::dataplane_test {

using protocol::Association;

class KeyServiceTest : public testing::Test {
 protected:
  KeyServiceTest() : world(test::TestRandom::labelled("key service").next()) {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~KeyServiceTest() override { std::filesystem::remove_all(folder_); }

  /// Small rings, so that ordinary users may lock them, and short waits.
  static KeyServiceConfiguration configuration(const std::string& node, const std::vector<std::string>& peers,
                                               std::uint16_t workers = 1) {
    KeyServiceConfiguration out;
    out.node = node;
    out.file = node + ".toml";
    out.workers = workers;
    for (const std::string& peer : peers) out.peers.push_back({.name = peer});
    out.devices.push_back({.driver = "memory", .peers = {}, .settings = {{"seed", "key service test"}}});
    out.limits.pad_ring_bytes = std::size_t{256} << 10;
    out.limits.window = 512;
    out.limits.pages = hw::RingMemory::Pages::normal;
    out.random_ring_bytes = std::size_t{64} << 10;
    out.back_off_least = std::chrono::milliseconds(10);
    out.back_off_most = std::chrono::milliseconds(200);
    out.retry = std::chrono::milliseconds(30);
    return out;
  }

  std::unique_ptr<TestNode> node(KeyServiceConfiguration changed) {
    ledger::FileLedger ledger = disk(changed.node).open(changed.ledger_extent);
    return std::make_unique<TestNode>(world, std::move(changed), std::move(ledger));
  }
  TestDisk& disk(const std::string& node) {
    std::unique_ptr<TestDisk>& disk = disks_[node];
    if (!disk) disk = std::make_unique<TestDisk>(node);
    return *disk;
  }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

  /// `node` opens at least so many packets of `peer` from now on.
  static bool flows(TestNode& node, const std::string& peer, std::uint64_t packets = 50) {
    const std::uint64_t before = node.opened_from(peer);
    return eventually([&] { return node.opened_from(peer) >= before + packets; });
  }
  static bool flows(TestNode& a, TestNode& b, std::uint64_t packets = 50) {
    return flows(a, b.name(), packets) && flows(b, a.name(), packets);
  }
  /// Everything that `from` has sealed has come to `to`.
  static bool arrived(const TestNode& from, const TestNode& to) {
    return eventually([&] { return to.opened() + to.dropped() >= from.sealed(); });
  }
  /// Every stream that is over: fetched = used + kept + discarded, and nothing is left.
  static void expect_balanced(const KeyReport& report) {
    for (const dataplane::PeerKeyReport& peer : report.peers) {
      EXPECT_TRUE(peer.connections.empty());
      for (const protocol::KeyAccount& account : peer.finished.accounts) {
        EXPECT_TRUE(account.balanced()) << report.node << " and " << peer.name;
        EXPECT_EQ(account.left, 0U);
        EXPECT_EQ(account.kept, 0U);
      }
    }
  }
  /// Both stop, nothing was wrong, and all keys are accounted for.
  static void finish(std::initializer_list<TestNode*> nodes) {
    for (TestNode* const node : nodes) {
      const Outcome stopped = node->stop();
      EXPECT_TRUE(stopped.ok()) << stopped.error().why;
      EXPECT_EQ(node->wrong(), 0U);
      expect_balanced(node->report());
    }
  }

  World world;

 private:
  std::string folder_ = (std::filesystem::temp_directory_path() / "ssn-keys-XXXXXX").string();
  std::map<std::string, std::unique_ptr<TestDisk>> disks_;
};

/// Two nodes, "alice" and "bob".
class TwoNodes : public KeyServiceTest {
 protected:
  std::unique_ptr<TestNode> alice(std::uint16_t workers = 1) {
    return node(configuration("alice", {"bob"}, workers));
  }
  std::unique_ptr<TestNode> bob(std::uint16_t workers = 1) {
    return node(configuration("bob", {"alice"}, workers));
  }
};

}  // namespace ssn::dataplane_test
