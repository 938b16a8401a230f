// SPDX-License-Identifier: BSD-3-Clause
#include "key_store.h"

#include <gtest/gtest.h>

namespace ssn::kme {
namespace {

KeyStore::Entry entry(const KeyId& id, Microseconds ready = 0, Microseconds expires = 1000) {
  return {id, WaitingKey{0, 1, 256, "master", "slave", ready, expires}};
}

class KeyStoreTest : public testing::Test {
 protected:
  KeyStore::Answer take(const std::vector<KeyId>& ids, const char* master = "master",
                        const char* slave = "slave", Microseconds now = 0) {
    return store_.take(ids, master, slave, now, taken_);
  }

  KeyStore store_{3};
  KeyId a_ = fresh_key_id();
  KeyId b_ = fresh_key_id();
  std::vector<KeyStore::Entry> taken_;
};

TEST_F(KeyStoreTest, GivesEachKeyOnceInTheOrderAsked) {
  ASSERT_TRUE(store_.add({entry(a_), entry(b_)}, 0));
  ASSERT_EQ(take({b_, a_}), KeyStore::Answer::ok);
  ASSERT_EQ(taken_.size(), 2u);
  EXPECT_EQ(taken_[0].first, b_);
  EXPECT_EQ(taken_[1].first, a_);
  EXPECT_EQ(take({a_}), KeyStore::Answer::not_found);
  EXPECT_EQ(store_.size(), 0u);
}

TEST_F(KeyStoreTest, GivesAllOrNothing) {
  ASSERT_TRUE(store_.add({entry(a_)}, 0));
  EXPECT_EQ(take({a_, b_}), KeyStore::Answer::not_found);
  EXPECT_EQ(take({a_, a_}), KeyStore::Answer::not_found);
  EXPECT_EQ(take({a_}), KeyStore::Answer::ok);
}

TEST_F(KeyStoreTest, GivesToTheNamedSlaveOfTheNamedMasterOnly) {
  ASSERT_TRUE(store_.add({entry(a_)}, 0));
  EXPECT_EQ(take({a_}, "master", "other"), KeyStore::Answer::not_allowed);
  EXPECT_EQ(take({b_, a_}, "master", "other"), KeyStore::Answer::not_allowed);
  EXPECT_EQ(take({a_}, "other", "slave"), KeyStore::Answer::not_found);
  EXPECT_EQ(take({a_}), KeyStore::Answer::ok);
}

TEST_F(KeyStoreTest, HonoursLatencyAndLifetime) {
  ASSERT_TRUE(store_.add({entry(a_, 10, 20), entry(b_, 10, 20)}, 0));
  EXPECT_EQ(take({a_}, "master", "slave", 9), KeyStore::Answer::not_found);
  EXPECT_EQ(take({a_}, "master", "slave", 10), KeyStore::Answer::ok);
  EXPECT_EQ(take({b_}, "master", "slave", 20), KeyStore::Answer::not_found);
}

TEST_F(KeyStoreTest, HasLimitsAndForgetsWhatExpired) {
  ASSERT_TRUE(store_.add({entry(a_), entry(b_)}, 0));
  EXPECT_FALSE(store_.add({entry(fresh_key_id()), entry(fresh_key_id())}, 0));
  EXPECT_EQ(store_.size(), 2u);
  EXPECT_FALSE(store_.add({entry(a_)}, 0));  // the same ID again
  EXPECT_EQ(store_.size(), 2u);
  EXPECT_TRUE(store_.add({entry(fresh_key_id()), entry(fresh_key_id())}, 2'000'000));
  EXPECT_EQ(store_.expired(), 2u);
}

TEST_F(KeyStoreTest, DropsEarlierRunsOfALink) {
  ASSERT_TRUE(store_.add({entry(a_)}, 0));
  store_.drop_runs_before(1, 2);
  EXPECT_EQ(store_.size(), 1u);
  store_.drop_runs_before(0, 2);
  EXPECT_EQ(take({a_}), KeyStore::Answer::not_found);
}

}  // namespace
}  // namespace ssn::kme
