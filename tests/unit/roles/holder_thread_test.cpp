// SPDX-License-Identifier: BSD-3-Clause
// A holder over a real store thread, in real time. Also with the thread sanitizer.
#include <gtest/gtest.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

#include "holder_world.h"
#include "ssn/store/memory_store.h"

#if defined(__SANITIZE_ADDRESS__)
#define SSN_OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SSN_OWN_MALLOC 0
#endif
#endif
#ifndef SSN_OWN_MALLOC
#define SSN_OWN_MALLOC 1
#endif

namespace {
[[maybe_unused]] thread_local bool watching = false;
[[maybe_unused]] thread_local unsigned long allocations = 0;
}  // namespace

#if SSN_OWN_MALLOC
// glibc's own names for what these replace.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
  allocations += watching ? 1 : 0;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  allocations += watching ? 1 : 0;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) noexcept {
  allocations += watching ? 1 : 0;
  return __libc_realloc(memory, bytes);
}
}
#endif

namespace ssn::roles {
namespace {

using test::HolderWorld;
using test::HolderWorldOptions;
using test::TestSsa;

std::uint64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

class HolderThread : public testing::Test {
 protected:
  void SetUp() override {
    Result<store::GenerationKeys> keys = store::GenerationKeys::open(medium_.open_file(), 100);
    ASSERT_TRUE(keys.ok());
    Result<store::ShareStore> opened =
        store::ShareStore::open(std::make_unique<store::MemoryStore>(std::uint64_t{64} << 20),
                                std::move(keys.value()), test::small_options());
    ASSERT_TRUE(opened.ok());
    auto started = store::StoreThread::start(std::move(opened.value()), {});
    ASSERT_TRUE(started.ok());
    thread_ = std::move(started.value());
    access_ = std::make_unique<PortAccess>(thread_->port(0));
    HolderWorldOptions options;
    options.link.loss_percent = 2;
    options.link.mix_percent = 10;
    world_ = std::make_unique<HolderWorld>(options, test::test_seed(), access_.get());
    world_->verify_stored = false;  // the store is the thread's
    world_->now_ns = now_ns();
    ASSERT_TRUE(world_->connect());
  }
  void TearDown() override {
    for (std::size_t i = 0; i < world_->connections.size(); ++i) world_->disconnect(i);
    thread_->stop();
    world_->holder->step(now_ns());
    EXPECT_TRUE(world_->holder->idle());
    EXPECT_EQ(world_->pool.out(), 0U);
    EXPECT_EQ(world_->wrong(), "");
  }
  bool run(const std::function<bool()>& done) {
    const std::uint64_t end = now_ns() + 30 * test::one_s;
    for (std::uint64_t now = now_ns(); now < end; now = now_ns()) {
      world_->work_at(now);
      if (done()) return true;
      pollfd event{thread_->port(0).descriptor(), POLLIN, 0};
      const timespec wait{0, 100'000};
      if (::ppoll(&event, 1, &wait, nullptr) == 1) {
        std::uint64_t count = 0;
        EXPECT_EQ(::read(event.fd, &count, sizeof count), 8);
      }
    }
    return false;
  }
  test::CrashMedium medium_{test::test_seed()};
  std::unique_ptr<store::StoreThread> thread_;
  std::unique_ptr<PortAccess> access_;
  std::unique_ptr<HolderWorld> world_;
};

TEST_F(HolderThread, StoresAndReads) {
  TestSsa& ssa = world_->ssa();
  const store::ShareId share{5, 1, 1};
  ssa.fill(share, 1000);
  ssa.keep(share, 0, 1000, 24);
  ASSERT_TRUE(run([&] { return ssa.all_stored(); })) << world_->wrong();
  ssa.seal(share, 1024, 1);
  ASSERT_TRUE(run([&] { return ssa.answer(1) != nullptr; }));
  EXPECT_EQ(ssa.answer(1)->answer.code, protocol::AnswerCode::done);
  for (std::uint16_t i = 0; i < 4; ++i) ssa.read(share, 0, 256U * i, 256, 2U + i);
  ASSERT_TRUE(run([&] { return ssa.given.size() == 1024; })) << world_->wrong();
}

TEST_F(HolderThread, LetsPeersGo) {
  for (std::uint64_t round = 0; round < 5; ++round) {
    const std::size_t at = world_->connections.size() - 1;
    TestSsa& ssa = world_->ssa(at);
    const store::ShareId share{6 + round, 1, 1};
    ssa.fill(share, 300);
    ASSERT_TRUE(run([&] { return ssa.count_stored() > 20; })) << world_->wrong();
    ssa.read(share, 0, 0, 256, 1);
    world_->disconnect(at);
    ASSERT_TRUE(world_->connect());
  }
}

#if SSN_OWN_MALLOC
// Everything once, refusals included.
TEST_F(HolderThread, AllocatesNothing) {
  std::vector<protocol::Cell*> warm(4000);
  ASSERT_EQ(world_->pool.take(warm), warm.size());
  world_->pool.give_back(warm);
  world_->watch = [](bool begins) { watching = begins; };
  TestSsa& ssa = world_->ssa();
  const store::ShareId share{5, 1, 1};
  allocations = 0;
  ssa.fill(share, 500);
  ssa.keep(share, 0, 500, 24);
  ASSERT_TRUE(run([&] { return ssa.all_stored(); })) << world_->wrong();
  ssa.put(share, 0, 3, 64);
  ssa.seal(share, 600, 1);
  ssa.read(share, 0, 400, 256, 2);
  ssa.remove({99, 1, 1}, 3);
  ASSERT_TRUE(run([&] {
    return ssa.answer(0) != nullptr && ssa.answer(1) != nullptr && ssa.answer(2) != nullptr &&
           ssa.answer(3) != nullptr && ssa.given.size() == 124;
  })) << world_->wrong();
  EXPECT_EQ(allocations, 0U);
  watching = true;
  void* volatile memory = std::malloc(10);
  watching = false;
  std::free(memory);
  EXPECT_GE(allocations, 1U);
}
#endif

}  // namespace
}  // namespace ssn::roles
