// SPDX-License-Identifier: BSD-3-Clause
// The share store as [shareholder] asks for it, and queues between workers and control threads.
#include "store_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "event_queue.h"

namespace ssn::dataplane {
namespace {

using store::StoreRequest;
using store::StoreResult;

class StoreSetup : public testing::Test {
 protected:
  StoreSetup() {
    char path[] = "/tmp/store-setup-XXXXXX";
    folder_ = ::mkdtemp(path);
  }
  ~StoreSetup() override { std::filesystem::remove_all(folder_); }

  ShareholderConfiguration on_disk() const {
    ShareholderConfiguration configuration;
    configuration.directory = folder_ + "/shares";
    configuration.reserve = 0;
    return configuration;
  }
  static Result<std::unique_ptr<store::StoreThread>> start(const ShareholderConfiguration& configuration,
                                                           std::size_t workers = 1) {
    return start_store(configuration, workers, 10, [](std::string_view) {});
  }
  // What comes back for one request.
  static StoreResult ask(store::StorePort& port, StoreRequest& request) {
    EXPECT_TRUE(port.submit(request));
    StoreRequest* back[1] = {};
    for (int i = 0; i < 5000; ++i) {
      if (port.collect(back) == 1) return back[0]->result;
      ::usleep(1000);
    }
    return StoreResult::none;
  }
  static StoreResult put(store::StorePort& port, std::uint64_t object, std::uint8_t fill) {
    std::vector<std::uint8_t> bytes(256, fill);
    protocol::Cell cell;
    cell.data = bytes.data();
    cell.length = 256;
    cell.open_result = protocol::OpenResult::opened;
    cell.header.placement = {.object = object, .cell = 0, .generation = 1, .share = 1};
    StoreRequest request;
    request.kind = StoreRequest::Kind::put;
    request.count = 1;
    request.cells[0] = &cell;
    return ask(port, request);
  }

  std::string folder_;
};

TEST_F(StoreSetup, OnDiskItSurvivesARestart) {
  for (int round = 0; round < 2; ++round) {
    auto store = start(on_disk());
    ASSERT_TRUE(store.ok()) << store.error().why;
    EXPECT_EQ(put(store.value()->port(0), 7, 1), StoreResult::done);
    store.value()->stop();
  }
  auto store = start(on_disk());
  ASSERT_TRUE(store.ok());
  Result<std::vector<store::ShareSummary>> listed = store.value()->list({}, 10);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed.value().size(), 1U);
  EXPECT_EQ(listed.value()[0].id.object, 7U);
}

TEST_F(StoreSetup, AllWorkersReachTheSameShares) {
  auto store = start(on_disk(), 2);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(put(store.value()->port(0), 7, 1), StoreResult::done);
  EXPECT_EQ(put(store.value()->port(1), 7, 1), StoreResult::done) << "the same cell again";
  EXPECT_NE(put(store.value()->port(1), 7, 2), StoreResult::done) << "another one in its place";
}

TEST_F(StoreSetup, InMemoryItHasALimit) {
  ShareholderConfiguration configuration;
  configuration.store = ShareholderConfiguration::Store::memory;
  configuration.capacity = 100'000;
  configuration.generations = 64;
  auto store = start(configuration);
  ASSERT_TRUE(store.ok()) << store.error().why;
  std::size_t stored = 0;
  while (stored < 1000 && put(store.value()->port(0), stored + 1, 3) == StoreResult::done) ++stored;
  EXPECT_GT(stored, 10U);
  EXPECT_LT(stored, 400U);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/shares"));
}

TEST_F(StoreSetup, ASecondProcessIsKeptOut) {
  auto store = start(on_disk());
  ASSERT_TRUE(store.ok());
  const auto second = start(on_disk());
  ASSERT_FALSE(second.ok());
  EXPECT_FALSE(second.error().fix.empty());
}

TEST_F(StoreSetup, AFolderThatCannotBeMadeIsAnError) {
  ShareholderConfiguration configuration = on_disk();
  configuration.directory = folder_ + "/missing/shares";
  const auto store = start(configuration);
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().where, testing::HasSubstr("missing/shares"));
}

TEST(EventQueue, KeepsOrderAndSaysWhenItIsFull) {
  EventQueue<int, 4> queue;
  int value = 0;
  EXPECT_FALSE(queue.pop(value));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_FALSE(queue.push(4));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(queue.pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(queue.pop(value));
}

TEST(EventQueue, LosesNothingBetweenTwoThreads) {
  EventQueue<std::uint64_t, 16> queue;
  constexpr std::uint64_t count = 20'000;
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < count;) {
      if (queue.push(i)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (std::uint64_t i = 0; i < count;) {
    std::uint64_t value = 0;
    if (!queue.pop(value)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(value, i);
    ++i;
  }
  writer.join();
}

}  // namespace
}  // namespace ssn::dataplane
