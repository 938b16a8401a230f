// SPDX-License-Identifier: BSD-3-Clause
// Traces: which nodes some packets pass, and what nodes say of them. Where nothing is traced a node pays one
// predictable branch a burst. Records hold no payload and no key.
//
// A worker writes into a ring of its own while a trace is set (Worker::set_trace); one other thread reads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ssn::dataplane {

inline constexpr std::uint32_t any_node = UINT32_MAX;
inline constexpr std::uint32_t any_port = UINT32_MAX;

/// One packet at one node.
struct TraceRecord {
  std::uint32_t packet = 0;       ///< one number for all records of a packet
  std::uint32_t node = any_node;  ///< DPDK's number of the node; node_name() says its name
  std::uint32_t next = any_node;  ///< the node that it was sent to; any_node: a remark, or its end
  std::uint32_t bytes = 0;        ///< of the packet
  std::uint64_t time_ns = 0;
  const char* detail = nullptr;  ///< format with two numbers in it ("share {} of block {}"); may be null
  std::uint64_t numbers[2] = {0, 0};
};

/// Which packets, and how many. Shared by all workers.
struct TraceWish {
  std::uint32_t port = any_port;         ///< DPDK's number of the port that received them
  std::atomic<std::uint32_t> left{0};    ///< still to be marked
  std::atomic<std::uint32_t> marked{0};  ///< gives packets their numbers, from 1
};

class TraceBuffer {
 public:
  static constexpr std::size_t records = 4096;

  /// `wish` must outlive it. `node`: DPDK's number of the node at which packets are marked, on this worker;
  /// any_node: where they are received.
  TraceBuffer(TraceWish& wish, std::uint32_t node) : wish_(wish), node_(node), ring_(records) {}

  // ---- The worker.
  TraceWish& wish() noexcept { return wish_; }
  std::uint32_t node() const noexcept { return node_; }
  /// The number of a packet to be traced from now on; 0: there were enough.
  std::uint32_t mark() noexcept {
    std::uint32_t left = wish_.left.load(std::memory_order_relaxed);
    while (left != 0) {
      if (wish_.left.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
        return wish_.marked.fetch_add(1, std::memory_order_relaxed) + 1;
      }
    }
    return 0;
  }
  void add(const TraceRecord& record) noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == records) {
      lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    ring_[tail % records] = record;
    tail_.store(tail + 1, std::memory_order_release);
  }

  // ---- The reader.
  /// Appends at most `most` records.
  void read(std::vector<TraceRecord>& out, std::size_t most) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    const std::uint64_t count = tail - head < most ? tail - head : most;
    for (std::uint64_t i = 0; i < count; ++i) {
      out.push_back(ring_[(head + i) % records]);
    }
    head_.store(head + count, std::memory_order_release);
  }
  /// Records for which there was no room.
  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  TraceWish& wish_;
  const std::uint32_t node_;
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::vector<TraceRecord> ring_;
};

/// The name of the node with that number. Empty where there is none.
std::string node_name(std::uint32_t node);

}  // namespace ssn::dataplane
