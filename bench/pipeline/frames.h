// SPDX-License-Identifier: BSD-3-Clause
// The frames that benchmarks of the pipeline send: a number, a time, and bytes that follow from the number.
// And where they come back: what is missing, what is wrong, how long they took. One thread.
#pragma once

#include <array>
#include <cstdint>

namespace ssn::bench {

/// Writes one frame with its Ethernet header. `whole`: all bytes; otherwise only number and time.
void write_frame(std::uint8_t* frame, std::uint32_t bytes, std::uint64_t number, std::uint64_t now,
                 bool whole) noexcept;

/// What a frame that came back says.
struct Arrival {
  bool good = false;  ///< its header, and all of its bytes where `whole` was asked for
  std::uint64_t number = 0;
  std::uint64_t sent_at = 0;
};
Arrival read_frame(const std::uint8_t* frame, std::uint32_t bytes, bool whole) noexcept;

/// A histogram of ticks: steps of 2^(1/8), about.
class Latency {
 public:
  void add(std::uint64_t ticks) noexcept;
  double quantile(double which) const noexcept;
  void clear() noexcept { counts_.fill(0); }

 private:
  std::array<std::uint64_t, 512> counts_{};
};

}  // namespace ssn::bench
