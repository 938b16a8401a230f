// SPDX-License-Identifier: BSD-3-Clause
// What owners have, their limits of space, and records of what was done for them.
#include <map>

#include "support.h"

namespace ssn::controller::test {
namespace {

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() : database_(make_memory_database()), world_(*database_, seed(), policy()) {
    world_.start_nodes();
  }
  static Policy policy() {
    Policy policy;
    policy.owners["alice"] = {{3, 8, 25'000}, "", std::nullopt};
    policy.accounts_max = 50;
    policy.accounts_keep_ms = 3'600'000;
    return policy;
  }

  Result<WriteTicket> begin(const std::string& name, std::optional<std::uint64_t> size) {
    WriteRequest request = world_.request(name);
    request.size = size;
    return world_->begin_write(world_.now, "alice", request);
  }
  Outcome seal(const Object& object, std::uint64_t size) {
    SealedReport report = World::seal(object, 5);
    report.size = size;
    report.cells = cells_for(size, object.cell_bytes, 1);
    report.attempts = {{0, report.cells, 0}};
    const auto sealed = world_->sealed(world_.now, "s", report);
    return sealed.ok() ? Outcome(done) : Outcome(sealed.error());
  }
  Usage has() { return world_->usage(world_.now, "alice", "", 1).value().at(0); }
  std::vector<Account> all(const AccountFilter& filter = {}) {
    std::vector<Account> found;
    std::uint64_t after = 0;
    do {
      const auto page = world_->accounts(world_.now, filter, after, 3);
      EXPECT_OK(page);
      EXPECT_LE(page.value().accounts.size(), 3U);
      found.insert(found.end(), page.value().accounts.begin(), page.value().accounts.end());
      EXPECT_TRUE(page.value().next == 0 || page.value().next > after);
      after = page.value().next;
    } while (after != 0);
    return found;
  }

  std::unique_ptr<Database> database_;
  World world_;
};

TEST_F(AccountsTest, SpaceIsLimitedWhenAWriteBeginsAndWhenItCommits) {
  const auto first = begin("a", 10'000);
  ASSERT_OK(first);
  EXPECT_EQ(has().writing_bytes, 10'000U);
  EXPECT_TRUE(fails(begin("b", 15'001), Exit::temporary));
  const auto second = begin("b", 15'000);
  ASSERT_OK(second);
  EXPECT_TRUE(fails(begin("c", std::nullopt), Exit::temporary)) << "no byte is left";
  ASSERT_OK(seal(first.value().object, 10'000));
  ASSERT_OK(world_->commit(world_.now, "alice", first.value().object.key(), false));
  EXPECT_EQ(has().bytes, 10'000U);
  EXPECT_EQ(has().writing_bytes, 15'000U);
  ASSERT_OK(world_->abort(world_.now, "alice", second.value().object.key()));
  EXPECT_EQ(has().writing_bytes, 0U);
  // Of unknown size: when it is known it counts, and when it commits it is judged.
  const auto third = begin("c", std::nullopt);
  ASSERT_OK(third);
  ASSERT_OK(seal(third.value().object, 15'001));
  EXPECT_EQ(has().writing_bytes, 15'001U);
  EXPECT_TRUE(fails(world_->commit(world_.now, "alice", third.value().object.key(), false), Exit::temporary));
  ASSERT_OK(world_->remove(world_.now, "alice", "a", 0));
  ASSERT_OK(world_->commit(world_.now, "alice", third.value().object.key(), false));
  // What is replaced does not count when the other one is there.
  const auto fourth = begin("c", 9'000);
  ASSERT_OK(fourth);
  ASSERT_OK(seal(fourth.value().object, 9'000));
  ASSERT_OK(world_->commit(world_.now, "alice", fourth.value().object.key(), false));
  EXPECT_EQ(has().bytes, 9'000U);
  EXPECT_EQ(has().objects, 1U);
  EXPECT_OK(world_->begin_write(world_.now, "bob", world_.request("of another owner")));
}

TEST_F(AccountsTest, ObjectsAreLimitedWhenTheyCommitToo) {
  std::vector<Object> open;
  for (int i = 0; i < 4; ++i) {
    const auto ticket = begin(numbered("o", i), 10);
    ASSERT_OK(ticket);
    ASSERT_OK(seal(ticket.value().object, 10));
    open.push_back(ticket.value().object);
  }
  for (std::size_t i = 0; i < 3; ++i) ASSERT_OK(world_->commit(world_.now, "alice", open[i].key(), false));
  EXPECT_TRUE(fails(world_->commit(world_.now, "alice", open[3].key(), false), Exit::temporary));
  EXPECT_TRUE(fails(begin("o5", 10), Exit::temporary));
  EXPECT_OK(begin("o1", 10));  // one that takes the place of another
  ASSERT_OK(world_->remove(world_.now, "alice", "o0", 0));
  EXPECT_OK(world_->commit(world_.now, "alice", open[3].key(), false));
}

// Whatever happens, in any order, with restarts: what is counted is what is there.
TEST_F(AccountsTest, WhatIsCountedIsThere) {
  std::mt19937_64 random(seed() + 7);
  std::map<std::string, std::uint64_t> there;             // committed
  std::map<std::uint64_t, std::pair<Object, bool>> open;  // whether its size is known
  std::map<std::uint64_t, std::uint64_t> sizes;
  std::map<std::uint64_t, bool> sealed;
  const auto done_with = [&](std::uint64_t id) {
    open.erase(id);
    sizes.erase(id);
    sealed.erase(id);
  };
  for (int step = 0; step < 1500; ++step) {
    const auto any = open.empty()
                         ? open.end()
                         : std::next(open.begin(), static_cast<std::ptrdiff_t>(random() % open.size()));
    switch (random() % 6) {
      case 0:
      case 1: {
        const std::uint64_t size = random() % 9'000;
        const bool known = random() % 2 == 0;
        const auto ticket = begin(numbered("o", random() % 5), known ? std::optional(size) : std::nullopt);
        if (!ticket.ok()) break;
        const std::uint64_t id = ticket.value().object.id;
        open[id] = {ticket.value().object, known};
        sizes[id] = size;
        break;
      }
      case 2:
        if (any != open.end() && !sealed[any->first]) {
          ASSERT_OK(seal(any->second.first, sizes[any->first]));
          any->second.second = sealed[any->first] = true;
        }
        break;
      case 3:
        if (any != open.end() && sealed[any->first]) {
          const Object object = any->second.first;
          if (world_->commit(world_.now, "alice", object.key(), false).ok()) {
            there[object.name] = sizes[object.id];
            done_with(object.id);
          }
        }
        break;
      case 4:
        if (any != open.end() && random() % 2 == 0) {
          ASSERT_OK(world_->abort(world_.now, "alice", any->second.first.key()));
          done_with(any->first);
        } else if (!there.empty()) {
          ASSERT_OK(world_->remove(world_.now, "alice", there.begin()->first, 0));
          there.erase(there.begin());
        }
        break;
      default:
        if (random() % 8 == 0) world_.restart();
        world_.report_all();
    }
    std::uint64_t bytes = 0;
    std::uint64_t writing = 0;
    for (const auto& [name, size] : there) bytes += size;
    for (const auto& [id, each] : open) writing += each.second ? sizes[id] : 0;
    const Usage usage = has();
    ASSERT_EQ(usage.objects, there.size()) << "step " << step;
    ASSERT_EQ(usage.writes, open.size()) << "step " << step;
    ASSERT_EQ(usage.bytes, bytes) << "step " << step;
    ASSERT_EQ(usage.writing_bytes, writing) << "step " << step;
    ASSERT_LE(usage.bytes, 25'000U);
    ASSERT_LE(usage.objects, 3U);
  }
}

// Records of owners had no bytes before: they are counted once.
TEST_F(AccountsTest, ADatabaseOfBeforeIsCounted) {
  ASSERT_TRUE(begin("a", 7'000).ok());
  const auto ticket = begin("b", 5'000);
  ASSERT_OK(seal(ticket.value().object, 5'000));
  ASSERT_OK(world_->commit(world_.now, "alice", ticket.value().object.key(), false));
  Transaction changes(*database_);
  auto meta = changes.get<MetaRecord>(keys::meta());
  auto owner = changes.get<OwnerRecord>(keys::owner("alice"));
  meta.value()->bytes_counted = false;
  owner.value()->bytes = owner.value()->writing_bytes = 0;
  changes.put(keys::meta(), *meta.value());
  changes.put(keys::owner("alice"), *owner.value());
  ASSERT_OK(changes.commit());
  world_.restart();
  EXPECT_EQ(has().bytes, 5'000U);
  EXPECT_EQ(has().writing_bytes, 7'000U);
  EXPECT_EQ(has().objects, 1U);
}

TEST_F(AccountsTest, EachOperationIsRecorded) {
  const Object object = world_.put("bob", "a");
  ASSERT_OK(world_->open_read(world_.now, "bob", "a"));
  ASSERT_OK(world_->remove(world_.now, "bob", "a", 0));
  const auto given_up = begin("x", 2'000);
  ASSERT_OK(world_->abort(world_.now, "alice", given_up.value().object.key()));
  const std::vector<Account> records = all();
  std::map<AccountOperation, Account> by_operation;
  for (const Account& record : records) by_operation[record.operation] = record;
  ASSERT_EQ(records.size(), 4U);
  ASSERT_EQ(by_operation.size(), 4U);
  const Account& put = by_operation[AccountOperation::put];
  EXPECT_EQ(put.owner, "bob");
  EXPECT_EQ(put.name, "a");
  EXPECT_EQ(put.bytes, 10'000U);
  const std::uint64_t share = 8 * 1344;  // 10000 bytes in cells of 1344
  EXPECT_EQ(put.pad_bytes, 5 * share);
  EXPECT_EQ(put.object, object.id);
  EXPECT_EQ(put.protection, Protection::computational);
  EXPECT_EQ(by_operation[AccountOperation::get].pad_bytes, 4 * share) << "k, and one to check";
  EXPECT_EQ(by_operation[AccountOperation::remove].pad_bytes, 0U);
  EXPECT_EQ(by_operation[AccountOperation::abandoned].owner, "alice");
  EXPECT_EQ(all({"alice", 0}).size(), 1U);
  EXPECT_EQ(all({"", world_.now.wall_ms + 1}).size(), 0U);
  world_.pass(1'000);
  world_.report_all();
  world_.put("bob", "b");
  EXPECT_EQ(all({"", world_.now.wall_ms}).size(), 1U);
}

TEST_F(AccountsTest, RecordsAreBoundedByNumberAndAge) {
  world_.put("bob", "a");
  for (int i = 0; i < 70; ++i) ASSERT_OK(world_->open_read(world_.now, "bob", "a"));
  ASSERT_OK(world_->tick(world_.now));
  EXPECT_EQ(all().size(), 50U);
  EXPECT_EQ(all().back().number, 71U);
  world_.restart();
  EXPECT_EQ(all().size(), 50U) << "what a tick has seen is durable";
  world_.pass(3'600'001);
  world_.report_all();
  world_.put("bob", "b");
  EXPECT_EQ(all().size(), 1U) << "b is there; what was before is gone with its time";
  for (int i = 0; i < 3; ++i) ASSERT_OK(world_->tick(world_.now));
  const auto rows = database_->scan(keys::all_accounts, keys::end_of(std::string(keys::all_accounts)), 1000);
  EXPECT_EQ(rows.value().size(), all().size());
}

// A database that takes nothing for a while: reads go on, and it is said that some are not in the records.
TEST_F(AccountsTest, ReadsDoNotWaitForTheirRecords) {
  FaultyDatabase faulty(*database_);
  World world(faulty, 2, policy());
  world.start_nodes();
  world.put("bob", "a");
  for (std::size_t i = 0; i < reads_max; ++i) ASSERT_OK(world->open_read(world.now, "bob", "a"));
  faulty.fail_commit(1, false);
  ASSERT_OK(world->open_read(world.now, "bob", "a"));
  EXPECT_TRUE(faulty.failed());
  ASSERT_OK(world->tick(world.now));
  const auto events = world->events(0, 1000);
  EXPECT_EQ(events.value().back().kind, "accounts_lost");
}

// The SSA is told with the object, and again with each report; others are not; who is slowed is shown.
TEST_F(AccountsTest, RatesReachTheSsaAndComeBack) {
  ConfigurationRequest request;
  request.text =
      "[limits]\nwrite_rate = \"1 MiB\"\n"
      "[[class]]\nname = \"bulk\"\nread_rate = \"2 MiB\"\nburst = \"64 KiB\"\n"
      "[[owner]]\nname = \"alice\"\nclass = \"bulk\"\nread_rate = \"3 MiB\"\n";
  ASSERT_OK(world_->configure(world_.now, request, "op"));
  const RateLimit alice{1 << 20, 3 << 20, 0};
  const RateLimit bulk{0, 2 << 20, 64 << 10};
  const Object object = world_.put("alice", "a");
  const auto told = world_->object_for(world_.now, "s", object.key());
  ASSERT_OK(told);
  EXPECT_EQ(told.value().rules, (SessionRules{alice, bulk, {}}));
  const Object other = world_.put("bob", "b");
  EXPECT_EQ(world_->object_for(world_.now, "s", other.key()).value().rules,
            (SessionRules{{1 << 20, 0, 0}, {}, {}}));
  EXPECT_EQ(world_->object_for(world_.now, object.layout.holders[0].node, object.key()).value().rules,
            SessionRules())
      << "no shareholder has to know";

  Report report = World::report_of("s");
  report.rates = {{false, "alice", true}, {true, "bulk", true}, {true, "gone", false}, {false, "bob", false}};
  const auto answer = world_.report("s", report);
  ASSERT_OK(answer);
  EXPECT_EQ(answer.value().rates, (std::vector<RateLimit>{alice, bulk, {}, {1 << 20, 0, 0}}));
  EXPECT_EQ(has().rate, alice);
  EXPECT_EQ(has().slowed_at, std::vector<std::string>{"s"});
  EXPECT_TRUE(world_->usage(world_.now, "bob", "", 1).value().at(0).slowed_at.empty());

  request.text = "[limits]\nwrite_rate = \"5 MiB\"\n";
  ASSERT_OK(world_->configure(world_.now, request, "op"));
  report.rates = {{false, "alice", false}};
  EXPECT_EQ(world_.report("s", report).value().rates, (std::vector<RateLimit>{{5 << 20, 0, 0}}));
  EXPECT_TRUE(has().slowed_at.empty());
  report.rates.assign(rates_max + 1, {false, "alice", false});
  EXPECT_TRUE(fails(world_.report("s", report), Exit::usage));
  report.rates = {{false, "", false}};
  EXPECT_TRUE(fails(world_.report("s", report), Exit::usage));
}

TEST_F(AccountsTest, OwnersAreListedInPages) {
  for (const char* const owner : {"carol", "bob", "dave"}) world_.put(owner, "a");
  std::string after;
  std::string seen;
  for (;;) {
    const auto page = world_->usage(world_.now, "", after, 1);
    ASSERT_OK(page);
    if (page.value().empty()) break;
    after = page.value().at(0).owner;
    seen += after + ";";
    EXPECT_EQ(page.value().at(0).objects_max, 1'000'000U);
  }
  EXPECT_EQ(seen, "bob;carol;dave;");
}

}  // namespace
}  // namespace ssn::controller::test
