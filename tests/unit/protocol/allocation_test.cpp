// SPDX-License-Identifier: BSD-3-Clause
// Sealing and opening allocate nothing, whatever happens to a packet, OpenSSL included.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "packet_ends.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"

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

TEST(Allocation, NoneInTheTransport) {
  SenderOptions options;
  options.packets = 256;
  TransportSender sender(options, 0);
  TransportReceiver receiver(ReceiverOptions{});
  std::vector<Cell> cells(200);
  std::vector<Acknowledgement> made(TransportReceiver::most_acknowledgements);
  std::vector<ReceivedPacket> received(200);
  std::vector<LostPacket> lost(200);
  std::vector<ExpiredPacket> expired(200);
  std::vector<std::uint64_t> stored(200);
  std::uint64_t now = 0;
  std::uint64_t number = 0;
  EXPECT_EQ(allocations_of([&] {
              for (Cell& cell : cells) {
                cell.header.d_offset = 640 * number;
                cell.header.number = number++;
                cell.length = cell.range_length = 640;
                cell.seal_result = SealResult::sealed;
                (void)sender.sent_one({&cell, number, 50'000'000, 1, true}, now);
                cell.open_result = number % 10 == 0 ? OpenResult::dropped : OpenResult::opened;
                Cell* const arrived[] = {&cell};
                receiver.arrived(arrived, now += 1000);
                if (number % 3 == 0) (void)receiver.stored(cell.header, 640, now);
                receiver.set_credit(1000, now);
                for (std::size_t i = 0, n = receiver.acknowledge(made, now); i < n; ++i) {
                  PacketHeader header;
                  header.number = number + i;
                  (void)sender.acknowledged(made[i], header, now);
                }
                sender.due(now);
                const std::size_t again = sender.take_lost(lost, now);
                for (std::size_t i = 0; i < again; ++i) lost[i].cell->header.number = number++;
                sender.sent_again(std::span(lost).first(again), now);
                (void)sender.take_received(received);
                (void)sender.take_stored(stored);
              }
              sender.due(now + 60'000'000);
              (void)sender.take_expired(expired);
              sender.end();
            }),
            0U);
  EXPECT_GT(sender.counters().received, 100U);
  EXPECT_GT(sender.counters().sent_again, 0U);
  EXPECT_GT(sender.counters().expired, 0U);
  EXPECT_TRUE(sender.audit());
}

/// Cells of a vector: the test's pool with its books would allocate.
class PlainPool final : public PacketPool {
 public:
  explicit PlainPool(std::size_t cells) : cells_(cells), buffers_(cells * 2048) {
    for (Cell& cell : cells_) free_.push_back(&cell);
  }
  std::size_t take(std::span<Cell*> cells) noexcept override {
    std::size_t count = 0;
    for (; count < cells.size() && !free_.empty(); ++count) {
      Cell& cell = *free_.back();
      free_.pop_back();
      cell = Cell{};
      cell.data = buffers_.data() + static_cast<std::size_t>(&cell - cells_.data()) * 2048 + overhead_bytes;
      cell.headroom = overhead_bytes;
      cell.tailroom = 2048 - overhead_bytes;
      cells[count] = &cell;
    }
    return count;
  }
  void give_back(std::span<Cell* const> cells) noexcept override {
    for (Cell* const cell : cells) free_.push_back(cell);  // never more than there were at first
  }
  bool is_idle(const Cell& cell) const noexcept override { return cell.header.number % 3 != 0; }
  std::size_t home() const { return free_.size(); }

 private:
  std::vector<Cell> cells_;
  std::vector<std::uint8_t> buffers_;
  std::vector<Cell*> free_;
};

/// Sends, loses every seventh packet, receives, acknowledges, sends again, refuses, and ends.
void exercise(Channel& a, Channel& b, Opener* const openers[2], PlainPool& pool) {
  Channel* const ends[] = {&a, &b};
  std::uint64_t now = 1'000'000'000;
  unsigned departed = 0;
  for (unsigned round = 0; round < 400; ++round, now += 100'000) {
    for (unsigned from = 0; from < 2; ++from) {
      std::array<Parcel, 4> parcels;
      const std::size_t most = std::min<std::size_t>(4, ends[from]->allowance(640, 1, now).packets);
      for (std::size_t i = 0; i < most; ++i) {
        Cell* cell = nullptr;
        if (pool.take({&cell, 1}) == 0) std::abort();
        cell->length = 640;
        parcels[i] = {.cell = cell, .token = round, .deadline_ns = now + 20'000'000, .until_stored = true};
      }
      const std::size_t sent = ends[from]->send(std::span(parcels).first(most), now);
      for (std::size_t i = sent; i < most; ++i) pool.give_back({&parcels[i].cell, 1});
      std::array<std::uint8_t, delete_order_bytes> order;
      write_delete_order({}, order.data());
      (void)ends[from]->post(PacketType::delete_order, {}, order, round, now + 20'000'000, now);
      std::array<Departure, 16> departures;
      while (const std::size_t count = ends[from]->take_departures(departures)) {
        std::array<Cell*, 16> arrived;
        std::array<Cell*, 16> delivered;
        std::size_t arrivals = 0;
        for (const Departure& each : std::span(departures).first(count)) {
          if (++departed % 7 != 0 && pool.take({&arrived[arrivals], 1}) == 1) {
            Cell& cell = *arrived[arrivals++];
            cell.data -= overhead_bytes;
            cell.headroom = 0;
            cell.length = each.cell->packet_bytes();
            std::copy_n(each.cell->packet(), cell.length, cell.data);
          }
          if (!each.held) pool.give_back({&each.cell, 1});
        }
        const std::span<Cell* const> burst(arrived.data(), arrivals);
        openers[1 - from]->open(burst);
        const std::size_t taken = ends[1 - from]->arrived(burst, now, delivered);
        for (std::size_t i = 0; i < taken; ++i) {
          if (departed % 5 == 0) {
            ends[1 - from]->refuse(*delivered[i], now);
            continue;
          }
          (void)ends[1 - from]->stored(delivered[i]->header, delivered[i]->range_length, now);
          pool.give_back({&delivered[i], 1});
        }
      }
      std::array<Settled, 64> settled;
      while (ends[from]->take_settled(settled) != 0) {
      }
      ends[from]->set_credit(1000, now);
      ends[from]->step(now);
    }
  }
  for (Channel* const end : ends) {
    end->end(now);
    std::array<Settled, 64> settled;
    while (end->take_settled(settled) != 0) {
    }
  }
}

TEST(Allocation, NoneInAChannel) {
  PacketEnds there;
  PacketEnds back({.connection_id = 0x01020305, .ksid = 2});
  there.deliver(std::uint64_t{1} << 40, std::uint64_t{1} << 40);
  back.deliver(std::uint64_t{1} << 40, std::uint64_t{1} << 40);
  const std::vector<std::uint8_t> key(32, 1);
  const std::vector<std::uint8_t> other(32, 2);
  const auto session = [](std::uint32_t to, std::uint32_t from, const auto& send, const auto& receive) {
    auto made = SessionKeys::make({.send_connection_id = to, .receive_connection_id = from}, send, receive);
    return std::move(made.value());
  };
  for (const bool cipher : {false, true}) {
    SCOPED_TRACE(cipher);
    const auto left = cipher ? session(21, 22, key, other) : nullptr;
    const auto right = cipher ? session(22, 21, other, key) : nullptr;
    if (cipher) {
      ASSERT_TRUE(there.table.add(right->connection()));
      ASSERT_TRUE(back.table.add(left->connection()));
    }
    PlainPool pool(4096);
    Channel a({}, cipher ? left->send() : there.send, cipher ? left->receive() : back.receive, there.sealer,
              pool, 1);
    Channel b({}, cipher ? right->send() : back.send, cipher ? right->receive() : there.receive, back.sealer,
              pool, 1);
    Opener* const openers[] = {&back.opener, &there.opener};
    EXPECT_EQ(allocations_of([&] { exercise(a, b, openers, pool); }), 0U);
    EXPECT_GT(a.sender().counters().stored, 200U);
    EXPECT_GT(a.sender().counters().sent_again, 20U);
    EXPECT_GT(b.counters().refused, 20U);
    EXPECT_EQ(a.counters().copied != 0, !cipher);
    EXPECT_EQ(pool.home(), 4096U);
  }
}

}  // namespace
}  // namespace ssn::protocol
#else
TEST(Allocation, NoneOnThePath) { GTEST_SKIP() << "a sanitizer has its own malloc"; }
#endif
