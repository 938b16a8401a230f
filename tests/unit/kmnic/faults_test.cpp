// SPDX-License-Identifier: BSD-3-Clause
// Every error state that docs/kmnic.md names, end to end.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"

namespace ssn::kmnic_test {
namespace {

using testing::HasSubstr;

class RedeliveryTest : public KmnicTest, public testing::WithParamInterface<FaultKind> {};

TEST_P(RedeliveryTest, MendsWhatIsWrongWithABlock) {
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({GetParam(), 3});
  ASSERT_TRUE(consume_until(sender, 3 << 20));
  EXPECT_GE(sender.statistics().redelivered_blocks, 1U);
  // The model counts behind its work.
  EXPECT_TRUE(eventually([&] {
    const kme::DeviceModel::Statistics statistics = model_.statistics();
    return statistics.faults == 3 && statistics.redelivered_blocks == sender.statistics().redelivered_blocks;
  })) << model_.statistics().faults
      << " faults, " << model_.statistics().redelivered_blocks << " blocks sent again, "
      << sender.statistics().redelivered_blocks << " asked for";
  EXPECT_EQ(sender.health(), SSN_KEY_HEALTH_OK);
}

TEST_P(RedeliveryTest, GivesUpABlockThatStaysWrong) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"stall_ms", "40"}});
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({GetParam(), 1'000'000});
  EXPECT_FALSE(consume_until(sender, 30 << 20));  // what is delivered until then is right
  EXPECT_EQ(sender.health(), SSN_KEY_HEALTH_FAILED);
  EXPECT_EQ(sender.poll(), SSN_FAILED);
  EXPECT_EQ(sender.statistics().redelivered_blocks, 8U);
  model_.heal();
  sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

INSTANTIATE_TEST_SUITE_P(Kinds, RedeliveryTest,
                         testing::Values(FaultKind::corrupt_block, FaultKind::corrupt_descriptor,
                                         FaultKind::wrong_sequence, FaultKind::wrong_ksid,
                                         FaultKind::wrong_offset, FaultKind::wrong_length,
                                         FaultKind::drop_block, FaultKind::repeat_block),
                         [](const auto& each) { return std::string(kme::name(each.param)); });

TEST_F(KmnicTest, WaitsForADeviceThatStalls) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"stall_ms", "100"}});
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({FaultKind::stall, 1, std::chrono::hours(1)});
  EXPECT_TRUE(eventually([&] {
    sender.erase_and_release(sender.end());
    (void)sender.poll();
    return sender.health() == SSN_KEY_HEALTH_STALLED;
  }));
  EXPECT_EQ(sender.statistics().stalled, 1U);
  model_.heal();
  EXPECT_TRUE(consume_until(sender, sender.released() + (1 << 20)));
  EXPECT_EQ(sender.health(), SSN_KEY_HEALTH_OK);
}

TEST_F(KmnicTest, GivesUpADeviceThatStaysStalled) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"stall_ms", "50"}, {"give_up_ms", "150"}, {"timeout_ms", "1000"}});
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({FaultKind::stall, 1, std::chrono::hours(1)});
  EXPECT_TRUE(eventually([&] {
    sender.erase_and_release(sender.end());
    return sender.poll() == SSN_FAILED;
  }));
  sender.close();  // returns although nobody answers
  EXPECT_FALSE(try_device("carol", {{"timeout_ms", "100"}}).ok());
  model_.heal();
  sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

TEST_F(KmnicTest, TellsStarvationFromAStall) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"stall_ms", "60"}, {"give_up_ms", "200"}});
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({FaultKind::starve, 1, std::chrono::hours(1)});
  EXPECT_TRUE(eventually([&] {
    sender.erase_and_release(sender.end());
    (void)sender.poll();
    return sender.health() == SSN_KEY_HEALTH_STARVED;
  }));
  for (const Clock::time_point end = Clock::now() + milliseconds(400); Clock::now() < end;) {
    ASSERT_EQ(sender.poll(), SSN_AGAIN);
    ASSERT_EQ(sender.health(), SSN_KEY_HEALTH_STARVED);
    std::this_thread::sleep_for(milliseconds(1));
  }
  model_.heal();
  EXPECT_TRUE(consume_until(sender, sender.released() + (1 << 20)));
  EXPECT_GE(sender.statistics().starved, 1U);  // a slow machine may be short of keys at other times too
}

TEST_F(KmnicTest, UsesUpWhatCameBeforeTheKeyManagerEndedTheStream) {
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(eventually([&] { return model_.statistics().delivered_bytes == ring_bytes; }));
  model_.inject({FaultKind::end_streams});
  ASSERT_TRUE(eventually([&] { return model_.statistics().faults == 1; }));
  EXPECT_TRUE(fails(sender));
  EXPECT_EQ(sender.end(), ring_bytes);
  EXPECT_TRUE(right(sender, 0, ring_bytes));
}

TEST_F(KmnicTest, EndsWithItsSource) {
  valve_->limit = 64'000;
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  valve_->alive = false;
  EXPECT_TRUE(fails(sender));
  EXPECT_EQ(sender.end(), 64'000U);
}

class RevivalTest : public KmnicTest, public testing::WithParamInterface<FaultKind> {};

TEST_P(RevivalTest, FailsStreamsAndOpensNewOnes) {
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  hw::KeyStream other = stream(alice, SSN_KEY_RECEIVER, "carol");
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({GetParam()});
  EXPECT_TRUE(fails(sender));
  EXPECT_TRUE(right(sender, sender.released(), sender.end() - sender.released()));
  EXPECT_TRUE(fails(other));
  hw::KeyStream fresh = stream_again(alice);
  EXPECT_TRUE(consume_until(fresh, 1 << 20));
  sender.close();
  other.close();
  EXPECT_TRUE(consume_until(fresh, 2 << 20));
  EXPECT_TRUE(eventually([&] { return valve_->open == 1; }));
}

INSTANTIATE_TEST_SUITE_P(Kinds, RevivalTest,
                         testing::Values(FaultKind::reset, FaultKind::fatal, FaultKind::vanish),
                         [](const auto& each) { return std::string(kme::name(each.param)); });

TEST_F(KmnicTest, SurvivesTheEndOfTheModel) {
  start_model();
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.stop();
  EXPECT_TRUE(fails(sender));
  const Result<hw::KeyStream> next = alice.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes);
  ASSERT_FALSE(next.ok());
  // Until the driver has found out that nobody is there, its calls fail on the way.
  EXPECT_TRUE(next.error().code == Exit::not_found || next.error().code == Exit::temporary)
      << next.error().what;
  start_model();
  Result<hw::KeyStream> again = alice.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes);
  EXPECT_TRUE(eventually([&] {
    if (!again.ok()) again = alice.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes);
    return again.ok();
  }));
  ASSERT_TRUE(again.ok()) << again.error().why;
  EXPECT_TRUE(consume_until(again.value(), 1 << 20));
}

#if !defined(__SANITIZE_THREAD__)
TEST_F(KmnicTest, SurvivesTheKillingOfTheModel) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    DeviceModel::Options options;
    options.socket_path = socket();
    options.provider = std::make_shared<TestProvider>();
    Result<DeviceModel> model = DeviceModel::start(options);
    (void)!::write(ready[1], model.ok() ? "1" : "0", 1);
    ::pause();
    ::_exit(0);
  }
  char started = '0';
  ASSERT_EQ(::read(ready[0], &started, 1), 1);
  ASSERT_EQ(started, '1');
  hw::KeyDevice alice = device();
  hw::KeyStream sender = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fails(sender));
  EXPECT_TRUE(right(sender, sender.released(), sender.end() - sender.released()));
  start_model();  // replaces the stale socket
  sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
  ::close(ready[0]);
  ::close(ready[1]);
}
#endif

TEST_F(KmnicTest, ReportsARefusedOpening) {
  start_model();
  hw::KeyDevice alice = device();
  model_.inject({FaultKind::refuse_open, 1});
  Result<hw::KeyStream> refused = alice.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().why, HasSubstr("no room"));
  hw::KeyStream sender = stream(alice);
  EXPECT_TRUE(consume_until(sender, 1 << 20));
}

TEST_F(KmnicTest, ClosesAStreamThatTheDeviceDoesNotLetGo) {
  start_model();
  hw::KeyDevice alice = device("alice", {{"timeout_ms", "2000"}});
  hw::KeyStream sender = stream(alice);
  hw::KeyStream other = stream(alice);
  ASSERT_TRUE(consume_until(sender, 300'000));
  model_.inject({FaultKind::ignore_close, 1});
  sender.close();
  EXPECT_EQ(valve_->open, 1);  // the device has lost the memory, and the stream with it
  EXPECT_TRUE(consume_until(other, 1 << 20));
  hw::KeyStream next = stream(alice);
  EXPECT_TRUE(consume_until(next, 1 << 20));
}

TEST(FaultNames, GoBothWays) {
  for (int i = 0; i <= static_cast<int>(FaultKind::vanish); ++i) {
    const auto kind = static_cast<FaultKind>(i);
    EXPECT_EQ(kme::fault_kind(kme::name(kind)), kind);
  }
  EXPECT_FALSE(kme::fault_kind("boredom").has_value());
}

}  // namespace
}  // namespace ssn::kmnic_test
