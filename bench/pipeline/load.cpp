// SPDX-License-Identifier: BSD-3-Clause
#include "load.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <time.h>

#include <algorithm>

namespace ssn::bench {
namespace {

constexpr std::uint32_t burst = 32;

std::uint64_t processor_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

void Load::run() noexcept {
  // What did not come in this time will not come.
  const std::uint64_t patience = rte_get_tsc_hz() / 2;
  std::uint64_t last = rte_rdtsc();
  while (!stops_.load(std::memory_order_acquire)) {
    const std::uint64_t now = rte_rdtsc();
    const std::uint32_t arrived = receive(now);
    if (arrived != 0) last = now;
    if (now - last > patience) {
      counts_.missing += counts_.sent - expected_;
      expected_ = counts_.sent;
      last = now;
    }
    const std::uint32_t sent = send(now);
    if (asked_.load(std::memory_order_acquire)) give_counts();
    if (arrived == 0 && sent == 0) ::sched_yield();
  }
}

std::uint32_t Load::receive(std::uint64_t now) noexcept {
  rte_mbuf* packets[burst];
  const std::uint16_t count = rte_eth_rx_burst(in_.id, 0, packets, burst);
  if (count == 0) return 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    take(rte_pktmbuf_mtod(packets[i], const std::uint8_t*), packets[i]->pkt_len, now);
  }
  rte_pktmbuf_free_bulk(packets, count);
  return count;
}

void Load::take(const std::uint8_t* frame, std::uint32_t bytes, std::uint64_t now) noexcept {
  const Arrival head = read_frame(frame, bytes, false);
  const bool whole = head.good && head.number < whole_until_;
  const bool good = bytes == options_.frame_bytes && head.number < counts_.sent && head.good &&
                    (!whole || read_frame(frame, bytes, true).good);
  if (!good) {
    ++counts_.wrong;
    wrong_.store(wrong_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    return;
  }
  if (head.number < expected_) {
    ++counts_.late;
    return;
  }
  counts_.missing += head.number - expected_;
  expected_ = head.number + 1;
  ++counts_.delivered;
  latency_.add(now - head.sent_at);
  if (whole) checked_.store(checked_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

std::uint32_t Load::send(std::uint64_t now) noexcept {
  const std::uint64_t under_way = counts_.sent - expected_;
  const std::uint64_t room = options_.window == 0          ? burst
                             : under_way < options_.window ? options_.window - under_way
                                                           : 0;
  const auto count = static_cast<std::uint16_t>(std::min<std::uint64_t>(room, burst));
  rte_mbuf* packets[burst];
  if (count == 0 || rte_pktmbuf_alloc_bulk(out_.pool, packets, count) != 0) return 0;
  const bool whole = checks_.load(std::memory_order_relaxed);
  for (std::uint16_t i = 0; i < count; ++i) {
    packets[i]->data_len = static_cast<std::uint16_t>(options_.frame_bytes);
    packets[i]->pkt_len = options_.frame_bytes;
    write_frame(rte_pktmbuf_mtod(packets[i], std::uint8_t*), options_.frame_bytes, counts_.sent + i, now,
                whole);
  }
  const std::uint16_t sent = rte_eth_tx_burst(out_.id, 0, packets, count);
  if (sent < count) rte_pktmbuf_free_bulk(packets + sent, count - sent);
  counts_.sent += sent;
  if (whole) whole_until_ = counts_.sent;
  return sent;
}

void Load::give_counts() noexcept {
  given_ = counts_;
  given_.checked = checked_.load(std::memory_order_relaxed);
  given_.processor_ns = processor_ns();
  latency_before_ = latency_;
  latency_.clear();
  asked_.store(false, std::memory_order_release);
}

Load::Counts Load::take_counts() noexcept {
  asked_.store(true, std::memory_order_release);
  while (asked_.load(std::memory_order_acquire)) ::sched_yield();
  return given_;
}

}  // namespace ssn::bench
