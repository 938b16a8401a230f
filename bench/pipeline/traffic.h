// SPDX-License-Identifier: BSD-3-Clause
// The world around the pipeline, inside its ports: callbacks of DPDK at the client port make frames and take
// them back, those at link ports are the wire. A link port is a ring whose two ends are one: what leaves by
// it comes in by it again, with sender and receiver exchanged, as if the peer had sent it. Sums of IP and UDP
// stay right by that. The peer's answers to ARP are made in the same way.
//
// There are never more frames (frames.h) under way than a window, so that nothing is dropped and queues stay
// as long as they should be.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "frames.h"
#include "ssn/dataplane/ports.h"

namespace ssn::bench {

class Traffic {
 public:
  struct Options {
    std::uint32_t frame_bytes = 0;  ///< with the Ethernet header
    std::uint32_t burst = 32;       ///< frames that come in at once
    std::uint32_t window = 64;      ///< frames under way
    std::uint32_t frames_per_block = 1;
    unsigned cut = 0;   ///< this many links, from the first, deliver nothing
    bool cold = false;  ///< what ports give out is in no cache
  };
  enum class Mode : int {
    stop,   ///< no new frames
    loop,   ///< frames go out and come back
    sends,  ///< links lose everything, only the sending side works
  };

  explicit Traffic(const Options& options) : options_(options) {}
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// Hooks itself into the ports: "client", and the others as links. Before workers run.
  bool attach(const dataplane::Ports& ports);

  // ---- Any thread.
  void set_mode(Mode mode) noexcept { mode_.store(mode, std::memory_order_release); }
  /// All bytes of frames are written and checked, not only their number.
  void check_all(bool on) noexcept { checks_.store(on, std::memory_order_release); }
  std::uint64_t generated() const noexcept { return generated_.load(std::memory_order_relaxed); }
  std::uint64_t delivered() const noexcept { return delivered_.load(std::memory_order_relaxed); }
  std::uint64_t blocks() const noexcept { return blocks_.load(std::memory_order_relaxed); }
  /// Frames with a wrong byte, number or length.
  std::uint64_t wrong() const noexcept { return wrong_.load(std::memory_order_relaxed); }
  std::uint64_t missing() const noexcept { return missing_.load(std::memory_order_relaxed); }
  std::uint64_t checked() const noexcept { return checked_.load(std::memory_order_relaxed); }

  /// In ticks, of the frames delivered since forget_latency(); not while frames are under way.
  double latency(double quantile) const { return latency_.quantile(quantile); }
  void forget_latency() { latency_.clear(); }

 private:
  struct Link {
    Traffic* traffic = nullptr;
    unsigned number = 0;
    std::array<std::uint8_t, 6> mac{};
  };
  friend struct Callbacks;

  std::uint16_t generate(void** packets, std::uint16_t room) noexcept;
  void take(void* const* packets, std::uint16_t count) noexcept;
  void check(const Arrival& arrival, std::uint32_t bytes, bool whole) noexcept;
  void turn_round(Link& link, void* const* packets, std::uint16_t count) noexcept;
  std::uint16_t arrive(Link& link, void** packets, std::uint16_t count) noexcept;
  std::uint64_t under_way() const noexcept;

  const Options options_;
  void* pool_ = nullptr;
  std::vector<Link> links_;
  std::atomic<Mode> mode_{Mode::stop};
  std::atomic<bool> checks_{true};
  std::atomic<std::uint64_t> generated_{0}, delivered_{0}, blocks_{0}, wrong_{0}, missing_{0}, checked_{0};
  std::uint64_t expected_ = 0;
  std::uint64_t blocks_before_ = 0;  // when only sending began
  std::uint64_t frames_before_ = 0;
  Mode seen_ = Mode::stop;
  Latency latency_;
};

}  // namespace ssn::bench
