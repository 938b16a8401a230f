// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/rate_meter.h"

#include <algorithm>
#include <cassert>

namespace ssn::roles {
namespace {

constexpr std::uint64_t one_s = 1'000'000'000;
constexpr std::uint64_t usual_burst_divisor = 10;  // of what a second brings
constexpr double longest_burst_ns = 60e9;
constexpr std::uint64_t quanta_a_second = 64;
constexpr std::uint64_t most_reserved = std::uint64_t{1} << 34;  // so that no product overflows

}  // namespace

void RateMeter::set(const Rate& rate) noexcept {
  const std::uint64_t bytes = rate.bytes_per_second;
  const std::uint64_t burst = rate.burst_bytes != 0 ? rate.burst_bytes : bytes / usual_burst_divisor;
  const double depth =
      bytes == 0 ? 0.0 : static_cast<double>(burst) * double{one_s} / static_cast<double>(bytes);
  burst_.store(burst, std::memory_order_relaxed);
  depth_ns_.store(static_cast<std::uint64_t>(std::min(depth, longest_burst_ns)), std::memory_order_relaxed);
  rate_.store(bytes, std::memory_order_relaxed);
}

std::uint64_t RateMeter::reserve(std::uint64_t bytes, std::uint64_t now_ns) noexcept {
  assert(bytes < most_reserved && "a session reserves a few blocks");
  const std::uint64_t rate = bytes_per_second();
  if (rate == 0) return now_ns;
  const std::uint64_t worth_ns = (bytes * one_s + rate - 1) / rate;  // never too short
  const std::uint64_t depth_ns = depth_ns_.load(std::memory_order_relaxed);
  const std::uint64_t oldest_ns = now_ns > depth_ns ? now_ns - depth_ns : 0;
  std::uint64_t taken = taken_ns_.load(std::memory_order_relaxed);
  std::uint64_t due = 0;
  do {
    due = std::max(taken, oldest_ns) + worth_ns;
  } while (!taken_ns_.compare_exchange_weak(taken, due, std::memory_order_relaxed));
  reserved_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (due <= now_ns) return now_ns;
  waits_.fetch_add(1, std::memory_order_relaxed);
  waited_ns_.fetch_add(due - now_ns, std::memory_order_relaxed);
  return due;
}

bool RateMeter::is_full(std::uint64_t now_ns) const noexcept {
  const std::uint64_t depth_ns = depth_ns_.load(std::memory_order_relaxed);
  return taken_ns_.load(std::memory_order_relaxed) + depth_ns <= now_ns;
}

bool Pacer::limited() const noexcept {
  return std::any_of(meters_.begin(), meters_.end(),
                     [](const RateMeter* meter) { return meter != nullptr && meter->limited(); });
}

// What the slower one brings in a 64th of a second.
std::uint32_t Pacer::quantum() const noexcept {
  std::uint64_t slowest = UINT64_MAX;
  for (const RateMeter* const meter : meters_) {
    if (meter != nullptr && meter->limited()) slowest = std::min(slowest, meter->bytes_per_second());
  }
  const std::uint64_t blocks = slowest / quanta_a_second / block_bytes_;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(blocks, least_blocks, most_blocks));
}

std::int64_t Pacer::ahead() const noexcept {
  std::uint64_t least = UINT64_MAX;
  for (const RateMeter* const meter : meters_) {
    if (meter != nullptr && meter->limited()) least = std::min(least, meter->burst_bytes());
  }
  return static_cast<std::int64_t>(std::max<std::uint64_t>(least / block_bytes_, quantum()));
}

void Pacer::refill(std::int64_t wanted, std::uint64_t now_ns) noexcept {
  if (!limited()) {
    balance_ = 0;
    coming_ = 0;
    return;
  }
  for (;;) {
    if (coming_ != 0) {
      if (now_ns < due_ns_) return;
      balance_ += coming_;
      coming_ = 0;
    }
    if (balance_ >= wanted) return;
    const std::uint32_t blocks = quantum();
    const std::uint64_t bytes = std::uint64_t{blocks} * block_bytes_;
    std::uint64_t due = now_ns;
    for (RateMeter* const meter : meters_) {
      if (meter != nullptr) due = std::max(due, meter->reserve(bytes, now_ns));
    }
    coming_ = blocks;
    due_ns_ = due;
  }
}

}  // namespace ssn::roles
