// SPDX-License-Identifier: BSD-3-Clause
// The driver "memory".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ssn/hw/key_device.h"

namespace ssn::hw {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t ring_bytes = 65536;
const Ksid ksid{9, 8, 7};

KeyDevice open_memory(const std::string& local, const std::string& seed = "a seed") {
  Result<KeyDevice> device =
      KeyDevice::open({.driver = "memory", .local_name = local, .settings = {{"seed", seed}}});
  EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().why);
  return std::move(device.value());
}

KeyStream open_end(KeyDevice& device, ssn_key_role role, const std::string& peer, const Ksid& id = ksid) {
  Result<KeyStream> stream = device.open_stream(role, id, peer, ring_bytes);
  EXPECT_TRUE(stream.ok()) << (stream.ok() ? "" : stream.error().why);
  return std::move(stream.value());
}

// The first `length` bytes, given back in pieces of `step`.
Bytes read(KeyStream& stream, std::size_t length, std::size_t step) {
  Bytes bytes;
  while (bytes.size() < length) {
    const std::uint64_t from = bytes.size();
    const std::uint64_t piece = std::min(step, length - bytes.size());
    while (stream.end() < from + piece) {
      if (stream.poll() != SSN_OK) {
        ADD_FAILURE() << "the stream gives no more at " << stream.end();
        return bytes;
      }
    }
    const std::uint8_t* const at = stream.at(from, piece);
    bytes.insert(bytes.end(), at, at + piece);
    stream.erase_and_release(from + piece);
  }
  return bytes;
}

TEST(MemoryDriver, GivesBothEndsTheSameBytes) {
  KeyDevice alice = open_memory("alice");
  KeyDevice bob = open_memory("bob");
  KeyStream sender = open_end(alice, SSN_KEY_SENDER, "bob");
  KeyStream receiver = open_end(bob, SSN_KEY_RECEIVER, "alice");
  const Bytes sent = read(sender, 1 << 20, 1344);
  EXPECT_EQ(sent, read(receiver, 1 << 20, 5000));
  EXPECT_GT(std::count_if(sent.begin(), sent.end(), [](std::uint8_t byte) { return byte != 0; }), 1'000'000);
}

TEST(MemoryDriver, GivesEveryStreamItsOwnBytes) {
  KeyDevice alice = open_memory("alice");
  KeyDevice bob = open_memory("bob");
  KeyDevice other_seed = open_memory("alice", "another seed");
  std::vector<Bytes> all;
  const auto add = [&](KeyStream stream) { all.push_back(read(stream, 64, 64)); };
  add(open_end(alice, SSN_KEY_SENDER, "bob"));
  add(open_end(bob, SSN_KEY_SENDER, "alice"));
  add(open_end(alice, SSN_KEY_SENDER, "carol"));
  add(open_end(alice, SSN_KEY_SENDER, "bob", Ksid{9, 8, 6}));
  add(open_end(other_seed, SSN_KEY_SENDER, "bob"));
  for (int i = 0; i < 2; ++i) {
    Result<KeyStream> random = alice.open_random(ring_bytes);
    ASSERT_TRUE(random.ok()) << random.error().why;
    add(std::move(random.value()));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(all[i], all[j]) << i << " and " << j;
    }
  }
}

TEST(MemoryDriver, WaitsForRoom) {
  KeyDevice alice = open_memory("alice");
  KeyStream stream = open_end(alice, SSN_KEY_SENDER, "bob");
  while (stream.poll() == SSN_OK) {
  }
  EXPECT_EQ(stream.end(), ring_bytes);
  const Bytes last(stream.at(ring_bytes - 16, 16), stream.at(ring_bytes - 16, 16) + 16);
  stream.erase_and_release(17);  // not a whole number of blocks
  EXPECT_EQ(stream.poll(), SSN_OK);
  EXPECT_EQ(stream.end(), ring_bytes + 16);
  EXPECT_EQ(Bytes(stream.at(ring_bytes - 16, 16), stream.at(ring_bytes - 16, 16) + 16), last);
}

TEST(MemoryDriver, SaysThatItIsInsecure) {
  KeyDevice device = open_memory("alice");
  EXPECT_EQ(device.info().protection, SSN_PROTECTION_EMULATED);
  EXPECT_THAT(std::string(device.info().identity), testing::HasSubstr("INSECURE"));
}

TEST(MemoryDriver, WantsASeedAndNothingElse) {
  const auto why = [](std::vector<std::pair<std::string, std::string>> settings) {
    const Result<KeyDevice> device =
        KeyDevice::open({.driver = "memory", .local_name = "alice", .settings = std::move(settings)});
    EXPECT_FALSE(device.ok());
    return device.ok() ? "" : device.error().why + " " + device.error().where;
  };
  EXPECT_EQ(why({}), "it must be given setting seed");
  EXPECT_EQ(why({{"seed", ""}}), "it must be given setting seed");
  EXPECT_EQ(why({{"seed", "1"}, {"seed", "2"}}), "it is given twice setting seed");
  EXPECT_EQ(why({{"seed", "1"}, {"sead", "2"}}), "this driver has no such setting setting sead");
  EXPECT_EQ(why({{"seed", std::string(1025, '1')}}), "the seed is longer than 1024 bytes setting seed");
}

}  // namespace
}  // namespace ssn::hw
