// SPDX-License-Identifier: BSD-3-Clause
// Rings, and workers that reach a share store through them. Also with the thread sanitizer.
#include "ssn/store/store_thread.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "crash_store.h"
#include "ssn/store/memory_store.h"
#include "test_store.h"

namespace ssn::store {
namespace {

using protocol::Cell;
using test::cell_content;

constexpr std::uint32_t cell_bytes = 128;

TEST(SpscRing, HandsOverEverythingInOrder) {
  SpscRing<std::uint64_t> ring(1024);  // few changes of threads, where cores are busy
  std::vector<std::uint64_t> items(20000);
  std::thread producer([&] {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i] = 3 * i;
      while (!ring.push(&items[i])) std::this_thread::yield();
    }
  });
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::uint64_t* item = ring.pop();
    for (; item == nullptr; item = ring.pop()) std::this_thread::yield();
    ASSERT_EQ(item, &items[i]);
    ASSERT_EQ(*item, 3 * i);
  }
  producer.join();
  EXPECT_EQ(ring.pop(), nullptr);
  EXPECT_EQ(ring.size(), 0U);
}

TEST(SpscRing, IsBounded) {
  SpscRing<int> ring(4);
  int item = 0;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(&item));
  EXPECT_FALSE(ring.push(&item));
  EXPECT_EQ(ring.pop(), &item);
  EXPECT_TRUE(ring.push(&item));
  EXPECT_FALSE(ring.push(&item));
}

// A request with its cells and their memory.
struct Order {
  StoreRequest request;
  std::vector<Cell> cells = std::vector<Cell>(stripe_cells);
  Buffer memory = Buffer(stripe_cells * cell_bytes);

  Order() {
    for (std::size_t i = 0; i < stripe_cells; ++i) {
      cells[i].data = memory.data() + i * cell_bytes;
      cells[i].tailroom = cell_bytes;
      request.cells[i] = &cells[i];
    }
  }
  void put(const ShareId& share, std::uint32_t first, std::uint8_t count) {
    request.kind = StoreRequest::Kind::put;
    request.count = count;
    for (std::uint32_t i = 0; i < count; ++i) {
      const Buffer content = cell_content(share, 0, first + i, cell_bytes);
      std::memcpy(cells[i].data, content.data(), cell_bytes);
      cells[i].length = cell_bytes;
      cells[i].tailroom = 0;
      cells[i].target = cells[i].data;
      cells[i].open_result = protocol::OpenResult::opened;
      cells[i].header.placement = {share.object, first + i, share.generation, 0, share.share};
    }
  }
  void read(const ShareId& share, std::uint32_t stripe) {
    request.kind = StoreRequest::Kind::read;
    request.share = share;
    request.stripe = stripe;
    request.wanted = UINT64_MAX;
    request.cell_bytes = cell_bytes;
    std::memset(memory.data(), 0xEE, memory.size());
  }
};

Result<ShareStore> open(std::unique_ptr<KeyValueStore> database, test::CrashMedium& medium) {
  ShareStoreOptions options;
  options.reserve_bytes = 0;
  Result<GenerationKeys> keys = GenerationKeys::open(medium.open_file(), 100);
  if (!keys.ok()) return keys.error();
  return ShareStore::open(std::move(database), std::move(keys.value()), options);
}

class StoreThreadTest : public testing::Test {
 protected:
  void start(std::size_t workers, std::size_t requests = 16) {
    Result<ShareStore> store = open(std::make_unique<MemoryStore>(std::uint64_t{64} << 20), medium_);
    ASSERT_TRUE(store.ok());
    StoreThreadOptions options;
    options.workers = workers;
    options.requests = requests;
    Result<std::unique_ptr<StoreThread>> started = StoreThread::start(std::move(store.value()), options);
    ASSERT_TRUE(started.ok());
    thread_ = std::move(started.value());
  }
  static void wait(StorePort& port) {
    pollfd event{port.descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&event, 1, 20000), 1) << "nothing came back";
    std::uint64_t count = 0;
    ASSERT_EQ(::read(port.descriptor(), &count, sizeof count), 8);
  }
  static void do_one(StorePort& port, StoreRequest& request) {
    ASSERT_TRUE(port.submit(request));
    StoreRequest* back = nullptr;
    while (port.collect({&back, 1}) == 0) wait(port);
    ASSERT_EQ(back, &request);
  }
  test::CrashMedium medium_{test::test_seed()};
  std::unique_ptr<StoreThread> thread_;
};

TEST_F(StoreThreadTest, StoresReadsSealsAndRemoves) {
  start(1);
  StorePort& port = thread_->port(0);
  const ShareId share{5, 1, 2};
  Order order;
  for (std::uint32_t first = 0; first < 160; first += 32) {
    order.put(share, first, 32);
    do_one(port, order.request);
    ASSERT_EQ(order.request.result, StoreResult::done);
  }
  do_one(port, order.request);  // the last ones again
  EXPECT_EQ(order.request.result, StoreResult::done);
  const AttemptRun run{0, 0};
  StoreRequest seal;
  seal.kind = StoreRequest::Kind::seal;
  seal.share = share;
  seal.sealed_cells = 161;
  seal.runs = {&run, 1};
  do_one(port, seal);
  EXPECT_EQ(seal.result, StoreResult::incomplete);
  EXPECT_EQ(seal.missing, 160U);
  seal.sealed_cells = 160;
  do_one(port, seal);
  EXPECT_EQ(seal.result, StoreResult::done);
  Order read;
  read.read(share, 1);
  do_one(port, read.request);
  ASSERT_EQ(read.request.result, StoreResult::done);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const Cell& cell = read.cells[i];
    EXPECT_EQ(cell.length, cell_bytes);
    EXPECT_EQ(cell.header.placement, (protocol::Placement{5, 64 + i, 1, 0, 2}));
    EXPECT_EQ(Buffer(cell.data, cell.data + cell_bytes), cell_content(share, 0, 64 + i, cell_bytes));
  }
  const Result<std::vector<ShareSummary>> list = thread_->list({0, 0}, 10);
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list.value().size(), 1U);
  EXPECT_EQ(list.value()[0].cells, 160U);
  StoreRequest remove;
  remove.kind = StoreRequest::Kind::remove;
  remove.share = share;
  do_one(port, remove);
  EXPECT_EQ(remove.result, StoreResult::done);
  Order gone;
  gone.read(share, 1);
  do_one(port, gone.request);
  EXPECT_EQ(gone.request.result, StoreResult::not_found);
}

TEST_F(StoreThreadTest, KeepsWhatAKeepOrderGave) {
  start(1);
  StorePort& port = thread_->port(0);
  const ShareId share{6, 1, 1};
  Order order;
  Buffer kept;
  for (std::uint32_t cell = 10; cell < 20; ++cell) {
    const Buffer content = cell_content(share, 0, cell, cell_bytes);
    kept.insert(kept.end(), content.begin(), content.end());
  }
  order.put(share, 10, 1);
  order.cells[0].open_result = protocol::OpenResult::kept;
  order.cells[0].target = kept.data();
  order.cells[0].range_length = static_cast<std::uint32_t>(kept.size());
  order.cells[0].length = cell_bytes;
  do_one(port, order.request);
  ASSERT_EQ(order.request.result, StoreResult::done);
  Order read;
  read.read(share, 0);
  read.request.wanted = 0x3FFU << 10;
  do_one(port, read.request);
  ASSERT_EQ(read.request.result, StoreResult::done);
  EXPECT_EQ(Buffer(read.cells[19].data, read.cells[19].data + cell_bytes),
            cell_content(share, 0, 19, cell_bytes));
  Buffer long_room(4 * cell_bytes);
  read.request.wanted = 1U << 12;
  read.request.cell_bytes = static_cast<std::uint32_t>(long_room.size());  // it need not be known
  read.cells[12].data = long_room.data();
  read.cells[12].length = 0;
  read.cells[12].tailroom = static_cast<std::uint16_t>(long_room.size());
  do_one(port, read.request);
  ASSERT_EQ(read.request.result, StoreResult::done);
  EXPECT_EQ(read.request.cell_bytes, cell_bytes);
  EXPECT_EQ(read.cells[12].length, cell_bytes);
  EXPECT_EQ(Buffer(read.cells[12].data, read.cells[12].data + cell_bytes),
            cell_content(share, 0, 12, cell_bytes));
  read.request.cell_bytes = cell_bytes - 64;
  do_one(port, read.request);
  EXPECT_EQ(read.request.result, StoreResult::invalid);
  order.cells[0].range_length -= 1;
  do_one(port, order.request);
  EXPECT_EQ(order.request.result, StoreResult::invalid);
}

// Two workers at once, each with as much on its way as it may have; then everything is read back.
TEST_F(StoreThreadTest, ServesWorkersAtOnce) {
  start(2, 8);
  const auto work = [&](std::uint64_t object) {
    StorePort& port = thread_->port(object - 1);
    const ShareId share{object, 1, 1};
    std::vector<Order> orders(8);
    std::vector<StoreRequest*> back(8);
    std::vector<std::size_t> free = {0, 1, 2, 3, 4, 5, 6, 7};
    std::uint32_t next = 0;
    std::size_t answered = 0;
    constexpr std::uint32_t cells = 64 * 30;
    while (answered < cells / 16) {
      while (next < cells && port.credit() != 0) {
        ASSERT_FALSE(free.empty());
        Order& order = orders[free.back()];
        order.request.context = free.back();
        free.pop_back();
        order.put(share, next, 16);
        next += 16;
        ASSERT_TRUE(port.submit(order.request));
      }
      const std::size_t count = port.collect(back);
      if (count == 0) wait(port);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(back[i]->result, StoreResult::done);
        free.push_back(back[i]->context);
        ++answered;
      }
    }
    EXPECT_EQ(port.credit(), 8U);
    for (std::uint32_t stripe = 0; stripe < 30; ++stripe) {
      Order& order = orders[0];
      order.read(share, stripe);
      do_one(port, order.request);
      ASSERT_EQ(order.request.result, StoreResult::done);
      for (std::uint32_t i = 0; i < 64; ++i) {
        ASSERT_EQ(std::memcmp(order.cells[i].data, cell_content(share, 0, stripe * 64 + i, cell_bytes).data(),
                              cell_bytes),
                  0);
      }
    }
  };
  std::thread other([&] { work(2); });
  work(1);
  other.join();
  thread_->set_scrub_rate(1000);
  EXPECT_FALSE(thread_->status().read_only);
}

TEST_F(StoreThreadTest, MakesDurableWhatWaitsWhenItStops) {
  start(1);
  StorePort& port = thread_->port(0);
  std::vector<Order> orders(10);
  for (std::uint32_t i = 0; i < 10; ++i) {
    orders[i].put({7, 1, 1}, 5 * i, 5);
    ASSERT_TRUE(port.submit(orders[i].request));
  }
  thread_->stop();
  std::vector<StoreRequest*> back(20);
  EXPECT_EQ(port.collect(back), 10U);
  for (const Order& order : orders) EXPECT_EQ(order.request.result, StoreResult::done);
  EXPECT_FALSE(thread_->list({0, 0}, 1).ok());
}

TEST_F(StoreThreadTest, GivesBackWhatADiskRefuses) {
  test::CrashMedium disk(3);
  Result<ShareStore> store = open(disk.open_store(), medium_);
  ASSERT_TRUE(store.ok());
  Result<std::unique_ptr<StoreThread>> started = StoreThread::start(std::move(store.value()), {});
  ASSERT_TRUE(started.ok());
  thread_ = std::move(started.value());
  StorePort& port = thread_->port(0);
  Order order;
  order.put({7, 1, 1}, 0, 40);
  do_one(port, order.request);
  ASSERT_EQ(order.request.result, StoreResult::done);
  thread_->set_scrub_rate(0);
  Order wrong;
  wrong.put({7, 1, 1}, 40, 2);
  wrong.cells[1].header.placement.share = 0;
  do_one(port, wrong.request);
  EXPECT_EQ(wrong.request.result, StoreResult::invalid);
  EXPECT_EQ(wrong.request.results[0], StoreResult::done);
  EXPECT_EQ(wrong.request.results[1], StoreResult::invalid);
  thread_.reset();  // before its disk
}

TEST(StoreThread, RefusesOddSizes) {
  test::CrashMedium medium(1);
  for (const std::size_t requests : {0UL, 3UL, 1UL << 21}) {
    Result<ShareStore> store = open(std::make_unique<MemoryStore>(1 << 20), medium);
    ASSERT_TRUE(store.ok());
    StoreThreadOptions options;
    options.requests = requests;
    EXPECT_FALSE(StoreThread::start(std::move(store.value()), options).ok());
    medium.file().clear();
    medium.crash();
  }
}

}  // namespace
}  // namespace ssn::store
