// SPDX-License-Identifier: BSD-3-Clause
// What ShareStore does with shares; damage of each kind.
#include "ssn/store/share_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test_store.h"

namespace ssn::store {
namespace {

using test::CrashMedium;
using test::TestRandom;
using test::TestStore;

const ShareId one{42, 1, 3};

class ShareStoreTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(store_.open().ok()); }
  std::vector<StoreEvent::Kind> events() {
    std::vector<StoreEvent::Kind> kinds;
    for (const StoreEvent& event : store_.store->take_events()) kinds.push_back(event.kind);
    return kinds;
  }
  Buffer key_of(char type, std::size_t which = 0) {
    for (const auto& [key, value] : store_.medium.items()) {
      if (key[0] == static_cast<std::uint8_t>(type) && which-- == 0) return key;
    }
    return {};
  }
  Buffer value_of(const Buffer& key) { return *store_.medium.items().at(key); }
  TestStore store_{test::test_seed()};
};

TEST_F(ShareStoreTest, GivesBackWhatItStored) {
  ASSERT_TRUE(store_.fill(one, 200));
  EXPECT_TRUE(store_.reads(one, 200));
  ASSERT_TRUE(store_.open().ok());
  EXPECT_TRUE(store_.reads(one, 200));
  test::StripeReader reader(64);
  EXPECT_EQ(reader.read(*store_.store, one, 1, 0).result, StoreResult::not_found);  // another attempt
  EXPECT_EQ(reader.read(*store_.store, one, 0, 3).read, 0xFFU);                     // cells 192 to 199
  EXPECT_EQ(reader.read(*store_.store, one, 0, 7).result, StoreResult::not_found);
  EXPECT_EQ(reader.read(*store_.store, {42, 1, 4}, 0, 0).result, StoreResult::not_found);
  EXPECT_EQ(reader.read(*store_.store, {42, 2, 3}, 0, 0).result, StoreResult::not_found);
}

TEST_F(ShareStoreTest, SaysDurableOnlyBehindASync) {
  ASSERT_EQ(store_.put(one, 0, 5, 77), StoreResult::done);
  EXPECT_TRUE(store_.flush(ShareStore::Flush::due).empty());  // not yet due
  test::StripeReader reader(64);
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0, 32).result, StoreResult::not_found);
  EXPECT_EQ(store_.store->next_flush(), store_.now + store_.options.partial_ns);
  store_.now += store_.options.partial_ns;
  const auto completions = store_.flush(ShareStore::Flush::due);
  ASSERT_EQ(completions.size(), 1U);
  EXPECT_EQ(completions[0].token, 77U);
  EXPECT_EQ(completions[0].result, StoreResult::done);
  EXPECT_EQ(store_.store->next_flush(), UINT64_MAX);
  store_.medium.crash();
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0, 32).result, StoreResult::done);
}

TEST_F(ShareStoreTest, WritesFullStripesOnceAndSoon) {
  for (std::uint32_t cell = 0; cell < 64; ++cell)
    ASSERT_EQ(store_.put(one, 0, cell, cell), StoreResult::done);
  EXPECT_EQ(store_.store->next_flush(), store_.now + store_.options.flush_ns);
  store_.now += store_.options.flush_ns;
  EXPECT_EQ(store_.flush(ShareStore::Flush::due).size(), 64U);
  EXPECT_EQ(store_.store->status().counters.batches, 1U);
  EXPECT_EQ(store_.store->status().counters.stripes_rewritten, 0U);
}

TEST_F(ShareStoreTest, TakesRepeatsAndLaterAttemptsOnly) {
  ASSERT_EQ(store_.put(one, 1, 9, 1), StoreResult::done);
  EXPECT_EQ(store_.put(one, 1, 9, 2), StoreResult::done);  // not yet durable: waits with it
  EXPECT_EQ(store_.put(one, 0, 9, 3), StoreResult::superseded);
  EXPECT_EQ(store_.put(one, 2, 9, 4), StoreResult::done);
  std::vector<PutCompletion> completions = store_.flush();
  std::sort(completions.begin(), completions.end(),
            [](const auto& a, const auto& b) { return a.token < b.token; });
  ASSERT_EQ(completions.size(), 3U);
  EXPECT_EQ(completions[0].result, StoreResult::superseded);
  EXPECT_EQ(completions[1].result, StoreResult::superseded);
  EXPECT_EQ(completions[2].result, StoreResult::done);
  EXPECT_EQ(store_.put(one, 2, 9, 5), StoreResult::again);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.put(one, 2, 9, 6), StoreResult::again);
  EXPECT_EQ(store_.put(one, 1, 9, 7), StoreResult::superseded);
  const Buffer other(64, 1);
  EXPECT_EQ(store_.store->put(one, 2, 9, other, 8, store_.now), StoreResult::conflict);
  EXPECT_EQ(store_.put(one, 0, 10, 9, 128), StoreResult::conflict);  // another cell length
  EXPECT_EQ(store_.put({42, 1, 4}, 0, 10), StoreResult::conflict);   // another share of the generation
  EXPECT_EQ(store_.put({42, 0, 3}, 0, 10), StoreResult::invalid);
  EXPECT_EQ(store_.put({42, 1, 0}, 0, 10), StoreResult::invalid);
  EXPECT_EQ(store_.put({43, 1, 3}, 0, 10, 0, 63), StoreResult::invalid);
  EXPECT_TRUE(store_.flush().empty());
}

TEST_F(ShareStoreTest, SealsWhatIsCompleteOnce) {
  ASSERT_TRUE(store_.fill(one, 100));
  EXPECT_EQ(store_.seal(one, 101).result, StoreResult::incomplete);
  EXPECT_EQ(store_.seal(one, 101).missing, 100U);
  EXPECT_EQ(store_.seal(one, 99).result, StoreResult::conflict);  // there is more than that
  EXPECT_EQ(store_.seal(one, 100, {{0, 1}}).result, StoreResult::incomplete);
  EXPECT_EQ(store_.seal(one, 100, {{0, 0}, {70, 1}}).missing, 70U);
  EXPECT_EQ(store_.seal(one, 100, {{1, 0}}).result, StoreResult::invalid);
  EXPECT_EQ(store_.seal({41, 1, 3}, 100).result, StoreResult::not_found);
  EXPECT_EQ(store_.seal(one, 100).result, StoreResult::done);
  EXPECT_EQ(store_.seal(one, 100).result, StoreResult::again);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.seal(one, 100).result, StoreResult::again);
  EXPECT_EQ(store_.seal(one, 100, {{0, 1}}).result, StoreResult::conflict);
  EXPECT_TRUE(store_.reads(one, 100));
  EXPECT_EQ(store_.put(one, 0, 5), StoreResult::again);
  EXPECT_EQ(store_.put(one, 1, 5), StoreResult::conflict);
  EXPECT_EQ(store_.put(one, 0, 100), StoreResult::conflict);
  const auto found = store_.store->find(one);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().state, StoreResult::done);
  EXPECT_EQ(found.value().cells, 100U);
}

TEST_F(ShareStoreTest, SealsMixedAttemptsAndWhatStillWaits) {
  for (std::uint32_t cell = 0; cell < 64; ++cell) ASSERT_EQ(store_.put(one, 0, cell), StoreResult::done);
  for (std::uint32_t cell = 30; cell < 40; ++cell) ASSERT_EQ(store_.put(one, 2, cell), StoreResult::done);
  std::vector<PutCompletion> completions;
  const std::vector<AttemptRun> runs = {{0, 0}, {30, 2}, {40, 0}};
  EXPECT_EQ(store_.store->seal(one, 64, runs, store_.now, completions).result, StoreResult::done);
  EXPECT_EQ(completions.size(), 74U);
  test::StripeReader reader(64);
  EXPECT_EQ(reader.read(*store_.store, one, 2, 0).read, std::uint64_t{0x3FF} << 30);
}

TEST_F(ShareStoreTest, RemovesForGood) {
  ASSERT_TRUE(store_.fill(one, 100));
  ASSERT_TRUE(store_.fill({42, 2, 3}, 10));
  ASSERT_EQ(store_.put(one, 0, 100, 9), StoreResult::done);
  const Buffer keys = store_.medium.file();
  std::vector<PutCompletion> completions;
  EXPECT_EQ(store_.store->remove(one.generation_id(), completions), StoreResult::done);
  ASSERT_EQ(completions.size(), 1U);
  EXPECT_EQ(completions[0].result, StoreResult::removed);
  test::StripeReader reader(64);
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0).result, StoreResult::not_found);
  EXPECT_EQ(store_.put(one, 0, 5), StoreResult::removed);  // a straggler
  EXPECT_EQ(store_.store->remove(one.generation_id(), completions), StoreResult::not_found);
  EXPECT_EQ(store_.records('S'), 1U);
  EXPECT_EQ(store_.records('H'), 1U);
  // The first slot held its key.
  EXPECT_TRUE(std::all_of(store_.medium.file().begin() + 4096 + 16, store_.medium.file().begin() + 4096 + 48,
                          [](std::uint8_t byte) { return byte == 0; }));
  EXPECT_TRUE(store_.reads({42, 2, 3}, 10));
  const auto list = store_.store->list({0, 0}, 10);
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list.value().size(), 1U);
  EXPECT_EQ(list.value()[0].id, (ShareId{42, 2, 3}));
}

TEST_F(ShareStoreTest, ManySharesThroughASmallCache) {
  for (std::uint64_t object = 1; object <= 20; ++object) ASSERT_TRUE(store_.fill({object, 1, 1}, 70));
  for (std::uint64_t object = 1; object <= 20; ++object) EXPECT_TRUE(store_.reads({object, 1, 1}, 70));
  const auto list = store_.store->list({5, 0}, 3);
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list.value().size(), 3U);
  EXPECT_EQ(list.value()[2].id.object, 7U);
}

TEST_F(ShareStoreTest, HasLimitsOfMemory) {
  StoreResult result = StoreResult::done;
  std::uint32_t taken = 0;
  while (result == StoreResult::done && taken < 100) result = store_.put(one, 0, 64 * taken++, 0, 16320);
  EXPECT_EQ(result, StoreResult::busy);
  EXPECT_EQ(taken, 4U);  // three stripes of a MiB each
  EXPECT_LE(store_.store->status().memory_bytes, store_.options.memory_bytes);
  EXPECT_EQ(store_.flush().size(), 3U);
  EXPECT_EQ(store_.put(one, 0, 64 * 50, 0, 16320), StoreResult::done);
}

// Each byte of each record flipped, and each record lost: the right bytes or a reason, never others, and the
// rest of the store goes on.
TEST_F(ShareStoreTest, NeverGivesWrongBytes) {
  ASSERT_TRUE(store_.fill(one, 70));
  ASSERT_EQ(store_.seal(one, 70).result, StoreResult::done);
  ASSERT_TRUE(store_.fill({43, 1, 1}, 3));
  const CrashMedium::Items items = store_.medium.items();
  const Buffer file = store_.medium.file();
  std::size_t noticed = 0;
  std::size_t flips = 0;
  for (const auto& [key, value] : items) {
    const std::size_t step = value->size() > 2000 ? 97 : 1;
    for (std::size_t at = 0; at <= value->size(); at += step) {
      TestStore damaged(1);
      for (const auto& [name, content] : items) damaged.medium.replace(name, *content);
      damaged.medium.file() = file;
      damaged.medium.crash();
      Buffer bytes = *value;
      if (at < bytes.size()) {
        bytes[at] ^= 4;
        damaged.medium.replace(key, bytes);
      } else {
        damaged.medium.lose(key);
      }
      ++flips;
      if (!damaged.open().ok()) {
        EXPECT_EQ(key[0], 'V');
        ++noticed;
        continue;
      }
      test::StripeReader reader(64);
      for (const auto& [share, cells] : {std::pair<ShareId, std::uint32_t>{one, 70}, {{43, 1, 1}, 3}}) {
        for (std::uint32_t stripe = 0; stripe * 64 < cells; ++stripe) {
          const CellRead read = reader.read(*damaged.store, share, 0, stripe);
          for (std::uint32_t i = 0; i < 64; ++i) {
            if ((read.read >> i & 1U) == 0) continue;
            ASSERT_EQ(reader.cell(i), test::cell_content(share, 0, stripe * 64 + i, 64));
          }
        }
      }
      noticed += damaged.store->take_events().empty() ? 0U : 1U;
    }
  }
  EXPECT_GT(flips, 2000U);
  // All but a lost record of the share that is not sealed: its seal would tell.
  EXPECT_GE(noticed + 2, flips);
}

TEST_F(ShareStoreTest, PutsADamagedStripeAsideAndTakesItsRepair) {
  ASSERT_TRUE(store_.fill(one, 130));
  ASSERT_EQ(store_.seal(one, 130).result, StoreResult::done);
  ASSERT_TRUE(store_.open().ok());
  const Buffer key = key_of('S', 1);
  Buffer bytes = value_of(key);
  bytes[1000] ^= 1;
  store_.medium.replace(key, bytes);
  test::StripeReader reader(64);
  const CellRead read = reader.read(*store_.store, one, 0, 1);
  EXPECT_EQ(read.result, StoreResult::quarantined);
  EXPECT_EQ(read.quarantined, UINT64_MAX);
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::record_damaged});
  EXPECT_EQ(store_.records('Q'), 1U);
  const Buffer aside = value_of(key_of('Q'));
  EXPECT_TRUE(
      std::equal(bytes.begin(), bytes.end(), aside.end() - static_cast<std::ptrdiff_t>(bytes.size())));
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0).result, StoreResult::done);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(reader.read(*store_.store, one, 0, 1).result, StoreResult::quarantined);
  EXPECT_TRUE(events().empty());
  for (std::uint32_t cell = 64; cell < 128; ++cell) ASSERT_EQ(store_.put(one, 0, cell), StoreResult::done);
  EXPECT_EQ(store_.flush().size(), 64U);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_TRUE(store_.reads(one, 130));
}

TEST_F(ShareStoreTest, NoticesSwappedAndOldRecords) {
  ASSERT_TRUE(store_.fill(one, 60));
  const Buffer stripe = key_of('S');
  const Buffer directory = key_of('D');
  const Buffer old_stripe = value_of(stripe);
  const Buffer old_directory = value_of(directory);
  ASSERT_TRUE(store_.fill(one, 0));
  for (std::uint32_t cell = 60; cell < 128; ++cell) ASSERT_EQ(store_.put(one, 0, cell), StoreResult::done);
  (void)store_.flush();
  ASSERT_EQ(store_.seal(one, 128).result, StoreResult::done);
  const Buffer whole = value_of(stripe);
  test::StripeReader reader(64);
  // An older version of the stripe.
  store_.medium.replace(stripe, old_stripe);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0).result, StoreResult::quarantined);
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::record_stale});
  // An older directory: it is made anew from the stripes, of which one is gone now.
  store_.medium.replace(directory, old_directory);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(reader.read(*store_.store, one, 0, 1).result, StoreResult::done);
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::record_stale});
  EXPECT_EQ(reader.read(*store_.store, one, 0, 0).result, StoreResult::quarantined);
  // Two stripes that changed places; a stripe that is gone.
  const Buffer second = key_of('S');
  ASSERT_NE(second, stripe);
  store_.medium.replace(second, whole);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(reader.read(*store_.store, one, 0, 1).result, StoreResult::quarantined);
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::record_damaged});
}

TEST_F(ShareStoreTest, MakesALostDirectoryAnew) {
  ASSERT_TRUE(store_.fill(one, 130));
  ASSERT_EQ(store_.seal(one, 130).result, StoreResult::done);
  store_.medium.lose(key_of('D'));
  ASSERT_TRUE(store_.open().ok());
  EXPECT_TRUE(store_.reads(one, 130));
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::record_missing});
  ASSERT_TRUE(store_.open().ok());
  EXPECT_TRUE(store_.reads(one, 130));
  EXPECT_TRUE(events().empty());
}

TEST_F(ShareStoreTest, KeepsAFewRecordsAside) {
  ASSERT_TRUE(store_.fill(one, 64 * 10));
  ASSERT_TRUE(store_.open().ok());
  test::StripeReader reader(64);
  for (std::uint32_t stripe = 0; stripe < 10; ++stripe) {
    const Buffer key = key_of('S');
    store_.medium.replace(key, Buffer(100));
    EXPECT_EQ(reader.read(*store_.store, one, 0, stripe).result, StoreResult::quarantined);
  }
  EXPECT_EQ(store_.records('Q'), store_.options.max_quarantined);
  ASSERT_TRUE(store_.open().ok());
  EXPECT_EQ(store_.store->status().quarantined, store_.options.max_quarantined);
  EXPECT_EQ(store_.seal(one, 640).result, StoreResult::quarantined);
}

TEST_F(ShareStoreTest, NeverWritesAgainOnADiskThatFailed) {
  ASSERT_TRUE(store_.fill(one, 10));
  ASSERT_EQ(store_.put(one, 0, 10, 1), StoreResult::done);
  store_.medium.fail_in(0, CrashMedium::Failure::io_error);
  const auto completions = store_.flush();
  ASSERT_EQ(completions.size(), 1U);
  EXPECT_EQ(completions[0].result, StoreResult::io_error);
  EXPECT_EQ(events(), std::vector{StoreEvent::Kind::read_only});
  const StoreStatus status = store_.store->status();
  EXPECT_TRUE(status.read_only);
  EXPECT_FALSE(status.why.why.empty());
  const std::uint64_t operations = store_.medium.operations();
  EXPECT_EQ(store_.put(one, 0, 11), StoreResult::read_only);
  EXPECT_EQ(store_.seal(one, 10).result, StoreResult::read_only);
  EXPECT_TRUE(store_.flush().empty());
  EXPECT_LE(store_.medium.operations(), operations + 2);
  EXPECT_TRUE(store_.reads(one, 10));
  ASSERT_TRUE(store_.open().ok());
  EXPECT_FALSE(store_.store->status().read_only);
  EXPECT_TRUE(store_.reads(one, 10));
}

TEST_F(ShareStoreTest, GoesOnWhenThereIsSpaceAgain) {
  store_.options.reserve_bytes = 5000;
  ASSERT_TRUE(store_.open().ok());
  ASSERT_TRUE(store_.fill(one, 64));
  ASSERT_TRUE(store_.fill({43, 1, 1}, 64));
  store_.medium.set_capacity(store_.medium.used() + 2000);
  store_.now += 1'000'000'000;
  ASSERT_EQ(store_.put(one, 0, 64, 5), StoreResult::done);
  auto completions = store_.flush();
  ASSERT_EQ(completions.size(), 1U);
  EXPECT_EQ(completions[0].result, StoreResult::disk_full);
  EXPECT_EQ(store_.put(one, 0, 64), StoreResult::disk_full);
  EXPECT_EQ(store_.seal(one, 64).result, StoreResult::disk_full);
  EXPECT_TRUE(store_.reads(one, 64));
  EXPECT_LT(store_.store->next_flush(), UINT64_MAX);
  EXPECT_EQ(store_.store->remove({43, 1}, completions), StoreResult::done);  // makes 5 KB of room
  store_.now += 1'000'000'000;
  (void)store_.flush(ShareStore::Flush::due);
  EXPECT_TRUE(store_.store->status().full);
  store_.medium.set_capacity(UINT64_MAX);
  store_.now += 1'000'000'000;
  (void)store_.flush(ShareStore::Flush::due);
  EXPECT_FALSE(store_.store->status().full);
  EXPECT_EQ(events(), (std::vector{StoreEvent::Kind::disk_full, StoreEvent::Kind::space_returned}));
  ASSERT_EQ(store_.put(one, 0, 64), StoreResult::done);
  EXPECT_EQ(store_.flush()[0].result, StoreResult::done);
  EXPECT_TRUE(store_.reads(one, 65));
}

TEST_F(ShareStoreTest, RefusesKeysOfAnotherStore) {
  ASSERT_TRUE(store_.fill(one, 3));
  TestStore other(2);
  ASSERT_TRUE(other.open().ok());
  ASSERT_TRUE(other.fill(one, 3));
  TestStore mixed(3);
  for (const auto& [key, value] : store_.medium.items()) mixed.medium.replace(key, *value);
  mixed.medium.file() = other.medium.file();
  mixed.medium.crash();
  const Outcome opened = mixed.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Exit::integrity);
}

}  // namespace
}  // namespace ssn::store
