// SPDX-License-Identifier: BSD-3-Clause
// The ring of one stream: the device's thread appends keys and publishes them, the consumer's thread looks
// and gives room back. Between the two there is nothing but atomic numbers.
#pragma once

#include <atomic>
#include <cstdint>

#include "ssn/key_device.h"
#include "types.h"

namespace ssn::hw::etsi014 {

class Delivery {
 public:
  Delivery(std::uint8_t* ring, std::uint64_t ring_bytes) : ring_(ring), ring_bytes_(ring_bytes) {}
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // ---- The device's thread
  /// Bytes that fit behind what was appended.
  std::uint64_t room() const noexcept;
  /// Delivered and not given back.
  std::uint64_t held() const noexcept { return ring_bytes_ - room(); }
  std::uint64_t ring_bytes() const noexcept { return ring_bytes_; }
  std::uint64_t end() const noexcept { return end_; }
  /// Decodes a key's base64 text behind the end; there must be room (asserted). False, and nothing appended
  /// or left in the ring, where the text is not valid.
  bool append(const std::uint8_t* text, std::size_t length, std::size_t bytes) noexcept;
  /// Shows the consumer what was appended. False where there was nothing.
  bool publish(Time now) noexcept;
  /// When the stream ends: what was appended and never shown.
  void erase_unpublished() noexcept;
  /// FAILED is final.
  void set_health(ssn_key_health health) noexcept;
  ssn_key_health health() const noexcept { return health_.load(std::memory_order_relaxed); }
  void count_starved() noexcept { starved_.fetch_add(1, std::memory_order_relaxed); }
  void count_stalled() noexcept { stalled_.fetch_add(1, std::memory_order_relaxed); }
  void count_asked_again() noexcept { asked_again_.fetch_add(1, std::memory_order_relaxed); }
  void set_level(std::uint64_t bytes) noexcept { level_.store(bytes, std::memory_order_relaxed); }

  // ---- The consumer's thread
  /// Health is read before the end: when it is FAILED, the end is the last one.
  ssn_key_health observed_health() const noexcept { return health_.load(std::memory_order_acquire); }
  std::uint64_t observed_end() const noexcept { return published_.load(std::memory_order_acquire); }
  void release(std::uint64_t offset) noexcept { released_.store(offset, std::memory_order_release); }
  void read(ssn_key_stream_statistics& statistics) const noexcept;

 private:
  std::uint8_t* const ring_;
  const std::uint64_t ring_bytes_;
  std::uint64_t end_ = 0;
  Time window_begin_ = 0;
  std::uint64_t window_bytes_ = 0;
  alignas(64) std::atomic<std::uint64_t> published_ = 0;
  std::atomic<ssn_key_health> health_ = SSN_KEY_HEALTH_STARVED;
  std::atomic<std::uint64_t> rate_ = 0;
  std::atomic<std::uint64_t> level_ = UINT64_MAX;
  std::atomic<std::uint64_t> starved_ = 0;
  std::atomic<std::uint64_t> stalled_ = 0;
  std::atomic<std::uint64_t> asked_again_ = 0;
  alignas(64) std::atomic<std::uint64_t> released_ = 0;
};

}  // namespace ssn::hw::etsi014
