// SPDX-License-Identifier: BSD-3-Clause
// What a catalogue answers is durable by then, and nobody waits for the disk in another one's turn.
#include "turns.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>

#include "support.h"

namespace ssn::controller::test {
namespace {

// In memory; what is durable is what was synced, which waits while it is held.
class SyncedDatabase final : public Database {
 public:
  Result<std::optional<std::string>> get(std::string_view key) override { return below_->get(key); }
  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override {
    return below_->scan(from, to, limit);
  }
  Outcome commit(const Changes& changes) override {
    Outcome committed = below_->commit(changes);
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    return committed;
  }
  std::uint64_t commits() const override { return below_->commits(); }
  Outcome sync(std::uint64_t commits) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !held_; });
    if (fails_) return Error{Exit::failed, "cannot write the database", "the test wants it so", "db", "none"};
    durable_ = std::max(durable_, commits);
    return done;
  }
  Outcome adopt() override { return below_->adopt(); }
  std::string trouble() const override { return ""; }

  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void fail() { fails_ = true; }
  /// Returns once there were more than `commits`.
  void wait_for_commit(std::uint64_t commits) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return below_->commits() > commits; });
  }
  std::uint64_t durable() const {
    const std::lock_guard lock(mutex_);
    return durable_;
  }

 private:
  const std::unique_ptr<Database> below_ = make_memory_database();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t durable_ = 0;
  bool held_ = false;
  bool fails_ = false;
};

TEST(Turns, WhatIsAnsweredIsDurable) {
  SyncedDatabase database;
  World world(database, seed());
  EXPECT_EQ(database.durable(), database.commits()) << "its own identity, which nodes are told";
  world.start_nodes();
  EXPECT_EQ(database.durable(), database.commits());
  const auto ticket = world->begin_write(world.now, "alice", world.request("a"));
  ASSERT_OK(ticket);
  EXPECT_EQ(database.durable(), database.commits());
  const Object& object = ticket.value().object;
  ASSERT_OK(world->sealed(world.now, object.ssa, World::seal(object, 5)));
  ASSERT_OK(world->commit(world.now, "alice", object.key(), false));
  EXPECT_EQ(database.durable(), database.commits());
  // Also what a call sees that changes nothing itself.
  ASSERT_OK(database.commit({{"z", "changed by nobody's turn"}}));
  ASSERT_OK(world->stat(world.now, "alice", "a"));
  EXPECT_EQ(database.durable(), database.commits());
}

TEST(Turns, OthersHaveTheirsWhileADiskSyncs) {
  SyncedDatabase database;
  World world(database, seed());
  world.start_nodes();
  const std::uint64_t before = database.commits();
  database.hold(true);
  std::vector<std::thread> owners;
  for (const char* const owner : {"alice", "bob", "carol"}) {
    owners.emplace_back([&, request = world.request("a"), owner] {
      EXPECT_OK(world->begin_write(world.now, owner, request));
    });
  }
  database.wait_for_commit(before + 2);  // of all three, before any is durable
  EXPECT_LE(database.durable(), before);
  database.hold(false);
  for (std::thread& owner : owners) owner.join();
  EXPECT_EQ(database.durable(), database.commits());
}

TEST(TurnsDeathTest, NothingIsAnsweredAfterAFailedSync) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  SyncedDatabase database;
  World world(database, seed());
  world.start_nodes();
  database.fail();
  EXPECT_EXIT(static_cast<void>(world->begin_write(world.now, "alice", world.request("a"))),
              testing::ExitedWithCode(1), "cannot write the database: the test wants it so");
}

}  // namespace
}  // namespace ssn::controller::test
