// SPDX-License-Identifier: BSD-3-Clause
// The contract of key_value_store.h, for every backend.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "backends.h"

namespace ssn::store {
namespace {

using test::TestRandom;
using Sync = KeyValueStore::Sync;
using Values = KeyValueStore::Values;
using Model = std::map<Buffer, Buffer, KeyLess>;

Buffer text(std::string_view string) { return {string.begin(), string.end()}; }

template <typename Backend>
class Contract : public testing::Test {
 protected:
  void SetUp() override { this->reopen(); }
  void reopen() {
    store_.reset();
    store_ = backend_.open();
    ASSERT_NE(store_, nullptr);
  }
  void put(std::string_view key, std::string_view value) {
    batch_.put(text(key), text(value));
    ASSERT_TRUE(store_->write(batch_, Sync::durable).ok());
    EXPECT_TRUE(batch_.empty());
  }
  std::string get(std::string_view key) {
    Buffer value;
    const Result<bool> found = store_->get(text(key), value);
    EXPECT_TRUE(found.ok());
    return found.ok() && found.value() ? std::string(value.begin(), value.end()) : "(none)";
  }
  std::vector<std::string> keys(std::string_view first, std::string_view end, std::size_t limit = 1000) {
    std::vector<std::string> out;
    Result<std::vector<KeyValueStore::Item>> items =
        store_->scan(text(first), text(end), limit, Values::left_out);
    EXPECT_TRUE(items.ok());
    for (const auto& item : items.value()) {
      out.emplace_back(item.key.begin(), item.key.end());
      EXPECT_TRUE(item.value.empty());
    }
    return out;
  }

  Backend backend_;
  std::unique_ptr<KeyValueStore> store_;
  Batch batch_;
};

using Backends = testing::Types<test::MemoryBackend, test::RocksdbBackend, test::CrashBackend>;
TYPED_TEST_SUITE(Contract, Backends);

TYPED_TEST(Contract, GivesBackWhatWasPut) {
  EXPECT_EQ(this->get("a"), "(none)");
  this->put("a", "one");
  this->put("a", "two");
  this->put("b", "");
  EXPECT_EQ(this->get("a"), "two");
  EXPECT_EQ(this->get("b"), "");
  EXPECT_EQ(this->get("ab"), "(none)");
}

TYPED_TEST(Contract, AppliesABatchInItsOrder) {
  for (const char* key : {"a", "b", "c", "d"}) this->put(key, "old");
  this->batch_.put(text("b"), text("lost"));
  this->batch_.erase_range(text("a"), text("c"));
  this->batch_.put(text("a"), text("new"));
  this->batch_.erase(text("d"));
  this->batch_.erase(text("nothing"));
  this->batch_.erase_range(text("z"), text("a"));  // empty
  ASSERT_TRUE(this->store_->write(this->batch_, Sync::durable).ok());
  EXPECT_EQ(this->keys("", ""), (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(this->get("a"), "new");
}

TYPED_TEST(Contract, ListsInOrderWithinBounds) {
  for (const char* key : {"b", "aa", "a", "c", "ba"}) this->put(key, "v");
  EXPECT_EQ(this->keys("", ""), (std::vector<std::string>{"a", "aa", "b", "ba", "c"}));
  EXPECT_EQ(this->keys("aa", "ba"), (std::vector<std::string>{"aa", "b"}));
  EXPECT_EQ(this->keys("ab", "", 2), (std::vector<std::string>{"b", "ba"}));
  EXPECT_TRUE(this->keys("d", "").empty());
  const auto items = this->store_->scan(text("b"), {}, 1, Values::wanted);
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items.value().size(), 1U);
  EXPECT_EQ(items.value()[0].value, text("v"));
}

TYPED_TEST(Contract, BoundsWhatAListHolds) {
  const Buffer large(max_value_bytes, 7);
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) {
    this->batch_.put(text(key), large);
    ASSERT_TRUE(this->store_->write(this->batch_, Sync::later).ok());
  }
  const auto items = this->store_->scan({}, {}, 1000, Values::wanted);
  ASSERT_TRUE(items.ok());
  EXPECT_EQ(items.value().size(), max_scan_bytes / max_value_bytes);
  Buffer value;
  ASSERT_TRUE(this->store_->get(text("g"), value).value());
  EXPECT_EQ(value, large);
  EXPECT_GE(this->store_->approximate_bytes(), 7 * max_value_bytes);
}

TYPED_TEST(Contract, RefusesWhatIsTooLarge) {
  const auto refused = [&] {
    const Outcome written = this->store_->write(this->batch_, Sync::durable);
    EXPECT_TRUE(this->batch_.empty());
    return !written.ok() && fault_of(written.error()) == Fault::invalid;
  };
  this->batch_.put(text("good"), text("v"));
  this->batch_.put(Buffer(max_key_bytes + 1, 'k'), text("v"));
  EXPECT_TRUE(refused());
  this->batch_.put(text("good"), Buffer(max_value_bytes + 1));
  EXPECT_TRUE(refused());
  this->batch_.put({}, text("v"));
  EXPECT_TRUE(refused());
  this->batch_.erase_range(text("a"), {});
  EXPECT_TRUE(refused());
  for (std::size_t i = 0; i <= max_batch_operations; ++i) this->batch_.erase(text("good"));
  EXPECT_TRUE(refused());
  EXPECT_EQ(this->get("good"), "(none)");
  Buffer value;
  EXPECT_FALSE(this->store_->get({}, value).ok());
  this->put("good", "again");  // it still works
  EXPECT_EQ(this->get("good"), "again");
}

TYPED_TEST(Contract, KeepsWhatWasDurable) {
  if (!TypeParam::persistent) GTEST_SKIP() << "this backend keeps nothing";
  this->put("a", "one");
  this->put("big", std::string(100000, 'x'));
  this->reopen();
  EXPECT_EQ(this->get("a"), "one");
  EXPECT_EQ(this->get("big").size(), 100000U);
  this->batch_.erase_range(text("a"), text("c"));
  ASSERT_TRUE(this->store_->write(this->batch_, Sync::durable).ok());
  this->reopen();
  EXPECT_TRUE(this->keys("", "").empty());
}

TYPED_TEST(Contract, IsAMapWhateverIsDone) {
  TestRandom random = TestRandom::labelled("Contract.IsAMapWhateverIsDone");
  Model model;
  const auto key = [&] { return random.bytes(1 + random.below(3)); };
  for (int round = 0; round < 400; ++round) {
    Model next = model;
    for (std::size_t i = random.between(1, 4); i > 0; --i) {
      Buffer first = key();
      for (std::uint8_t& byte : first) byte &= 15U;
      const unsigned what = random.between(0, 9);
      if (what == 0) {
        Buffer end = key();
        for (std::uint8_t& byte : end) byte &= 15U;
        this->batch_.erase_range(first, end);
        for (auto at = next.lower_bound(Bytes(first)); at != next.end() && key_less(at->first, end);) {
          at = next.erase(at);
        }
      } else if (what <= 2) {
        this->batch_.erase(first);
        next.erase(first);
      } else {
        const Buffer value = random.bytes(random.below(what == 3 ? 20000 : 100));
        this->batch_.put(first, value);
        next[first] = value;
      }
    }
    ASSERT_TRUE(this->store_->write(this->batch_, random.coin() ? Sync::durable : Sync::later).ok());
    model = next;
    if (TypeParam::persistent && round % 100 == 99) {
      this->batch_.clear();
      ASSERT_TRUE(this->store_->write(this->batch_, Sync::durable).ok());
      this->reopen();
    }
    if (round % 10 != 0) continue;
    const auto all = this->store_->scan({}, {}, 100000, Values::wanted);
    ASSERT_TRUE(all.ok());
    ASSERT_EQ(all.value().size(), model.size());
    auto expected = model.begin();
    for (const auto& item : all.value()) {
      ASSERT_EQ(item.key, expected->first);
      ASSERT_EQ(item.value, (expected++)->second);
    }
  }
  ASSERT_TRUE(this->store_->reclaim().ok());
  for (const auto& [name, value] : model) {
    Buffer found;
    ASSERT_TRUE(this->store_->get(name, found).value());
    ASSERT_EQ(found, value);
  }
}

TYPED_TEST(Contract, SaysWhenItIsFullAndGoesOnWhenItIsNot) {
  std::unique_ptr<KeyValueStore> store = this->backend_.open_small();
  if (store == nullptr) GTEST_SKIP() << this->backend_.why_not_small();
  std::vector<Buffer> kept;
  Outcome written = done;
  while (written.ok() && kept.size() < 1000) {
    const Buffer key = text("key" + std::to_string(1000 + kept.size()));
    this->batch_.put(key, Buffer(100000, 5));
    written = store->write(this->batch_, Sync::durable);
    if (written.ok()) kept.push_back(key);
  }
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(fault_of(written.error()), Fault::full) << written.error().why;
  EXPECT_FALSE(written.error().fix.empty());
  Buffer value;
  for (const Buffer& key : kept) {
    const Result<bool> found = store->get(key, value);
    ASSERT_TRUE(found.ok() && found.value());
    ASSERT_EQ(value, Buffer(100000, 5));
  }
  this->backend_.make_room();
  Outcome recovered = store->recover();
  for (int tries = 0; tries < 300 && !recovered.ok() && fault_of(recovered.error()) == Fault::full; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // RocksDB looks every few seconds
    recovered = store->recover();
  }
  ASSERT_TRUE(recovered.ok()) << recovered.error().why;
  this->batch_.put(text("after"), text("v"));
  ASSERT_TRUE(store->write(this->batch_, Sync::durable).ok());
  for (const Buffer& key : kept) ASSERT_TRUE(store->get(key, value).value());
  ASSERT_TRUE(store->get(text("after"), value).value());
}

// All of a batch or none, whatever fails at whichever step; a failed write is never followed by a good one.
TEST(CrashContract, KeepsBatchesWholeAtEveryStep) {
  TestRandom random = TestRandom::labelled("CrashContract.KeepsBatchesWholeAtEveryStep");
  for (const auto failure : {test::CrashMedium::Failure::io_error, test::CrashMedium::Failure::power_off}) {
    for (std::uint64_t step = 0; step < 20; ++step) {
      test::CrashMedium medium(random.next());
      std::unique_ptr<KeyValueStore> store = medium.open_store();
      medium.fail_in(step, failure);
      Batch batch;
      int acknowledged = 0;
      for (int i = 1; i <= 20; ++i) {
        const Buffer value = text(std::to_string(i));
        batch.put(text("left"), value);
        batch.put(text("right"), value);
        const bool ok = store->write(batch, Sync::durable).ok();
        ASSERT_TRUE(ok == (static_cast<std::uint64_t>(i) <= step));
        if (ok) acknowledged = i;
      }
      medium.crash();
      store = medium.open_store();
      Buffer left;
      Buffer right;
      if (!store->get(text("left"), left).value()) left = text("0");
      if (!store->get(text("right"), right).value()) right = text("0");
      const int found = std::atoi(std::string(left.begin(), left.end()).c_str());
      if (acknowledged > 0) {
        EXPECT_EQ(left, right);
        EXPECT_TRUE(found == acknowledged || found == acknowledged + 1) << found;
      }
    }
  }
}

}  // namespace
}  // namespace ssn::store
