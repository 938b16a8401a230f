// SPDX-License-Identifier: BSD-3-Clause
#include "frames.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace ssn::bench {
namespace {

constexpr std::uint32_t number_at = 14;
constexpr std::uint32_t time_at = 22;
constexpr std::uint32_t bytes_at = 30;
constexpr std::uint8_t header[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

// Of frame `number`: eight bytes at offset 8 * i.
std::uint64_t word_of(std::uint64_t number, std::uint64_t i) noexcept {
  return (number * 0x9e3779b97f4a7c15U + i) * 0xbf58476d1ce4e5b9U;
}

}  // namespace

void write_frame(std::uint8_t* frame, std::uint32_t bytes, std::uint64_t number, std::uint64_t now,
                 bool whole) noexcept {
  std::memcpy(frame, header, sizeof header);
  std::memcpy(frame + number_at, &number, sizeof number);
  std::memcpy(frame + time_at, &now, sizeof now);
  for (std::uint32_t at = bytes_at; whole && at < bytes; at += 8) {
    const std::uint64_t word = word_of(number, at);
    std::memcpy(frame + at, &word, std::min<std::uint32_t>(8, bytes - at));
  }
}

Arrival read_frame(const std::uint8_t* frame, std::uint32_t bytes, bool whole) noexcept {
  Arrival arrival;
  if (bytes < bytes_at || !std::equal(header, header + sizeof header, frame)) return arrival;
  arrival.good = true;
  std::memcpy(&arrival.number, frame + number_at, sizeof arrival.number);
  std::memcpy(&arrival.sent_at, frame + time_at, sizeof arrival.sent_at);
  for (std::uint32_t at = bytes_at; whole && at < bytes; at += 8) {
    const std::uint64_t word = word_of(arrival.number, at);
    arrival.good =
        arrival.good && std::memcmp(frame + at, &word, std::min<std::uint32_t>(8, bytes - at)) == 0;
  }
  return arrival;
}

void Latency::add(std::uint64_t ticks) noexcept {
  const std::uint64_t took = std::max<std::uint64_t>(ticks, 8);
  const auto power = static_cast<unsigned>(std::bit_width(took) - 1);
  ++counts_[std::min<std::size_t>(power * 8 + (took >> (power - 3) & 7), counts_.size() - 1)];
}

double Latency::quantile(double which) const noexcept {
  std::uint64_t all = 0;
  for (const std::uint64_t each : counts_) all += each;
  auto left = static_cast<std::uint64_t>(which * static_cast<double>(all));
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] > left) return std::ldexp(1.0 + static_cast<double>(i % 8) / 8, static_cast<int>(i / 8));
    left -= counts_[i];
  }
  return 0;
}

}  // namespace ssn::bench
