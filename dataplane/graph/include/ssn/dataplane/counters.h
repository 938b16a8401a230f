// SPDX-License-Identifier: BSD-3-Clause
// Counters that workers write and others read without touching the workers: plain numbers in a block per
// worker, registered by name while graphs are built. No DPDK.
//
// Names are stable and dotted: "drop.bad_tag", "port.client.rx_packets". A name keeps its number over swaps
// of the configuration. Reading sums over workers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/counter.h"

namespace ssn::dataplane {

/// Written by one worker, read by anybody.
using hw::Counter;

enum class CounterKind : std::uint8_t {
  counter,  ///< only grows
  gauge,    ///< goes up and down
};

class Counters {
 public:
  static constexpr std::size_t names_max = 16384;

  explicit Counters(unsigned workers);
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;
  ~Counters();

  /// The counter of this name for one worker: the same one whenever it is asked for. Control threads, not
  /// between packets: locks and allocates. Never fails: beyond names_max everybody gets one common counter,
  /// which is called "counters.too_many".
  Counter& get(unsigned worker, std::string_view name, CounterKind kind = CounterKind::counter);
  /// Registers a number that somebody else keeps; it must live as long as this. Called by readers.
  void add_source(std::string name, CounterKind kind, std::function<std::uint64_t()> read);

  struct Value {
    std::string name;
    std::uint64_t value = 0;
    CounterKind kind = CounterKind::counter;
  };
  /// All whose name begins with `prefix`, sorted by name, summed over workers. Any thread.
  std::vector<Value> read(std::string_view prefix = {}) const;
  /// One of them, summed over workers; 0 where there is none. Any thread.
  std::uint64_t value(std::string_view name) const;

 private:
  struct Block;
  struct Entry {
    CounterKind kind = CounterKind::counter;
    std::vector<Counter*> of_worker;  // null: not asked for
    std::function<std::uint64_t()> source;
  };
  std::uint64_t sum(const Entry& entry) const;
  Counter& fresh(unsigned worker);

  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::deque<std::unique_ptr<Block>>> blocks_;  // of each worker
};

}  // namespace ssn::dataplane
