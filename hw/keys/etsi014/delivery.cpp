// SPDX-License-Identifier: BSD-3-Clause
#include "delivery.h"

#include <cassert>
#include <cstring>

#include "base64.h"

namespace ssn::hw::etsi014 {
namespace {

constexpr Time rate_window = 500;

}  // namespace

std::uint64_t Delivery::room() const noexcept {
  const std::uint64_t held = end_ - released_.load(std::memory_order_acquire);
  assert(held <= ring_bytes_);
  return ring_bytes_ - held;
}

bool Delivery::append(const std::uint8_t* text, std::size_t length, std::size_t bytes) noexcept {
  assert(bytes >= 1 && bytes <= room() && base64_decoded_bytes(text, length) == bytes);
  std::uint8_t* const at = ring_ + (end_ & (ring_bytes_ - 1));
  if (!base64_decode(text, length, at)) {
    ::explicit_bzero(at, bytes);
    return false;
  }
  end_ += bytes;
  return true;
}

bool Delivery::publish(Time now) noexcept {
  const std::uint64_t before = published_.load(std::memory_order_relaxed);
  if (end_ == before) {
    return false;
  }
  published_.store(end_, std::memory_order_release);
  window_bytes_ += end_ - before;
  if (window_begin_ == 0) {
    window_begin_ = now;
  } else if (now - window_begin_ >= rate_window) {
    rate_.store(window_bytes_ * 1000 / static_cast<std::uint64_t>(now - window_begin_),
                std::memory_order_relaxed);
    window_begin_ = now;
    window_bytes_ = 0;
  }
  return true;
}

void Delivery::erase_unpublished() noexcept {
  const std::uint64_t begin = published_.load(std::memory_order_relaxed);
  if (begin != end_) {
    ::explicit_bzero(ring_ + (begin & (ring_bytes_ - 1)), end_ - begin);
    end_ = begin;
  }
}

void Delivery::set_health(ssn_key_health health) noexcept {
  if (health_.load(std::memory_order_relaxed) != SSN_KEY_HEALTH_FAILED) {
    health_.store(health, std::memory_order_release);
  }
}

void Delivery::read(ssn_key_stream_statistics& statistics) const noexcept {
  statistics.delivered = published_.load(std::memory_order_relaxed);
  statistics.level = level_.load(std::memory_order_relaxed);
  statistics.bytes_per_second = rate_.load(std::memory_order_relaxed);
  statistics.redelivered_blocks = asked_again_.load(std::memory_order_relaxed);
  statistics.starved = starved_.load(std::memory_order_relaxed);
  statistics.stalled = stalled_.load(std::memory_order_relaxed);
}

}  // namespace ssn::hw::etsi014
