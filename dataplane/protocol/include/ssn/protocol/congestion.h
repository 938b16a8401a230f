// SPDX-License-Identifier: BSD-3-Clause
// How fast to send: estimate of the round trip, window, pacing. After RFC 9002 (appendices A and B), with
// times in nanoseconds and granularity for networks of a building, not of the Internet.
#pragma once

#include <cstdint>

namespace ssn::protocol {

/// RFC 9002, 5 and 6.2.1.
class RoundTrip {
 public:
  RoundTrip(std::uint64_t initial_ns, std::uint64_t granularity_ns) noexcept
      : smoothed_(initial_ns), variation_(initial_ns / 2), granularity_(granularity_ns) {}

  /// `delay_ns`: what the peer says that it waited with its acknowledgement.
  void sample(std::uint64_t measured_ns, std::uint64_t delay_ns) noexcept;
  bool measured() const noexcept { return measured_; }
  std::uint64_t smoothed() const noexcept { return smoothed_; }
  std::uint64_t variation() const noexcept { return variation_; }
  std::uint64_t least() const noexcept { return least_; }
  std::uint64_t latest() const noexcept { return latest_; }
  /// After how long a packet counts as lost when a later one was acknowledged: `eighths` / 8 round trips.
  std::uint64_t loss_delay(unsigned eighths) const noexcept;
  /// After how long without any acknowledgement to ask for one.
  std::uint64_t probe_timeout(std::uint64_t ack_delay_ns) const noexcept;

 private:
  std::uint64_t smoothed_;
  std::uint64_t variation_;
  std::uint64_t granularity_;
  std::uint64_t least_ = 0;
  std::uint64_t latest_ = 0;
  bool measured_ = false;
};

/// NewReno in bytes, as RFC 9002, 7. What is lost is no longer in flight.
class CongestionWindow {
 public:
  /// `packet_bytes`: what is usually sent. `most`: never more than that. `controlled` false: always `most`,
  /// for links that are nobody else's.
  CongestionWindow(std::uint32_t packet_bytes, std::uint64_t most, bool controlled) noexcept;

  std::uint64_t bytes() const noexcept { return window_; }
  std::uint64_t in_flight() const noexcept { return in_flight_; }
  std::uint64_t room() const noexcept { return window_ > in_flight_ ? window_ - in_flight_ : 0; }
  bool slow_start() const noexcept { return window_ < threshold_; }

  void sent(std::uint32_t bytes) noexcept;
  void left(std::uint32_t bytes) noexcept;  ///< acknowledged, lost or given up
  /// A packet of that time arrived; grows where the window was what held the sender back.
  void acknowledged(std::uint32_t bytes, std::uint64_t sent_ns) noexcept;
  /// One of that time was lost. True where the window shrank for it.
  bool lost(std::uint64_t sent_ns, std::uint64_t now_ns) noexcept;
  /// It had not been lost, nor any other one of its episode: as if nothing had happened.
  void not_lost() noexcept;
  void persistent() noexcept;

 private:
  std::uint32_t packet_bytes_;
  std::uint64_t most_;
  bool controlled_;
  std::uint64_t window_;
  std::uint64_t threshold_ = UINT64_MAX;
  std::uint64_t in_flight_ = 0;
  std::uint64_t recovery_begin_ = 0;
  bool recovered_once_ = false;
  bool held_back_ = false;
  std::uint64_t window_before_ = 0;  // the last episode
  std::uint64_t threshold_before_ = 0;
  std::uint64_t episode_lost_ = 0;
  std::uint64_t grown_ = 0;  // bytes acknowledged towards the next packet
};

/// Spreads packets over the round trip; bursts are as long as the tolerance.
class Pacer {
 public:
  /// `packet_bytes`: what is usually sent. `most_bytes_per_second`: 0 for no cap.
  Pacer(std::uint32_t packet_bytes, std::uint64_t tolerance_ns, std::uint64_t most_bytes_per_second) noexcept
      : packet_bytes_(packet_bytes), tolerance_(tolerance_ns), cap_(most_bytes_per_second) {}

  /// Once the window or the round trip has changed.
  void set_pace(const CongestionWindow& window, const RoundTrip& trip) noexcept;
  /// How many packets of `bytes` bytes may go now.
  std::uint64_t allowed(std::uint32_t bytes, std::uint64_t now_ns) const noexcept;
  /// When the next one may.
  std::uint64_t next() const noexcept { return next_; }
  void sent(std::uint64_t bytes, std::uint64_t now_ns) noexcept;

 private:
  std::uint64_t behind() const noexcept;

  std::uint64_t packet_bytes_;
  std::uint64_t tolerance_;
  std::uint64_t cap_;
  std::uint64_t per_kibibyte_ = 0;  // ns
  std::uint64_t next_ = 0;
  std::uint64_t rest_ = 0;  // of a ns, in 1/1024
};

}  // namespace ssn::protocol
