// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/ring_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

namespace ssn::hw {
namespace {

constexpr std::size_t ring_bytes = 1 << 16;

RingMemory make_ring(std::size_t bytes = ring_bytes) {
  Result<RingMemory> made = RingMemory::make(bytes, RingMemory::Pages::normal);
  EXPECT_TRUE(made.ok()) << made.error().what << ": " << made.error().why;
  return std::move(made.value());
}

TEST(RingMemory, EveryRangeIsContiguous) {
  RingMemory ring = make_ring();
  ASSERT_EQ(ring.size(), ring_bytes);
  for (std::size_t i = 0; i < 100; ++i) {
    ring.data()[ring_bytes - 50 + i] = static_cast<std::uint8_t>(i + 1);
  }
  for (std::size_t i = 50; i < 100; ++i) {
    EXPECT_EQ(ring.data()[i - 50], i + 1) << "the second mapping is not the first";
  }
}

TEST(RingMemory, TheDeviceSeesItThroughItsDescriptorAndCannotResizeIt) {
  RingMemory ring = make_ring();
  const ssn_memory memory = ring.describe();
  ASSERT_GE(memory.fd, 0);
  EXPECT_EQ(memory.base, ring.data());
  EXPECT_EQ(memory.bytes, ring_bytes);
  EXPECT_EQ(memory.bytes % memory.page_bytes, 0U);
  ring.data()[3] = 0x77;
  void* const seen = ::mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd,
                            static_cast<off_t>(memory.fd_offset));
  ASSERT_NE(seen, MAP_FAILED);
  EXPECT_EQ(static_cast<std::uint8_t*>(seen)[3], 0x77);
  ::munmap(seen, ring_bytes);
  EXPECT_EQ(::ftruncate(memory.fd, 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(memory.fd, 2 * ring_bytes), -1);
}

TEST(RingMemory, IsErasedWhenItIsReleasedThoughADeviceStillHoldsIt) {
  RingMemory ring = make_ring();
  const int kept = ::dup(ring.describe().fd);
  ASSERT_GE(kept, 0);
  std::memset(ring.data(), 0xa5, ring_bytes);
  ring = RingMemory();
  void* const seen = ::mmap(nullptr, ring_bytes, PROT_READ, MAP_SHARED, kept, 0);
  ASSERT_NE(seen, MAP_FAILED);
  const auto* const bytes = static_cast<const std::uint8_t*>(seen);
  EXPECT_TRUE(std::all_of(bytes, bytes + ring_bytes, [](auto b) { return b == 0; }));
  ::munmap(seen, ring_bytes);
  ::close(kept);
}

TEST(RingMemory, IsErasedThoughADriverTookAccessAway) {
  RingMemory ring = make_ring();
  const int kept = ::dup(ring.describe().fd);
  std::memset(ring.data(), 0xa5, ring_bytes);
  ASSERT_EQ(::mprotect(ring.data(), 2 * ring_bytes, PROT_NONE), 0);
  ring = RingMemory();
  void* const seen = ::mmap(nullptr, ring_bytes, PROT_READ, MAP_SHARED, kept, 0);
  ASSERT_NE(seen, MAP_FAILED);
  const auto* const bytes = static_cast<const std::uint8_t*>(seen);
  EXPECT_TRUE(std::all_of(bytes, bytes + ring_bytes, [](auto b) { return b == 0; }));
  ::munmap(seen, ring_bytes);
  ::close(kept);
}

TEST(RingMemoryDeathTest, IsNotSilentWhenItsMemoryIsGone) {
  const auto lose_a_page = [] {
    RingMemory ring = make_ring();
    ::munmap(ring.data() + 4096, 4096);
  };
  EXPECT_DEATH(lose_a_page(), "writable");
}

TEST(RingMemory, LeavesNoMappingBehind) {
  const auto mappings = [] {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    int count = 0;
    while (std::getline(maps, line)) {
      count += line.find("ssn-key-ring") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  const int before = mappings();
  {
    RingMemory ring = make_ring();
    RingMemory other = std::move(ring);
    EXPECT_EQ(mappings(), before + 2);
  }
  EXPECT_EQ(mappings(), before);
}

TEST(RingMemory, RefusesSizesThatCannotBe) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1024}, std::size_t{12288}, RingMemory::max_bytes * 2}) {
    Result<RingMemory> made = RingMemory::make(bytes);
    ASSERT_FALSE(made.ok()) << bytes;
    EXPECT_EQ(made.error().code, Exit::usage);
    EXPECT_FALSE(made.error().fix.empty());
  }
  EXPECT_FALSE(RingMemory::make(ring_bytes, RingMemory::Pages::normal, 64).ok());
}

TEST(RingMemory, TakesHugePagesOnlyWhenThereAreAny) {
  Result<RingMemory> made = RingMemory::make(std::size_t{4} << 20);
  ASSERT_TRUE(made.ok()) << made.error().why;
  made.value().data()[(std::size_t{8} << 20) - 1] = 1;
  EXPECT_EQ(made.value().data()[(std::size_t{4} << 20) - 1], 1);
  EXPECT_EQ(made.value().describe().page_bytes > 4096, made.value().huge_pages());
}

// Maps memory at an address, if that is free, and gives it back, until it ends. Counts how often somebody
// else took it away meanwhile.
class Mapper {
 public:
  Mapper() : thread_([this] { run(); }) {}
  Mapper(const Mapper&) = delete;
  Mapper& operator=(const Mapper&) = delete;
  ~Mapper() { (void)taken_away(); }
  void map_at(std::uint8_t* address) { wanted_ = address; }
  int taken_away() {
    stop_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    return taken_away_;
  }

 private:
  static constexpr std::size_t bytes = 1 << 14;

  void run() {
    while (wanted_ == nullptr && !stop_) {
      std::this_thread::yield();
    }
    while (!stop_) {
      void* const mine =
          ::mmap(wanted_.load(), bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (mine == MAP_FAILED) {
        continue;
      }
      // Says so, where touching it would end the process.
      unsigned char resident[bytes / 4096];
      if (::mincore(mine, bytes, resident) != 0) {
        ++taken_away_;
      } else {
        ::munmap(mine, bytes);
      }
    }
  }

  std::atomic<std::uint8_t*> wanted_{nullptr};
  std::atomic<bool> stop_{false};
  int taken_away_ = 0;  // the thread's until it ends
  std::thread thread_;
};

// Where huge pages are asked for in vain, a first attempt at a ring fails and is taken back.
TEST(RingMemory, TakesNoMemoryOfOtherThreads) {
  Mapper mapper;
  for (int i = 0; i < 150; ++i) {
    Result<RingMemory> made = RingMemory::make(std::size_t{4} << 20);
    ASSERT_TRUE(made.ok()) << made.error().why;
    // The next ring is tried about there, and then this is within the first of its two mappings.
    mapper.map_at(made.value().data() + (1 << 20));
  }
  EXPECT_EQ(mapper.taken_away(), 0);
}

}  // namespace
}  // namespace ssn::hw
