// SPDX-License-Identifier: BSD-3-Clause
// What one peer can take of a holder, whatever it does, and what is left when it goes.
#include <gtest/gtest.h>

#include "holder_world.h"

namespace ssn::roles {
namespace {

using namespace protocol;
using test::HolderWorld;
using test::HolderWorldOptions;
using test::one_ms;
using test::one_s;
using test::one_us;
using test::TestSsa;

HolderWorldOptions small() {
  HolderWorldOptions options;
  options.store.store = test::small_options();
  options.holder.peers = 4;
  options.holder.cells = 128;
  options.holder.partial_puts = 2;
  options.holder.queued_reads = 4;
  options.holder.stripe_reads = 2;
  options.holder.sent_cells = 96;
  options.holder.queued_answers = 8;
  options.channel.sender.initial_credit = 64;
  return options;
}

class HolderLimits : public testing::Test {
 protected:
  void start(const HolderWorldOptions& options, std::size_t peers) {
    world_ = std::make_unique<HolderWorld>(options, test::test_seed());
    for (std::size_t i = 0; i < peers; ++i) ASSERT_TRUE(world_->connect());
  }
  bool run(const std::function<bool()>& done, std::uint64_t limit_ns = 20 * one_s) {
    return world_->run(limit_ns, [&] {
      most_packets_ = std::max(most_packets_, world_->pool.out());
      return done();
    });
  }
  // Cells that are the channels': answers, acknowledgements that were not yet taken.
  static constexpr std::size_t channels = 4 * 64;
  std::unique_ptr<HolderWorld> world_;
  std::size_t most_packets_ = 0;
};

// A store that does nothing, then a slow one. Honest peers never send what there is no room for.
TEST_F(HolderLimits, OffersNoMoreCreditThanThereIsRoom) {
  HolderWorldOptions options = small();
  options.link.loss_percent = 2;
  options.link.mix_percent = 30;
  options.store.most_delay_ns = 5 * one_ms;
  start(options, 3);
  world_->store.stall(true);
  for (std::size_t i = 0; i < 3; ++i) world_->ssa(i).fill({10 + i, 1, 1}, 700);
  EXPECT_FALSE(run([] { return false; }, 300 * one_ms));
  for (const auto& each : world_->connections) EXPECT_EQ(world_->holder->credit(each->peer), 0U);
  EXPECT_EQ(world_->wrong(), "");
  world_->store.stall(false);
  ASSERT_TRUE(run([&] {
    return world_->ssa(0).all_stored() && world_->ssa(1).all_stored() && world_->ssa(2).all_stored();
  })) << world_->wrong();
  EXPECT_EQ(world_->holder->counters().over_credit, 0U);
  EXPECT_LE(most_packets_, 3 * (options.holder.cells + std::size_t{64}) + channels);
  EXPECT_LE(world_->store.most_outstanding(), Holder::requests(options.holder));
  EXPECT_EQ(world_->wrong(), "");
}

// One cell at a time, so that each could be a request of its own.
TEST_F(HolderLimits, HasRoomForCellsThatComeOneByOne) {
  HolderWorldOptions options = small();
  options.store.most_delay_ns = 20 * one_ms;
  start(options, 1);
  std::uint32_t next = 0;
  ASSERT_TRUE(run([&] {
    if (next < 2000 && world_->ssa().settled()) world_->ssa().put({5, 1, 1}, 0, next++);
    return next == 2000 && world_->ssa().all_stored();
  })) << world_->wrong();
  EXPECT_EQ(world_->holder->counters().over_credit, 0U);
  EXPECT_LE(world_->store.most_outstanding(),
            options.holder.cells / 64 + options.holder.partial_puts + std::size_t{1});
}

TEST_F(HolderLimits, GivesAFloodingPeerItsPartOnly) {
  HolderWorldOptions options = small();
  options.store.most_delay_ns = 2 * one_ms;
  start(options, 2);
  TestSsa& flood = world_->ssa(0);
  flood.honest = false;
  flood.again = true;
  flood.deadline_ns = 100 * one_ms;
  flood.fill({10, 1, 1}, 1000);
  TestSsa& honest = world_->ssa(1);
  honest.fill({11, 1, 1}, 500);
  const std::uint64_t start_ns = world_->now_ns;
  ASSERT_TRUE(run([&] { return honest.all_stored(); })) << world_->wrong();
  EXPECT_LT(world_->now_ns - start_ns, one_s);
  EXPECT_GT(world_->holder->counters().over_credit, 0U);
  EXPECT_LE(most_packets_, 2 * (options.holder.cells + std::size_t{64}) + channels);
  // Nothing of the flood was told that is not there (asked at each step), and all of it arrives in the end:
  // what its impatience lost, when its deadline has passed.
  ASSERT_TRUE(run([&] { return flood.all_stored(); })) << flood.count_stored() << " " << world_->wrong();
  // Afterwards nobody wakes up for nothing.
  const std::uint64_t steps = world_->steps;
  EXPECT_FALSE(run([] { return false; }, one_s));
  EXPECT_LT(world_->steps - steps, 1000U);
  EXPECT_EQ(world_->wrong(), "");
}

// It asks for more than anybody could, and acknowledges nothing that it is sent.
TEST_F(HolderLimits, GivesAReaderItsPartOnly) {
  HolderWorldOptions options = small();
  options.holder.reply_deadline_ns = 100 * one_ms;
  options.channel.sender.suspect_ns = 50 * one_ms;  // then nothing may be sent any more
  start(options, 2);
  TestSsa& reader = world_->ssa(0);
  TestSsa& other = world_->ssa(1);
  reader.fill({10, 1, 1}, 512);
  other.fill({11, 1, 1}, 512);
  ASSERT_TRUE(run([&] { return reader.all_stored() && other.all_stored(); })) << world_->wrong();
  most_packets_ = 0;
  reader.mute = true;
  for (std::uint64_t i = 1; i <= 200; ++i) reader.read({10, 1, 1}, 0, i % 256, 256, i);
  other.read({11, 1, 1}, 0, 0, 256, 1);
  other.read({11, 1, 1}, 0, 256, 256, 2);
  ASSERT_TRUE(run([&] { return other.given.size() == 512; })) << world_->wrong();
  EXPECT_FALSE(run([] { return false; }, one_s));
  const std::size_t part = options.holder.sent_cells + options.holder.stripe_reads * std::size_t{64};
  EXPECT_LE(most_packets_, 2 * part + channels);
  EXPECT_LT(world_->pool.out(), 16U) << "cells for a reader that does not listen are kept for ever";
  reader.mute = false;
  EXPECT_FALSE(run([] { return false; }, 6 * one_s));
  reader.given.clear();
  reader.read({10, 1, 1}, 0, 0, 256, 777);
  ASSERT_TRUE(run([&] { return reader.given.size() == 256; })) << world_->wrong();
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderLimits, AnswersBusyWhereQueuesAreFull) {
  HolderWorldOptions options = small();
  options.holder.queued_answers = 32;
  start(options, 1);
  TestSsa& ssa = world_->ssa();
  ssa.fill({10, 1, 1}, 256);
  ASSERT_TRUE(run([&] { return ssa.all_stored(); })) << world_->wrong();
  world_->store.stall(true);
  for (std::uint64_t i = 1; i <= 12; ++i) ssa.read({10, 1, 1}, 0, 0, 256, i);
  for (std::uint64_t i = 21; i <= 32; ++i) ssa.seal({i, 1, 1}, 1, i);
  for (std::uint64_t i = 41; i <= 52; ++i) ssa.remove({i, 1, 1}, i);
  const auto busy = [&] {
    std::size_t count = 0;
    for (const TestSsa::Got& got : ssa.answers) {
      count +=
          got.answer.code == AnswerCode::busy && got.answer.retry_us == options.holder.retry_us ? 1U : 0U;
    }
    return count;
  };
  ASSERT_TRUE(run([&] { return busy() == 8 + 8 + 4; }, one_s)) << busy() << world_->wrong();
  world_->store.stall(false);
  ASSERT_TRUE(run([&] { return ssa.answers.size() >= 20 + 4 + 8 && ssa.given.size() == 256; }));
}

// A disk that hangs: nobody polls for it, and everything is done when it goes on.
TEST_F(HolderLimits, SleepsWhileTheStoreDoesNothing) {
  HolderWorldOptions options = small();
  start(options, 1);
  TestSsa& ssa = world_->ssa();
  ssa.fill({10, 1, 1}, 256);
  ASSERT_TRUE(run([&] { return ssa.all_stored(); })) << world_->wrong();
  world_->store.stall(true);
  ssa.read({10, 1, 1}, 0, 0, 256, 1);
  ssa.fill({11, 1, 1}, 100);
  ssa.seal({10, 1, 1}, 256, 2);
  const std::uint64_t steps = world_->steps;
  EXPECT_FALSE(run([] { return false; }, 4 * one_s));
  EXPECT_LT(world_->steps - steps, 4000U);
  world_->store.stall(false);
  ASSERT_TRUE(run([&] { return ssa.all_stored() && ssa.answer(1) && ssa.answer(2); })) << world_->wrong();
  EXPECT_EQ(ssa.answer(1)->answer.code, AnswerCode::busy);  // too late
  EXPECT_EQ(ssa.answer(2)->answer.code, AnswerCode::done);
}

// Peers come and go while their requests are in the store; what belongs to one is never told to another.
TEST_F(HolderLimits, LetsPeersGoAtAnyTime) {
  HolderWorldOptions options = small();
  options.link.mix_percent = 20;
  options.store.most_delay_ns = 8 * one_ms;
  start(options, 0);
  test::TestRandom random(test::test_seed());
  std::vector<std::size_t> there;
  for (std::uint64_t round = 0; round < 40; ++round) {
    if (there.size() < 4) {
      const std::optional<std::size_t> made = world_->connect();
      if (made) {
        there.push_back(*made);
        TestSsa& ssa = world_->ssa(*made);
        const store::ShareId share{100 + round % 7, 1, 1};
        ssa.fill(share, 200);
        ssa.keep(share, 0, 200, 20);
        for (std::uint64_t i = 1; i < 8; ++i) ssa.read(share, 0, 0, 200, i);
        ssa.seal(share, 220, 20);
        if (random.coin()) ssa.remove({200 + random.below(7), 1, 1}, 30);
      }
    }
    EXPECT_FALSE(run([] { return false; }, random.below(6 * one_ms)));
    ASSERT_EQ(world_->wrong(), "");
    if (!there.empty() && random.coin()) {
      const std::size_t at = random.below(there.size());
      const PeerId gone = world_->connections[there[at]]->peer;
      world_->disconnect(there[at]);
      EXPECT_EQ(world_->holder->credit(gone), 0U);
      world_->holder->remove_peer(gone);  // a second time: nothing happens
      Cell* cell = nullptr;
      ASSERT_EQ(world_->pool.take({&cell, 1}), 1U);
      world_->holder->delivered(gone, {&cell, 1}, world_->now_ns);
      there.erase(there.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  EXPECT_GT(world_->holder->counters().strangers, 10U);
  for (const std::size_t each : there) world_->disconnect(each);
  EXPECT_TRUE(run([&] { return world_->holder->idle(); }, one_s));
  EXPECT_EQ(world_->pool.out(), 0U) << "packets were lost";
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(world_->connect());
  EXPECT_FALSE(world_->connect());
  EXPECT_EQ(world_->wrong(), "");
}

// The channel remembers few ranges, and losses make many.
TEST_F(HolderLimits, TellsLaterWhatTheChannelCannotRemember) {
  HolderWorldOptions options = small();
  options.holder.cells = 1024;
  options.channel.receiver.stored_ranges = 4;
  options.link.loss_percent = 20;
  options.link.mix_percent = 50;
  start(options, 1);
  world_->ssa().fill({10, 1, 1}, 1500);
  ASSERT_TRUE(run([&] { return world_->ssa().all_stored(); }))
      << world_->wrong() << ": " << world_->ssa().count_stored() << " stored, "
      << world_->holder->counters().untold << " untold";
  EXPECT_EQ(world_->holder->counters().untold, 0U);
  EXPECT_EQ(world_->wrong(), "");
}

// Holes that nothing will ever fill, more than the channel remembers: the peer does not keep its part of the
// holder for ever, and is told when it asks again.
TEST_F(HolderLimits, DoesNotWaitForAPeerThatCannotBeTold) {
  HolderWorldOptions options = small();
  options.channel.receiver.stored_ranges = 1;
  options.holder.told_wait_ns = 50 * one_ms;
  start(options, 1);
  TestSsa& ssa = world_->ssa();
  ssa.again = true;
  ssa.deadline_ns = 500 * one_ms;
  const store::ShareId share{10, 1, 1};
  for (std::uint32_t cell = 0; cell < 90; ++cell) {
    ssa.put(cell % 30 == 10 ? store::ShareId{10, 1, 2} : share, 0, cell);  // no node has two shares
  }
  const auto& holder = *world_->holder;
  const PeerId peer = world_->connections[0]->peer;
  ASSERT_TRUE(run([&] { return holder.counters().cells >= 90 && holder.credit(peer) == 128; }, 400 * one_ms));
  EXPECT_GT(holder.counters().untold, 0U);
  EXPECT_LT(ssa.count_stored(), 87U);
  ASSERT_TRUE(run([&] { return ssa.count_stored() == 87; })) << world_->wrong();
  EXPECT_EQ(world_->wrong(), "");
}

// A disk that refuses everything makes more answers than there is room for; nothing is stored, nothing stops.
TEST_F(HolderLimits, LosesAnswersRatherThanMemory) {
  HolderWorldOptions options = small();
  start(options, 1);
  TestSsa& ssa = world_->ssa();
  world_->medium.set_capacity(1);
  for (std::uint32_t i = 0; i < 600; ++i) ssa.put({10 + i % 31, 1, 1}, 0, i);
  ssa.deadline_ns = 200 * one_ms;
  ASSERT_TRUE(run([&] {
    return std::all_of(ssa.writes.begin(), ssa.writes.end(), [](const auto& write) { return write.expired; });
  })) << world_->wrong();
  const HolderCounters& counters = world_->holder->counters();
  EXPECT_GT(counters.answers_lost, 0U);
  EXPECT_GT(ssa.answers.size(), 0U);
  EXPECT_EQ(counters.stored, 0U);
  EXPECT_EQ(counters.cells, counters.not_stored);
  EXPECT_EQ(world_->wrong(), "");
}

}  // namespace
}  // namespace ssn::roles
