// SPDX-License-Identifier: BSD-3-Clause
// Driver and device model when nothing is wrong.
#include <sys/resource.h>

#include <ctime>

#include "setup.h"

namespace ssn::kmnic_test {
namespace {

using testing::HasSubstr;

TEST_F(KmnicTest, DeliversTheSameBytesToBothEnds) {
  start_model();
  hw::KeyDevice alice = device("alice");
  hw::KeyDevice bob = device("bob");
  const hw::Ksid ksid = fresh_ksid();
  hw::KeyStream sender = stream(alice, SSN_KEY_SENDER, "bob", ksid);
  hw::KeyStream receiver = stream(bob, SSN_KEY_RECEIVER, "alice", ksid);
  EXPECT_TRUE(consume_until(sender, 3 << 20));
  EXPECT_TRUE(consume_until(receiver, 3 << 20, 5000));
  EXPECT_EQ(sender.health(), SSN_KEY_HEALTH_OK);
  const ssn_key_stream_statistics statistics = sender.statistics();
  EXPECT_EQ(statistics.delivered, sender.end());
  EXPECT_EQ(statistics.redelivered_blocks, 0U);
}

TEST_F(KmnicTest, SaysThatItIsAnEmulator) {
  start_model();
  const hw::KeyDevice alice = device();
  const ssn_key_device_info info = alice.info();
  EXPECT_EQ(info.protection, SSN_PROTECTION_EMULATED);
  EXPECT_THAT(std::string(info.identity), HasSubstr("EMULATOR"));
  EXPECT_TRUE(info.delivers_random);
  EXPECT_EQ(info.streams_max, 64U);
  EXPECT_EQ(alice.driver_name(), "kmnic");
}

TEST_F(KmnicTest, ServesManyStreamsOfEverySize) {
  start_model();
  hw::KeyDevice alice = device("alice");
  hw::KeyDevice carol = device("carol");
  std::vector<hw::KeyStream> streams;
  for (int i = 0; i < 10; ++i) {
    const std::size_t bytes = std::size_t{4096} << (i % 10);
    streams.push_back(stream(i % 2 != 0 ? alice : carol, SSN_KEY_SENDER, "bob", fresh_ksid(), bytes));
  }
  for (std::uint64_t end = 50'000; end <= 500'000; end += 50'000) {
    for (hw::KeyStream& each : streams) {
      ASSERT_TRUE(consume_until(each, end, 999));
    }
  }
  Result<hw::KeyStream> random = alice.open_random(ring_bytes);
  ASSERT_TRUE(random.ok()) << random.error().why;
  EXPECT_TRUE(eventually([&] { return random.value().poll() == SSN_OK; }));
  EXPECT_TRUE(eventually([&] { return model_.statistics().streams == 11; }));
  streams.clear();
  EXPECT_TRUE(eventually([&] { return model_.statistics().streams == 1; }));
  random.value().close();
  EXPECT_TRUE(eventually([&] { return valve_->open == 0; }));
}

TEST_F(KmnicTest, FillsTheRingAndNoMore) {
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(eventually([&] {
    (void)sender.poll();
    return sender.end() == ring_bytes;
  }));
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(sender.poll(), SSN_AGAIN);
  EXPECT_EQ(sender.end(), ring_bytes);
  EXPECT_TRUE(right(sender, 0, ring_bytes));
  sender.erase_and_release(100'000);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

TEST_F(KmnicTest, DeliversTheLittleThatThereIs) {
  valve_->limit = 100;
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(eventually([&] {
    (void)sender.poll();
    return sender.health() == SSN_KEY_HEALTH_STARVED;
  }));
  EXPECT_EQ(sender.end(), 64U);  // whole multiples of 64 bytes
  EXPECT_EQ(sender.statistics().starved, 1U);
  EXPECT_EQ(sender.statistics().level, 0U);
  valve_->limit = 1000;
  EXPECT_TRUE(consume_until(sender, 960));
  EXPECT_EQ(sender.health(), SSN_KEY_HEALTH_OK);
  valve_->limit = UINT64_MAX;
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

TEST_F(KmnicTest, TakesSmallBlocks) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"block_bytes", "4096"}});
  hw::KeyStream sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 2 << 20));
}

TEST_F(KmnicTest, ExplainsWhatCannotBeOpened) {
  Result<hw::KeyDevice> absent = try_device();
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, Exit::not_found);
  start_model("alice");
  hw::KeyDevice alice = device();
  const auto expect = [&](const char* peer, const hw::Ksid& ksid, Exit code, const char* why) {
    const Result<hw::KeyStream> stream = alice.open_stream(SSN_KEY_SENDER, ksid, peer, ring_bytes);
    ASSERT_FALSE(stream.ok());
    EXPECT_EQ(stream.error().code, code);
    EXPECT_THAT(stream.error().why, HasSubstr(why));
    EXPECT_FALSE(stream.error().fix.empty());
  };
  expect("nobody", fresh_ksid(), Exit::not_found, "no link");
  expect("busy", fresh_ksid(), Exit::temporary, "lost its key manager");
  const hw::Ksid used = fresh_ksid();
  stream(alice, SSN_KEY_SENDER, "bob", used).close();
  expect("bob", used, Exit::refused, "used before");
  hw::KeyDevice impostor = device("mallory");
  EXPECT_EQ(impostor.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes).error().code,
            Exit::refused);
  EXPECT_EQ(valve_->open, 0);
}

TEST_F(KmnicTest, ChecksItsSettings) {
  start_model();
  const auto why = [&](Settings settings) {
    const Result<hw::KeyDevice> device = try_device("alice", std::move(settings));
    return device.ok() ? std::string("opened") : device.error().why;
  };
  EXPECT_THAT(why({{"stall_ms", "1"}}), HasSubstr("20 to 3600000"));
  EXPECT_THAT(why({{"give_up_ms", "500"}}), HasSubstr("less than stall_ms"));
  EXPECT_THAT(why({{"block_bytes", "many"}}), HasSubstr("not a number"));
  EXPECT_THAT(why({{"bar", "/dev/null"}}), HasSubstr("both"));
  EXPECT_THAT(why({{"colour", "red"}}), HasSubstr("no such setting"));
}

TEST_F(KmnicTest, RefusesASocketThatIsServed) {
  start_model();
  DeviceModel::Options options;
  options.socket_path = socket();
  options.provider = std::make_shared<TestProvider>();
  const Result<DeviceModel> second = DeviceModel::start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().why, HasSubstr("another device model"));
  (void)device();  // the first still serves
}

std::uint64_t cpu_microseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

TEST_F(KmnicTest, CostsNothingWhileThereIsNothingToDo) {
  start_model();
  hw::KeyDevice alice = device();
  {
    const std::uint64_t before = cpu_microseconds();
    std::this_thread::sleep_for(milliseconds(300));
    EXPECT_LT(cpu_microseconds() - before, 10'000U) << "a connection without streams";
  }
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(eventually([&] {
    (void)sender.poll();
    return sender.end() == ring_bytes;
  }));
  std::this_thread::sleep_for(milliseconds(50));
  const std::uint64_t before = cpu_microseconds();
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_LT(cpu_microseconds() - before, 60'000U) << "a stream whose ring is full";
}

}  // namespace
}  // namespace ssn::kmnic_test
