// SPDX-License-Identifier: BSD-3-Clause
// Where a worker's random blocks come from while connections come and go.
#include "worker_random.h"

#include <gtest/gtest.h>

#include <array>

#include "ssn/hw/key_device.h"

namespace ssn::dataplane {
namespace {

constexpr std::uint64_t ring_bytes = std::uint64_t{64} << 10;

// A channel over a connection with a random stream of its own, which ends with it.
class Peer {
 public:
  Peer(hw::KeyDevice& device, std::uint8_t number) {
    auto random = RandomStream::open(device, ring_bytes, hw::RingMemory::Pages::normal);
    EXPECT_TRUE(random.ok());
    random_ = random.value().get();
    ConnectionTerms terms;
    terms.peer = "peer";
    terms.key_index = number;
    terms.local_id = terms.peer_id = number;
    terms.longest_range = 1344;
    terms.peer_window = 1024;
    for (std::size_t i = 0; i < connection_streams; ++i) {
      terms.ksids[i] = {number, static_cast<std::uint8_t>(i + 1)};
    }
    ConnectionLimits limits;
    limits.pad_ring_bytes = ring_bytes;
    limits.window = 1024;
    limits.pages = hw::RingMemory::Pages::normal;
    auto opened = Connection::open(device, std::move(terms), limits, *kernels::implementations().back(),
                                   std::move(random.value()));
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().why);
    if (opened.ok()) connection_ = std::move(opened.value());
    channel.connection = connection_.get();
  }
  void service() {
    for (int i = 0; i < 100; ++i) random_->service();
  }
  StorageChannel channel;

 private:
  RandomStream* random_ = nullptr;
  std::unique_ptr<Connection> connection_;
};

// A connection may end before its channel joined, and then nobody tells the role: its stream must never have
// been in use.
TEST(WorkerRandom, UsesStreamsOfThoseThatJoinedOnly) {
  auto device =
      hw::KeyDevice::open({.driver = "memory", .local_name = "us", .settings = {{"seed", "random"}}});
  ASSERT_TRUE(device.ok()) << device.error().why;
  auto random = WorkerRandom::make(true, *kernels::implementations().back());
  ASSERT_TRUE(random.ok());
  std::array<std::uint8_t, 1344> block;
  Peer first(device.value(), 1), second(device.value(), 2);
  first.service();
  second.service();
  std::array<StorageChannel*, 2> both{&first.channel, &second.channel};
  WorkerRandom& blocks = *random.value();
  EXPECT_FALSE(blocks.fill(block)) << "nobody is there";
  blocks.choose(both, nullptr);
  EXPECT_FALSE(blocks.fill(block)) << "nobody joined";
  blocks.choose(both, &first.channel);
  first.channel.joined = true;
  EXPECT_TRUE(blocks.fill(block));
  blocks.choose(std::span(both).last(1), nullptr);  // the first one left
  EXPECT_FALSE(blocks.fill(block)) << "the second one has not joined";
  second.channel.joined = true;
  blocks.choose(std::span(both).last(1), nullptr);
  EXPECT_TRUE(blocks.fill(block));
  blocks.choose({}, nullptr);
  EXPECT_FALSE(blocks.fill(block));
}

}  // namespace
}  // namespace ssn::dataplane
