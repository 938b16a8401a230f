// SPDX-License-Identifier: BSD-3-Clause
// The nodes of wire mode, at a node that is its own peer: its connection sends to itself, with the keys of
// the driver `memory`. Stream 1, (2,3), takes frames of the port "client"; shares leave over the host's links
// 10, 11 and 12.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <numeric>

#include "node_bench.h"
#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/wire.h"
#include "ssn/hw/key_device.h"
#include "ssn/protocol/wire.h"
#include "ssn/protocol/wire_block.h"

namespace ssn::dataplane::test {

using protocol::DropReason;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint32_t first_link = 10;
inline constexpr unsigned k = 2;
inline constexpr unsigned n = 3;
inline constexpr std::uint64_t ms = 1'000'000;
inline constexpr std::size_t burst_sizes[] = {0, 1, 63, 64, 65, 256, 300};

// Where the fields of a packet's header lie (docs/wire-format.md).
enum Field : std::size_t {
  version = 0,
  type = 1,
  key_index = 2,
  connection = 4,
  number = 8,
  d_offset = 16,
  object = 24,
  block_low = 32,
  attempt = 40,
  share = 42,
  flags = 43,
  reserved = 44,
};

template <typename Integer>
void put(Packet& packet, Field field, Integer value) {
  protocol::store_big(data_of(packet) + field, value);
}
template <typename Integer>
Integer get(Packet& packet, Field field) {
  return protocol::load_big<Integer>(data_of(packet) + field);
}
inline unsigned share_of(Packet& packet) { return data_of(packet)[share]; }
inline std::uint32_t block_of(Packet& packet) { return get<std::uint32_t>(packet, block_low); }

struct WireOptions {
  std::string stream{};  ///< more lines of [[stream]]
  hw::OffloadDevice::Options device{.driver = "cpu"};
  bool connected = true;
  bool permitted = true;
};

class WireNodes : public NodeBench {
 protected:
  explicit WireNodes(unsigned workers = 1) : NodeBench(workers), workers_(workers) {}

  void open(const WireOptions& options = {}) {
    Result<Configuration> read = Configuration::parse(text(options), "test.toml");
    ASSERT_TRUE(read.ok()) << read.error().what << ": " << read.error().why;
    configuration_ = std::move(read.value());
    const kernels::Implementation* implementation = nullptr;
    ASSERT_EQ(kernels::select(implementation), kernels::Status::ok);
    Result<hw::OffloadDevice> device = hw::OffloadDevice::open(options.device);
    ASSERT_TRUE(device.ok()) << device.error().why;
    device_ = std::move(device.value());
    WireMode::Setup setup;
    setup.configuration = &configuration_;
    setup.workers = workers_;
    setup.implementation = implementation;
    setup.device = &device_;
    setup.host_link = [](const std::string&, std::size_t link) {
      return first_link + static_cast<std::uint32_t>(link);
    };
    setup.pool = [this](const std::string&) { return &pool(); };
    setup.link_output = [](GraphBuilder& graph) { return graph.drop("links"); };
    setup.connect_udp = [](GraphBuilder&, NodeHandle) -> Outcome { return done; };
    Result<std::unique_ptr<WireMode>> wire = WireMode::make(std::move(setup));
    ASSERT_TRUE(wire.ok()) << wire.error().why;
    wire_ = std::move(wire.value());
    build({[this](GraphBuilder& graph) { return wire_->build(graph); }});
    for (unsigned i = 0; i < workers_; ++i) {
      hold("wire_send-1", i);
      hold("wire_unpack-1", i);
    }
    if (options.connected) connect(*implementation, options.permitted);
    for (int i = 0; i < 4; ++i) {
      advance(ms);
      walk();
    }
  }

  void TearDown() override {
    if (HasFatalFailure() && wire_ == nullptr) return NodeBench::TearDown();
    disconnect();
    forget();
    unbuild();
    wire_.reset();
    connection_.reset();
    NodeBench::TearDown();
  }

  void disconnect() {
    if (connection_ == nullptr || connection_->worker_data == nullptr || detached_) return;
    detached_ = true;
    ASSERT_TRUE(wire_->detach(*connection_));
    run_commands();
    // Jobs that a device has are waited for.
    EXPECT_TRUE(eventually([&] {
      advance(ms);
      walk();
      return connection_->has_let_go();
    }));
    wire_->reap();
  }

  template <typename Condition>
  bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      ::usleep(100);
    }
    return true;
  }

  // ---- Frames and shares.
  static Bytes frame_bytes(std::uint32_t number, std::size_t bytes) {
    Bytes frame(bytes);
    std::iota(frame.begin(), frame.end(), static_cast<std::uint8_t>(number * 31));
    if (bytes >= 14) frame[12] = 0x08, frame[13] = 0x00;
    return frame;
  }
  std::vector<Packet*> frames(const std::vector<Bytes>& all) {
    std::vector<Packet*> packets;
    for (const Bytes& each : all) packets.push_back(packet(each));
    return packets;
  }
  /// `count` frames of many lengths.
  static std::vector<Bytes> contents(std::size_t count, std::size_t longest = 1514) {
    std::vector<Bytes> all;
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(frame_bytes(i, 1 + (i * 397 + 60) % longest));
    return all;
  }
  /// Their shares, in the order in which they leave.
  std::vector<Packet*> sent_for(const std::vector<Bytes>& all) {
    feed("wire_pack-1", frames(all));
    walk_on();
    return take("wire_send-1", "link");
  }
  /// The same block by block, in each share by share.
  std::vector<Packet*> shares_of(const std::vector<Bytes>& all) {
    std::vector<Packet*> shares = sent_for(all);
    std::sort(shares.begin(), shares.end(), [](Packet* one, Packet* other) {
      return std::pair(block_of(*one), share_of(*one)) < std::pair(block_of(*other), share_of(*other));
    });
    return shares;
  }
  /// As the worker does while there is work: no time passes.
  void walk_on() {
    for (int i = 0; i < 8; ++i) walk();
  }
  /// As many blocks of one frame each.
  std::vector<Packet*> shares_of_blocks(std::size_t blocks) {
    std::vector<Packet*> shares;
    for (std::uint32_t i = 0; i < blocks; ++i) {
      for (Packet* const each : shares_of({frame_bytes(i, 300)})) shares.push_back(each);
    }
    EXPECT_EQ(shares.size(), n * blocks);
    return shares;
  }
  void release_all(const std::vector<Packet*>& packets) {
    for (Packet* const each : packets) release(*each);
  }
  std::vector<Bytes> delivered() {
    std::vector<Bytes> all;
    for (const Left& each : left("wire_unpack-1", "port")) all.push_back(each.bytes);
    return all;
  }
  /// Numbers of the worker are shown every 5 ms.
  std::uint64_t shown(const std::string& name) {
    advance(6 * ms);
    walk();
    return counter(name);
  }

  std::unique_ptr<Connection> connection_;

 private:
  static std::string text(const WireOptions& options) {
    std::string all = machine_text() + "[[key_device]]\ndriver = \"memory\"\n[[peer]]\nname = \"peer-b\"\n";
    const char* const ports[] = {"one", "two", "three"};
    for (int i = 0; i < 3; ++i) {
      const std::string network = "\"10.0." + std::to_string(i + 1);
      all += "[[peer.link]]\nport = \"" + std::string(ports[i]) + "\"\nlocal = " + network +
             ".1\"\nremote = " + network + ".2\"\n";
    }
    return all +
           "[[stream]]\nid = 1\nport = \"client\"\npeer = \"peer-b\"\nscheme = \"systematic\"\nk = 2\nn = 3\n"
           "cell = \"1344 B\"\nrandom = \"drbg\"\nshortage = \"wait\"\n" +
           options.stream;
  }

  void connect(const kernels::Implementation& implementation, bool permitted) {
    Result<hw::KeyDevice> keys =
        hw::KeyDevice::open({.driver = "memory", .local_name = "peer-b", .settings = {{"seed", "nodes"}}});
    ASSERT_TRUE(keys.ok()) << keys.error().why;
    keys_ = std::move(keys.value());
    ConnectionLimits limits;
    limits.pad_ring_bytes = std::uint64_t{4} << 20;
    limits.pages = hw::RingMemory::Pages::normal;
    ConnectionTerms terms;
    terms.peer = "peer-b";
    terms.epoch = terms.key_index = 1;
    terms.local_id = terms.peer_id = make_connection_id(0, 0, 4404);
    terms.longest_range = static_cast<std::uint32_t>(limits.pad_ring_bytes / 4);
    terms.peer_window = limits.window;
    terms.ksids[pads_out][0] = terms.ksids[pads_in][0] = 1;
    terms.ksids[tag_keys_out][0] = terms.ksids[tag_keys_in][0] = 2;
    terms.shortage = protocol::ShortagePolicy::wait;
    Result<std::unique_ptr<Connection>> opened = Connection::open(keys_, terms, limits, implementation);
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    connection_ = std::move(opened.value());
    for (std::size_t i = 0; i < connection_streams; ++i) {
      connection_->marks(i).grant(std::uint64_t{1} << 62);
    }
    ASSERT_TRUE(wire_->attach(*connection_)) << wire_->trouble();
    run_commands();
    if (permitted) connection_->permit_sending();
  }

  const unsigned workers_;
  Configuration configuration_;
  hw::OffloadDevice device_;
  hw::KeyDevice keys_;
  std::unique_ptr<WireMode> wire_;
  bool detached_ = false;
};

}  // namespace ssn::dataplane::test
