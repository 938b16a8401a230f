// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/scrubber.h"

#include <gtest/gtest.h>

#include "test_store.h"

namespace ssn::store {
namespace {

using test::TestRandom;
using test::TestStore;

class ScrubTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(store_.open().ok());
    for (std::uint64_t object = 1; object <= 3; ++object) ASSERT_TRUE(store_.fill({object, 1, 1}, 300));
    ASSERT_EQ(store_.seal({2, 1, 1}, 300).result, StoreResult::done);
    (void)store_.store->take_events();
  }
  // Until a pass is over; virtual nanoseconds that it took.
  std::uint64_t pass(Scrubber& scrubber) {
    const std::uint64_t passes = scrubber.status().passes;
    const std::uint64_t began = store_.now;
    for (int i = 0; i < 100000 && scrubber.status().passes == passes; ++i) {
      const bool more = scrubber.step(store_.now, 10000);
      if (!more && scrubber.status().passes == passes)
        store_.now = std::max(store_.now + 1, scrubber.next_step());
    }
    EXPECT_EQ(scrubber.status().passes, passes + 1);
    return store_.now - began;
  }
  TestStore store_{test::test_seed()};
  ScrubOptions options_{100'000, 1'000'000'000'000, 100'000'000};
};

TEST_F(ScrubTest, ReadsEverythingAtItsRate) {
  Scrubber scrubber(*store_.store, options_);
  std::uint64_t bytes = 0;
  for (const auto& [key, value] : store_.medium.items()) {
    if (key[0] == 'S' || key[0] == 'D' || key[0] == 'H') bytes += value->size();
  }
  const std::uint64_t read = store_.store->status().counters.bytes_read;
  const double seconds = static_cast<double>(pass(scrubber)) * 1e-9;
  EXPECT_GE(store_.store->status().counters.bytes_read - read, 900U * 64);
  // It rests behind the pass: that is not of the rate.
  EXPECT_GE(seconds, static_cast<double>(bytes) / 100'000 * 0.8);
  EXPECT_LE(seconds, static_cast<double>(bytes) / 100'000 * 1.3);
  EXPECT_FALSE(scrubber.step(store_.now));
  EXPECT_GE(scrubber.next_step(), store_.now + options_.rest_ns / 2);
  EXPECT_TRUE(store_.store->take_events().empty());
}

TEST_F(ScrubTest, FindsEveryFlippedBit) {
  TestRandom random = TestRandom::labelled("Scrub.FindsEveryFlippedBit");
  std::vector<Buffer> keys;
  for (const auto& [key, value] : store_.medium.items()) {
    if (key[0] == 'S' || key[0] == 'D' || key[0] == 'H') keys.push_back(key);
  }
  const test::CrashMedium::Items items = store_.medium.items();
  for (const Buffer& key : keys) {
    for (int flips = 0; flips < 5; ++flips) {
      TestStore rotten(1);
      for (const auto& [name, value] : items) rotten.medium.replace(name, *value);
      rotten.medium.file() = store_.medium.file();
      rotten.medium.crash();
      ASSERT_TRUE(rotten.open().ok());
      EXPECT_TRUE(rotten.reads({2, 1, 1}, 300));  // all of it is cached now
      Buffer bytes = *items.at(key);
      bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
      rotten.medium.replace(key, bytes);
      Scrubber scrubber(*rotten.store, options_);
      while (scrubber.status().passes == 0) {
        if (!scrubber.step(rotten.now, 1 << 20)) rotten.now = scrubber.next_step();
      }
      const std::vector<StoreEvent> events = rotten.store->take_events();
      ASSERT_FALSE(events.empty()) << static_cast<char>(key[0]);
      EXPECT_EQ(events[0].kind, StoreEvent::Kind::record_damaged);
    }
  }
}

// A share of which a stripe was put aside is named so, also after a restart, once the scrub was there; one
// whose directory could be made anew is good.
TEST_F(ScrubTest, TheListNamesSharesThatAreNotWhole) {
  const ShareId damaged{2, 1, 1};
  const auto state = [&](TestStore& store) {
    const Result<std::vector<ShareSummary>> all = store.store->list({2, 1}, 1);
    EXPECT_TRUE(all.ok());
    return all.ok() && all.value().size() == 1 ? all.value()[0].state : StoreResult::none;
  };
  const auto flip = [&](std::uint8_t type) {
    for (const auto& [key, value] : store_.medium.items()) {
      if (key[0] != type || key[8] != damaged.object || value->empty()) continue;
      Buffer bytes = *value;
      bytes[0] ^= 1U;
      store_.medium.replace(Buffer(key), bytes);
      return true;
    }
    return false;
  };
  ASSERT_EQ(state(store_), StoreResult::done);
  for (const std::uint8_t type : {std::uint8_t{'D'}, std::uint8_t{'S'}}) {
    ASSERT_TRUE(flip(type));
    Scrubber scrubber(*store_.store, options_);
    (void)pass(scrubber);
    EXPECT_FALSE(store_.store->take_events().empty());
    EXPECT_EQ(state(store_), type == 'D' ? StoreResult::done : StoreResult::quarantined);
  }
  store_.medium.crash();
  ASSERT_TRUE(store_.open().ok());
  Scrubber scrubber(*store_.store, options_);
  // The first pass goes on where the last one was when it stopped, which may be behind this share: a crash
  // keeps or loses the last place that was noted.
  for (int passes = 0; passes < 2; ++passes) (void)pass(scrubber);
  EXPECT_EQ(state(store_), StoreResult::quarantined);
  std::vector<PutCompletion> completions;
  EXPECT_EQ(store_.store->remove(damaged.generation_id(), completions), StoreResult::done);
  EXPECT_NE(state(store_), StoreResult::quarantined);
}

TEST_F(ScrubTest, GoesOnWhereItWas) {
  ScrubOptions options = options_;
  options.save_ns = 0;
  ShareId place;
  std::uint32_t stripe = 0;
  {
    Scrubber scrubber(*store_.store, options);
    while (scrubber.status().place.object < 2 || scrubber.status().stripe < 3) {
      if (!scrubber.step(store_.now, 1)) store_.now = scrubber.next_step();
    }
    place = scrubber.status().place;
    stripe = scrubber.status().stripe;
    ASSERT_TRUE(scrubber.save().ok());
    ASSERT_TRUE(store_.fill({9, 1, 1}, 1));  // makes it durable
  }
  store_.medium.crash();
  ASSERT_TRUE(store_.open().ok());
  Scrubber scrubber(*store_.store, options);
  EXPECT_EQ(scrubber.status().place, place);
  EXPECT_EQ(scrubber.status().stripe, stripe);
  (void)pass(scrubber);
}

TEST_F(ScrubTest, RestsWithoutARateAndSurvivesRemovals) {
  options_.bytes_per_second = 0;
  Scrubber scrubber(*store_.store, options_);
  EXPECT_FALSE(scrubber.step(store_.now));
  EXPECT_EQ(scrubber.next_step(), UINT64_MAX);
  scrubber.set_rate(1'000'000);
  EXPECT_TRUE(scrubber.step(store_.now, 1) || scrubber.next_step() != UINT64_MAX);
  std::vector<PutCompletion> completions;
  for (std::uint64_t object = 1; object <= 3; ++object) {
    EXPECT_EQ(store_.store->remove({object, 1}, completions), StoreResult::done);
    (void)scrubber.step(store_.now += 1'000'000'000);
  }
  EXPECT_FALSE(scrubber.step(store_.now += 1'000'000'000));
}

}  // namespace
}  // namespace ssn::store
