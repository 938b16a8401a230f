// SPDX-License-Identifier: BSD-3-Clause
// Sealing and opening allocate nothing, whatever happens to a packet, OpenSSL included.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "packet_ends.h"

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

#if SSN_OWN_MALLOC
namespace {
bool watching = false;
unsigned long allocations = 0;
}  // namespace

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

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::PacketEnds;

template <typename Run>
unsigned long allocations_of(Run run) {
  allocations = 0;
  watching = true;
  run();
  watching = false;
  return allocations;
}

TEST(Allocation, TheControlIsCounted) {
  EXPECT_GE(allocations_of([] {
              void* volatile memory = std::malloc(10);
              std::free(memory);
            }),
            1U);
}

TEST(Allocation, NoneOnThePath) {
  test::EndsOptions options;
  options.policy = ShortagePolicy::aes_256_gcm;
  options.gcm = true;
  PacketEnds ends(options);
  ends.deliver(1344 * 8 + 64, 4096);
  Bytes share(1344);
  const auto burst = ends.out.burst(16);
  const auto arrived = ends.in.burst(16);
  for (std::size_t i = 0; i < 16; ++i) ends.out.prepare(i, 1344, ends.random);
  std::size_t sealed = 0;
  // More cells than pads: the last ones are encrypted, which takes a key from the D stream first.
  EXPECT_EQ(allocations_of([&] { sealed = ends.sealer.seal(ends.send, burst); }), 0U);
  ASSERT_EQ(sealed, 16U);
  for (std::size_t i = 0; i < 16; ++i) ends.in.receive(i, ends.out.packet(i));
  EXPECT_EQ(allocations_of([&] { ends.opener.open(arrived); }), 0U);
  EXPECT_GT(ends.opened.opened_computational, 0U);
  EXPECT_EQ(ends.opened.opened, 16U);
  // Retransmissions, duplicates and forgeries.
  EXPECT_EQ(allocations_of([&] { sealed = ends.sealer.retransmit(ends.send, burst); }), 0U);
  for (std::size_t i = 0; i < 16; ++i) {
    Bytes packet = ends.out.packet(i);
    if (i % 3 == 0) packet[70] ^= 1;
    ends.in.receive(i, packet);
  }
  EXPECT_EQ(allocations_of([&] { ends.opener.open(arrived); }), 0U);
  EXPECT_GT(ends.opened.repeated, 0U);
  EXPECT_GT(ends.opened.dropped_for(DropReason::bad_tag), 0U);
  // Orders.
  ends.deliver(4096, 0);
  ends.out.prepare(0, keep_order_bytes, ends.random);
  SealResult order = SealResult::none;
  EXPECT_EQ(allocations_of([&] {
              order = ends.sealer.seal_order(ends.send, ends.out[0], KeepOrder{1, 1344, 1}, share);
            }),
            0U);
  ASSERT_EQ(order, SealResult::sealed);
  ends.in.receive(0, ends.out.packet(0));
  EXPECT_EQ(allocations_of([&] { ends.opener.open(std::span(arrived).first(1)); }), 0U);
  EXPECT_EQ(ends.in[0].open_result, OpenResult::kept);
}

}  // namespace
}  // namespace ssn::protocol
#else
TEST(Allocation, NoneOnThePath) { GTEST_SKIP() << "a sanitizer has its own malloc"; }
#endif
