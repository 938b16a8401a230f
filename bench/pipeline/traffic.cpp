// SPDX-License-Identifier: BSD-3-Clause
#include "traffic.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "caches.h"

namespace ssn::bench {
namespace {

constexpr std::uint32_t type_at = 12;

void swap_ranges(std::uint8_t* a, std::uint8_t* b, std::size_t bytes) noexcept {
  std::swap_ranges(a, a + bytes, b);
}

}  // namespace

// What DPDK calls.
struct Callbacks {
  static std::uint16_t client_in(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                                 std::uint16_t room, void* self) {
    auto* const free = reinterpret_cast<void**>(packets + count);
    return static_cast<std::uint16_t>(
        count + static_cast<Traffic*>(self)->generate(free, static_cast<std::uint16_t>(room - count)));
  }
  static std::uint16_t client_out(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                                  void* self) {
    static_cast<Traffic*>(self)->take(reinterpret_cast<void**>(packets), count);
    return count;
  }
  static std::uint16_t link_in(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                               std::uint16_t, void* link) {
    auto& of = *static_cast<Traffic::Link*>(link);
    return of.traffic->arrive(of, reinterpret_cast<void**>(packets), count);
  }
  static std::uint16_t link_out(std::uint16_t, std::uint16_t, rte_mbuf* packets[], std::uint16_t count,
                                void* link) {
    auto& of = *static_cast<Traffic::Link*>(link);
    of.traffic->turn_round(of, reinterpret_cast<void**>(packets), count);
    return count;
  }
};

bool Traffic::attach(const dataplane::Ports& ports) {
  links_.resize(ports.all().size() - 1);
  bool good = true;
  unsigned number = 0;
  for (const auto& port : ports.all()) {
    if (port->name == "client") {
      pool_ = port->pool;
      good = good && rte_eth_add_rx_callback(port->id, 0, Callbacks::client_in, this) != nullptr &&
             rte_eth_add_tx_callback(port->id, 0, Callbacks::client_out, this) != nullptr;
      continue;
    }
    Link& link = links_[number];
    link = {this, number, port->mac};
    ++number;
    good = good && rte_eth_add_rx_callback(port->id, 0, Callbacks::link_in, &link) != nullptr &&
           rte_eth_add_tx_callback(port->id, 0, Callbacks::link_out, &link) != nullptr;
  }
  return good;
}

std::uint64_t Traffic::under_way() const noexcept {
  if (seen_ == Mode::loop) return generated() - expected_;
  const std::uint64_t sent = (blocks() - blocks_before_) * options_.frames_per_block;
  const std::uint64_t given = generated() - frames_before_;
  return given > sent ? given - sent : 0;
}

std::uint16_t Traffic::generate(void** packets, std::uint16_t room) noexcept {
  const Mode mode = mode_.load(std::memory_order_acquire);
  if (mode != seen_) {
    seen_ = mode;
    blocks_before_ = blocks();
    frames_before_ = generated();
  }
  if (mode == Mode::stop) return 0;
  const std::uint64_t under = under_way();
  const std::uint64_t window = mode == Mode::loop ? options_.window : options_.burst;
  const auto count = static_cast<std::uint16_t>(
      std::min<std::uint64_t>({room, options_.burst, under < window ? window - under : 0}));
  auto** const fresh = reinterpret_cast<rte_mbuf**>(packets);
  if (count == 0 || rte_pktmbuf_alloc_bulk(static_cast<rte_mempool*>(pool_), fresh, count) != 0) return 0;
  const bool whole = checks_.load(std::memory_order_relaxed);
  const std::uint64_t now = rte_rdtsc();
  std::uint64_t number = generated();
  for (std::uint16_t i = 0; i < count; ++i, ++number) {
    rte_mbuf& packet = *fresh[i];
    packet.data_len = static_cast<std::uint16_t>(options_.frame_bytes);
    packet.pkt_len = options_.frame_bytes;
    auto* const frame = rte_pktmbuf_mtod(&packet, std::uint8_t*);
    write_frame(frame, options_.frame_bytes, number, now, whole);
    if (options_.cold) flush(frame, options_.frame_bytes);
  }
  if (options_.cold) fence();
  generated_.store(number, std::memory_order_relaxed);
  return count;
}

void Traffic::check(const Arrival& arrival, std::uint32_t bytes, bool whole) noexcept {
  bool good = arrival.good && bytes == options_.frame_bytes;
  if (arrival.number < expected_ || arrival.number >= generated()) {
    good = false;
  } else {
    missing_.store(missing_.load(std::memory_order_relaxed) + (arrival.number - expected_),
                   std::memory_order_relaxed);
    expected_ = arrival.number + 1;
  }
  if (good && whole) checked_.store(checked_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!good) wrong_.store(wrong_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void Traffic::take(void* const* packets, std::uint16_t count) noexcept {
  const std::uint64_t now = rte_rdtsc();
  const bool whole = checks_.load(std::memory_order_relaxed);
  for (std::uint16_t i = 0; i < count; ++i) {
    auto& packet = *static_cast<rte_mbuf*>(packets[i]);
    const auto* const frame = rte_pktmbuf_mtod(&packet, const std::uint8_t*);
    const Arrival arrival = read_frame(frame, packet.pkt_len, whole);
    check(arrival, packet.pkt_len, whole);
    latency_.add(now - arrival.sent_at);
  }
  delivered_.store(delivered() + count, std::memory_order_relaxed);
}

void Traffic::turn_round(Link& link, void* const* packets, std::uint16_t count) noexcept {
  constexpr std::uint32_t arp_operation = 21, arp_sender = 22, arp_target = 32;
  std::uint64_t shares = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    auto* const frame = rte_pktmbuf_mtod(static_cast<rte_mbuf*>(packets[i]), std::uint8_t*);
    const bool arp = frame[type_at] == 8 && frame[type_at + 1] == 6;
    if (arp) {
      // The peer has an address of its own; announcements are nobody's.
      const std::uint8_t peer[6] = {2, 0x53, 0x53, 0, 0, static_cast<std::uint8_t>(link.number)};
      const bool asks = frame[arp_operation] == 1 && std::memcmp(frame + 28, frame + 38, 4) != 0;
      std::memcpy(frame, link.mac.data(), 6);
      std::memcpy(frame + 6, peer, 6);
      frame[arp_operation] = asks ? 2 : 9;
      swap_ranges(frame + arp_sender, frame + arp_target, 10);
      std::memcpy(frame + arp_sender, peer, 6);
      continue;
    }
    swap_ranges(frame, frame + 6, 6);
    swap_ranges(frame + 26, frame + 30, 4);
    ++shares;
  }
  if (link.number == 0) blocks_.store(blocks() + shares, std::memory_order_relaxed);
}

std::uint16_t Traffic::arrive(Link& link, void** packets, std::uint16_t count) noexcept {
  const Mode mode = mode_.load(std::memory_order_relaxed);
  const bool loses = mode == Mode::sends || link.number < options_.cut;
  std::uint16_t kept = 0;
  std::uint16_t lost_count = 0;
  rte_mbuf* lost[256];
  for (std::uint16_t i = 0; i < count; ++i) {
    auto* const packet = static_cast<rte_mbuf*>(packets[i]);
    auto* const frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    if (loses && frame[type_at + 1] != 6) {
      if (lost_count == std::size(lost)) rte_pktmbuf_free_bulk(lost, std::exchange(lost_count, 0));
      lost[lost_count++] = packet;
      continue;
    }
    if (options_.cold) flush(frame, packet->pkt_len);
    packets[kept++] = packet;
  }
  rte_pktmbuf_free_bulk(lost, lost_count);
  if (options_.cold && kept != 0) fence();
  return kept;
}

}  // namespace ssn::bench
