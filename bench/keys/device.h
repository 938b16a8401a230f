// SPDX-License-Identifier: BSD-3-Clause
// A running device model on its own core, and what every reader of keys does with a range.
#pragma once

#include <benchmark/benchmark.h>
#include <ctime>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "device_model.h"
#include "ssn/hw/key_device.h"

namespace ssn::bench {

struct Cores {
  int consumer = -1;
  int producer = -1;
};
/// Set once by main().
extern Cores cores;

/// Moves the calling thread there; what it starts inherits that.
void run_on(int core);

/// Uses a range as cheaply as can be while it reads every byte. `length` is a multiple of 8.
inline std::uint64_t read_range(const std::uint8_t* range, std::size_t length) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < length; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, range + i, sizeof word);
    sum ^= word;
  }
  return sum;
}

/// Zeroes a range in a way that no compiler leaves out.
inline void zero_range(std::uint8_t* range, std::size_t length) noexcept {
  std::memset(range, 0, length);
  __asm__ volatile("" ::"r"(range) : "memory");
}

/// Measures slices of some milliseconds, and tells those in which neither side was interrupted: there both
/// threads used as much processor time as passed.
class SliceClock {
 public:
  explicit SliceClock(int producer_thread) noexcept;
  void begin() noexcept;
  void end(std::uint64_t bytes);
  /// Sets bytes_per_second, the median over the undisturbed slices (over all where none was), and their
  /// share.
  void report(benchmark::State& state);

 private:
  struct Instant {
    double wall = 0, consumer = 0, producer = 0;
  };
  Instant now() const noexcept;

  clockid_t producer_;
  Instant begin_;
  std::vector<double> clean_;
  std::vector<double> disturbed_;
};

/// The model with keys from AES-256-CTR, one link, and a driver that is connected to it.
class RunningDevice {
 public:
  /// One for the whole process; ends it with a message where it cannot be made.
  static RunningDevice& get();

  hw::KeyStream open_stream(std::size_t ring_bytes);
  hw::KeyDevice& device() noexcept { return device_; }
  int model_thread() const noexcept { return model_thread_; }

 private:
  RunningDevice();
  ~RunningDevice();

  std::string folder_;
  kme::DeviceModel model_;
  hw::KeyDevice device_;
  int model_thread_ = 0;
  std::uint32_t ksids_ = 0;
};

/// Whether the first bytes of a stream are those of the source that the model has.
bool delivers_right_keys(hw::KeyStream& stream);

}  // namespace ssn::bench
