// SPDX-License-Identifier: BSD-3-Clause
// Sends frames by one port, takes them back by another, and never has more than a window of them on the way:
// what is between the ports sets the pace. It yields its core where there is nothing to do, since a machine
// may have no core to spare for it.
#pragma once

#include <atomic>
#include <cstdint>

#include "frames.h"
#include "ssn/dataplane/port.h"

namespace ssn::bench {

class Load {
 public:
  struct Options {
    std::uint32_t frame_bytes = 1316;  ///< with the Ethernet header
    std::uint32_t window = 256;        ///< frames on the way; 0: as many as the port takes
  };
  struct Counts {
    std::uint64_t sent = 0, delivered = 0, missing = 0, late = 0, wrong = 0, checked = 0;
    std::uint64_t processor_ns = 0;  ///< of its thread
  };

  Load(const Options& options, const dataplane::Port& out, const dataplane::Port& in)
      : options_(options), out_(out), in_(in) {}
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Until stop().
  void run() noexcept;

  // ---- Any thread.
  void stop() noexcept { stops_.store(true, std::memory_order_release); }
  /// Every byte is written and checked from now on, or number and time alone.
  void check_all(bool on) noexcept { checks_.store(on, std::memory_order_release); }
  std::uint64_t checked() const noexcept { return checked_.load(std::memory_order_acquire); }
  std::uint64_t wrong() const noexcept { return wrong_.load(std::memory_order_acquire); }

  /// What happened since the start, as the thread that runs it sees it; waits for that thread.
  Counts take_counts() noexcept;
  /// In ticks, of the frames between the last two calls of take_counts().
  double latency(double quantile) const noexcept { return latency_before_.quantile(quantile); }

 private:
  std::uint32_t receive(std::uint64_t now) noexcept;
  std::uint32_t send(std::uint64_t now) noexcept;
  void take(const std::uint8_t* frame, std::uint32_t bytes, std::uint64_t now) noexcept;
  void give_counts() noexcept;

  const Options options_;
  const dataplane::Port& out_;
  const dataplane::Port& in_;
  std::atomic<bool> stops_{false}, checks_{true}, asked_{false};
  std::atomic<std::uint64_t> checked_{0}, wrong_{0};

  // The running thread's.
  std::uint64_t whole_until_ = 0;  // numbers below it carry all their bytes
  std::uint64_t expected_ = 0;
  Counts counts_, given_;
  Latency latency_, latency_before_;
};

}  // namespace ssn::bench
