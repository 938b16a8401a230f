// SPDX-License-Identifier: BSD-3-Clause
// A share store on a medium that fails, restarted again and again; what it promised against what it has.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "test_store.h"

namespace ssn::store {
namespace {

using test::CrashMedium;
using test::TestRandom;
using test::TestStore;

// What was answered. A cell may have several answers: a put that was not answered may be there or not.
struct Expected {
  struct Cell {
    int stored = -1;  // highest attempt that was answered as durable
    int tried = -1;   // highest attempt that was put
  };
  std::map<std::uint32_t, Cell> cells;
  std::uint32_t sealed = 0;  // cells; answered
  bool seal_tried = false;
  bool removed = false;  // answered
  bool remove_tried = false;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), store_(seed ^ 0x5555) {}

  void run(int lives) {
    for (life_ = 0; life_ < lives; ++life_) {
      const bool opened = open();
      if (::testing::Test::HasFatalFailure()) return;
      if (opened) {
        check();
        if (::testing::Test::HasFatalFailure()) return;
        arm();
        for (int step = 0; step < 60 && !store_.medium.failed(); ++step) act();
        act();  // what comes right after a failure
        act();
      }
      waiting_.clear();
      store_.store.reset();
      store_.medium.crash();
    }
    ASSERT_TRUE(open(false));
    check();
  }

 private:
  bool open(bool may_fail = true) {
    if (may_fail && random_.below(4) == 0) arm();  // a start can fail, too
    const Outcome opened = store_.open();
    const bool failed = store_.medium.failed();
    store_.medium.fail_never();
    if (!opened.ok()) {
      EXPECT_TRUE(failed) << opened.error().what << ": " << opened.error().why;
      if (!failed) std::abort();
    }
    return opened.ok() && !failed;
  }
  void arm() {
    const unsigned what = random_.between(0, 3);
    store_.medium.fail_in(random_.below(80), what == 0   ? CrashMedium::Failure::io_error
                                             : what == 1 ? CrashMedium::Failure::full
                                                         : CrashMedium::Failure::power_off);
  }
  ShareId some_share() { return {1 + random_.below(2), static_cast<std::uint32_t>(1 + random_.below(2)), 7}; }

  void act() {
    const ShareId share = some_share();
    Expected& expected = expected_[share];
    store_.now += random_.below(6'000'000);
    switch (random_.between(0, 12)) {
      case 0:
        take(store_.flush(ShareStore::Flush::all));
        break;
      case 1:
      case 2:
        take(store_.flush(ShareStore::Flush::due));
        break;
      case 3:
        try_seal(share, expected);
        break;
      case 4:
        if (random_.below(4) == 0) remove(share, expected);
        break;
      case 5:
        (void)store_.reads(share, 70);
        break;
      default:
        put_some(share, expected);
    }
  }

  void put_some(const ShareId& share, Expected& expected) {
    // Half of them go on where the first cell is missing, so that shares become complete.
    std::uint32_t first = 0;
    while (first < 130 && expected.cells.contains(first) && expected.cells[first].tried >= 0) ++first;
    if (random_.coin()) first = static_cast<std::uint32_t>(random_.below(130));
    const std::size_t count = random_.below(40);
    for (std::uint32_t cell = first; cell < first + count && cell < 130; ++cell) {
      Expected::Cell& known = expected.cells[cell];
      const auto attempt =
          static_cast<std::uint16_t>(std::max(0, known.tried) + (random_.below(50) == 0 ? 1 : 0));
      const std::uint64_t token = next_token_++;
      const StoreResult result = store_.put(share, attempt, cell, token);
      if (result == StoreResult::done) {
        waiting_[token] = {share, cell, attempt};
        known.tried = std::max<int>(known.tried, attempt);
      } else if (result == StoreResult::again) {
        known.tried = std::max<int>(known.tried, attempt);
        known.stored = std::max<int>(known.stored, attempt);
      } else {
        ASSERT_NE(result, StoreResult::invalid);
      }
    }
  }

  void take(const std::vector<PutCompletion>& completions) {
    for (const PutCompletion& completion : completions) {
      const auto found = waiting_.find(completion.token);
      ASSERT_NE(found, waiting_.end());
      const auto& [share, cell, attempt] = found->second;
      if (completion.result == StoreResult::done) {
        Expected::Cell& known = expected_[share].cells[cell];
        known.stored = std::max<int>(known.stored, attempt);
      }
      waiting_.erase(found);
    }
  }

  void try_seal(const ShareId& share, Expected& expected) {
    std::uint32_t cells = 0;
    std::vector<AttemptRun> runs;
    while (cells < 130 && expected.cells.contains(cells) && expected.cells[cells].tried >= 0) {
      const auto attempt = static_cast<std::uint16_t>(expected.cells[cells].tried);
      if (runs.empty() || runs.back().attempt != attempt) runs.push_back({cells, attempt});
      ++cells;
    }
    if (cells == 0) return;
    std::vector<PutCompletion> completions;
    const SealAnswer answer = store_.store->seal(share, cells, runs, store_.now, completions);
    take(completions);
    if (answer.result == StoreResult::done || answer.result == StoreResult::again) {
      expected.sealed = cells;
      for (std::uint32_t cell = 0; cell < cells; ++cell) {
        Expected::Cell& known = expected.cells[cell];
        known.stored = known.tried;  // it may have been there without an answer
      }
      ++seals_;
    }
    expected.seal_tried = true;
  }

  void remove(const ShareId& share, Expected& expected) {
    std::vector<PutCompletion> completions;
    expected.remove_tried = true;
    const StoreResult result = store_.store->remove(share.generation_id(), completions);
    take(completions);
    if (result == StoreResult::done || result == StoreResult::not_found) {
      expected = {};
      expected.removed = true;
    }
  }

  // Everything that was promised; and nothing that is read is wrong.
  void check() {
    for (auto& [share, expected] : expected_) {
      bool any = false;
      for (const auto& [cell, known] : expected.cells) any = any || known.stored >= 0;
      test::StripeReader reader(64);
      for (auto& [cell, known] : expected.cells) {
        bool found = false;
        for (int attempt = std::max(0, known.stored); attempt <= known.tried; ++attempt) {
          const CellRead read = reader.read(*store_.store, share, static_cast<std::uint16_t>(attempt),
                                            cell / 64, std::uint64_t{1} << (cell % 64));
          if (read.result != StoreResult::done) continue;
          found = true;
          ASSERT_EQ(reader.cell(cell % 64),
                    test::cell_content(share, static_cast<std::uint16_t>(attempt), cell, 64));
        }
        // A removal that was not answered may have happened.
        ASSERT_TRUE(found || known.stored < 0 || expected.remove_tried)
            << "lost cell " << cell << " of " << share.object << "/" << share.generation << " in life "
            << life_;
      }
      if (expected.sealed != 0 && !expected.remove_tried) {
        const Result<ShareSummary> summary = store_.store->find(share);
        ASSERT_TRUE(summary.ok());
        ASSERT_EQ(summary.value().state, StoreResult::done);
        ASSERT_EQ(summary.value().cells, expected.sealed);
      }
      if (expected.remove_tried && !store_.store->find(share).ok()) {
        // It happened. What is put from now on is a new share to the test.
        expected = {};
        expected.removed = true;
      } else if (!any && store_.store->find(share).ok() &&
                 store_.store->find(share).value().state == StoreResult::quarantined) {
        // A head that was half written, with nothing behind it that was answered: it has to be removed.
        std::vector<PutCompletion> completions;
        (void)store_.store->remove(share.generation_id(), completions);
        expected = {};
      }
      expected.remove_tried = false;
    }
  }

  TestRandom random_;
  TestStore store_;
  int life_ = 0;
  std::uint64_t next_token_ = 1;
  struct Waiting {
    ShareId share;
    std::uint32_t cell;
    std::uint16_t attempt;
  };
  std::map<std::uint64_t, Waiting> waiting_;
  std::map<ShareId, Expected> expected_;

 public:
  int seals_ = 0;
};

TEST(ShareStoreCrash, KeepsItsPromises) {
  const char* const wanted = std::getenv("SSN_STORE_RUNS");
  const std::uint64_t runs = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 500;
  const char* const single = std::getenv("SSN_STORE_SEED");
  TestRandom seeds = TestRandom::labelled("ShareStoreCrash");
  int seals = 0;
  for (std::uint64_t run = 0; run < runs; ++run) {
    const std::uint64_t seed = single != nullptr ? std::strtoull(single, nullptr, 10) : seeds.next();
    World world(seed);
    world.run(6);
    seals += world.seals_;
    if (HasFailure()) {
      std::printf("to repeat: SSN_STORE_SEED=%llu SSN_STORE_RUNS=1\n", static_cast<unsigned long long>(seed));
      return;
    }
  }
  EXPECT_TRUE(single != nullptr || runs < 500 || seals > 1000) << "proves little: " << seals << " seals";
}

// One sequence, each of its operations failing in turn in each way, until none is left to fail.
TEST(ShareStoreCrash, KeepsItsPromisesAtEachStep) {
  const ShareId share{9, 1, 2};
  for (const auto failure :
       {CrashMedium::Failure::io_error, CrashMedium::Failure::full, CrashMedium::Failure::power_off}) {
    bool reached_end = false;
    for (std::uint64_t step = 0; !reached_end; ++step) {
      ASSERT_LT(step, 1000U);
      TestStore store(step * 3 + static_cast<std::uint64_t>(failure));
      store.medium.fail_in(step, failure);
      bool filled = false;
      bool sealed = false;
      bool removed = false;
      if (store.open().ok()) {
        filled = store.fill(share, 100);
        sealed = filled && store.seal(share, 100).result == StoreResult::done;
        std::vector<PutCompletion> completions;
        if (step % 2 == 1)
          removed = store.store->remove(share.generation_id(), completions) == StoreResult::done;
      }
      reached_end = !store.medium.failed();
      store.store.reset();
      store.medium.crash();
      const Outcome opened = store.open();
      ASSERT_TRUE(opened.ok()) << step << ": " << opened.error().why;
      const Result<ShareSummary> found = store.store->find(share);
      if (removed) {
        EXPECT_FALSE(found.ok() && found.value().state == StoreResult::done) << step;
        EXPECT_EQ(store.records('S'), 0U) << step;
      } else if (step % 2 == 0) {
        EXPECT_TRUE(!filled || store.reads(share, 100)) << step;
        EXPECT_TRUE(!sealed || (found.ok() && found.value().state == StoreResult::done)) << step;
      }
    }
  }
}

}  // namespace
}  // namespace ssn::store
