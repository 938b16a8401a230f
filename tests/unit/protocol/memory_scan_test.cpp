// SPDX-License-Identifier: BSD-3-Clause
// After streams are closed no byte of their pads, hash keys and masks is left in this process: every writable
// page is read, at every byte offset. Kept ranges are shares by then, and are found where they belong. The
// positive controls find what is still there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <unordered_set>

#include "packet_ends.h"

namespace ssn::protocol {
namespace {

using test::Bytes;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSN_TEST_INSTRUMENTED
#endif
#endif

// What to look for. Stored inverted, so that the list does not find itself.
class Needles {
 public:
  static constexpr std::size_t length = 16;
  void add(const Bytes& keys, std::size_t step) {
    for (std::size_t at = 0; at + length <= keys.size(); at += step) {
      std::uint64_t words[2];
      std::memcpy(words, keys.data() + at, sizeof words);
      filter_->set(words[0] % filter_bits);
      inverted_.insert(~words[0]);
      second_.insert(~(words[0] ^ words[1]));
    }
  }
  bool at(const std::uint8_t* memory) const {
    std::uint64_t words[2];
    std::memcpy(words, memory, sizeof words);
    return filter_->test(words[0] % filter_bits) && inverted_.count(~words[0]) != 0 &&
           second_.count(~(words[0] ^ words[1])) != 0;
  }

 private:
  static constexpr std::size_t filter_bits = 1 << 22;
  std::unique_ptr<std::bitset<filter_bits>> filter_ = std::make_unique<std::bitset<filter_bits>>();
  std::unordered_set<std::uint64_t> inverted_, second_;
};

// Hits in all memory that this process can write to.
std::size_t hits(const Needles& needles) {
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  EXPECT_GE(memory, 0);
  std::ifstream maps("/proc/self/maps");
  std::size_t found = 0;
  constexpr std::size_t chunk = 1 << 20;
  std::vector<std::uint8_t> buffer(chunk);
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) != 3 || mode[1] != 'w') continue;
    if (end - begin > (std::size_t{1} << 30)) continue;  // a sanitizer's shadow
    for (unsigned long at = begin; at < end; at += chunk - Needles::length + 1) {
      const std::size_t wanted = std::min<std::size_t>(chunk, end - at);
      const ssize_t got = ::pread(memory, buffer.data(), wanted, static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(Needles::length)) break;
      for (std::size_t i = 0; i + Needles::length <= static_cast<std::size_t>(got); ++i) {
        // Not what was just read for this search.
        const std::uintptr_t address = at + i;
        const auto own = reinterpret_cast<std::uintptr_t>(buffer.data());
        if (needles.at(buffer.data() + i) && (address + Needles::length <= own || address >= own + chunk)) {
          ++found;
        }
      }
    }
  }
  std::memset(buffer.data(), 0, buffer.size());
  ::close(memory);
  return found;
}

Needles needles_of(const std::vector<std::pair<test::Ksid, std::uint64_t>>& streams) {
  Needles out;
  for (const auto& [ksid, bytes] : streams) {
    Bytes keys = test::key_bytes(ksid, 0, bytes);
    out.add(keys, 16);
    ::explicit_bzero(keys.data(), keys.size());
  }
  return out;
}

TEST(MemoryScan, NothingOfTheKeysIsLeftButWhatWasKept) {
#ifdef SSN_TEST_INSTRUMENTED
  GTEST_SKIP() << "instrumented kernels are not optimised and spill registers with keys to the stack";
#endif
  constexpr std::uint64_t d_bytes = 256 * 1024;
  constexpr std::uint64_t a_bytes = 8 * 1024;
  auto ends = std::make_unique<test::PacketEnds>();
  const Needles d = needles_of({{ends->d_out.ksid(), d_bytes}});
  const Needles a = needles_of({{ends->a_out.ksid(), a_bytes}});
  EXPECT_EQ(hits(d), 0U);
  EXPECT_EQ(hits(a), 0U);
  ends->deliver(d_bytes, a_bytes);
  // Both ends hold everything; each ring is mapped twice.
  EXPECT_EQ(hits(d), 4 * d_bytes / 16);
  // The receiver has moved its hash key out of the ring, which is mapped twice, to where it is expanded.
  EXPECT_EQ(hits(a), 4 * a_bytes / 16 - 2 + 1);

  Bytes plain;
  std::vector<Bytes> packets;
  for (int i = 0; i < 50; ++i) packets.push_back(ends->seal_one(1344, plain));
  PadRange given_up;
  ASSERT_EQ(ends->pads_out.reserve(1344, given_up), Take::ok);
  ends->pads_out.discard(given_up);
  for (std::size_t i = 0; i < 40; ++i) {  // ten never arrive
    ASSERT_EQ(ends->open_one(packets[i]), OpenResult::opened);
  }
  // What was used is gone at once, at the end that used it.
  EXPECT_EQ(hits(d), 4 * d_bytes / 16 - 2 * (51 + 40) * 1344 / 16);

  KeepOrder order;
  order.cells = 4;
  order.cell_bytes = 1344;
  order.rows = 1;
  Bytes share(order.bytes());
  ends->out.prepare(0, keep_order_bytes, ends->random);
  ASSERT_EQ(ends->sealer.seal_order(ends->send, ends->out[0], order, share), SealResult::sealed);
  const std::size_t kept = share.size() / 16;
  for (StreamEnd* end : {static_cast<StreamEnd*>(&ends->pads_out), static_cast<StreamEnd*>(&ends->pads_in)}) {
    end->end();
  }
  ends->tags_out.end();
  ends->tags_in.end();
  ends->history.erase();
  EXPECT_EQ(hits(d), kept);  // the share, where it belongs
  EXPECT_EQ(hits(a), 0U);
  ::explicit_bzero(share.data(), share.size());
  ends.reset();
  EXPECT_EQ(hits(d), 0U);
  EXPECT_EQ(hits(a), 0U);
}

}  // namespace
}  // namespace ssn::protocol
