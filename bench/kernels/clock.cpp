// SPDX-License-Identifier: BSD-3-Clause
#include "clock.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace ssn::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::duration<double, std::nano>;

constexpr double slice_nanoseconds = 1e5;
constexpr std::size_t max_slices = 65536;
// Clean probes differ by the clock's few percent, disturbed ones begin a fifth above.
constexpr double tolerance = 1.12;
constexpr double preemption_nanoseconds = 2e4;

// A dependent 64-bit multiplication takes three cycles on every x86-64 core since Nehalem and Zen, and on the
// common 64-bit Arm server cores.
constexpr double cycles_per_step = 3.0;
constexpr int steps = 20000;

double clock_once() noexcept {
  const auto start = Clock::now();
  std::uint64_t value = 1;
  for (int i = 0; i < steps / 10; ++i) {
    for (int j = 0; j < 10; ++j) {
      value *= 0x9E3779B97F4A7C15U;
      asm volatile("" : "+r"(value));  // keeps the chain as it is written
    }
  }
  return cycles_per_step * steps / Nanoseconds(Clock::now() - start).count();
}

/// About a microsecond of independent additions, as many per cycle as the core can do.
double probe() noexcept {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  std::uint64_t e = 0;
  std::uint64_t f = 0;
  const auto start = Clock::now();
  for (int i = 0; i < 2500; ++i) {
    ++a, ++b, ++c, ++d, ++e, ++f;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
  }
  return Nanoseconds(Clock::now() - start).count();
}

/// What this thread has used of the core.
double cpu_nanoseconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The fastest probe of this process so far.
double fastest_probe(double now) noexcept {
  static double fastest = [] {
    double best = probe();
    for (int i = 0; i < 1000; ++i) best = std::min(best, probe());
    return best;
  }();
  fastest = std::min(fastest, now);
  return fastest;
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// How many operations fill a slice.
std::size_t slice_size(const std::function<void(std::size_t)>& run) {
  run(1);  // warms caches
  std::size_t times = 1;
  for (;;) {
    const auto start = Clock::now();
    run(times);
    const double took = Nanoseconds(Clock::now() - start).count();
    if (took >= slice_nanoseconds / 4 || times >= (std::size_t{1} << 20)) {
      const double wanted = static_cast<double>(times) * slice_nanoseconds / std::max(took, 1.0);
      return static_cast<std::size_t>(std::max(wanted, 1.0));
    }
    times *= 2;
  }
}

}  // namespace

double core_gigahertz() noexcept {
  // An interrupt can only make a sample slower.
  double best = 0;
  for (int i = 0; i < 3; ++i) best = std::max(best, clock_once());
  return best;
}

Timing time_in_slices(benchmark::State& state, const std::function<void(std::size_t times)>& run) {
  const std::size_t times = slice_size(run);
  std::vector<double> all;
  std::vector<double> clean;
  all.reserve(max_slices);
  clean.reserve(max_slices);
  const double clock_before = core_gigahertz();
  double before = probe();
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(times))) {
    const double cpu_start = cpu_nanoseconds();
    const auto start = Clock::now();
    run(times);
    const double took = Nanoseconds(Clock::now() - start).count();
    const double cpu = cpu_nanoseconds() - cpu_start;
    const double after = probe();
    const bool alone = std::max(before, after) <= tolerance * fastest_probe(std::min(before, after));
    const bool preempted = took > cpu + preemption_nanoseconds;
    if (all.size() < max_slices) all.push_back(std::min(took, cpu) / static_cast<double>(times));
    if (alone && !preempted && clean.size() < max_slices) clean.push_back(took / static_cast<double>(times));
    before = after;
  }
  Timing timing;
  timing.gigahertz = std::max(clock_before, core_gigahertz());
  timing.clean = all.empty() ? 0 : static_cast<double>(clean.size()) / static_cast<double>(all.size());
  if (!all.empty()) timing.nanoseconds = median(clean.empty() ? all : clean);
  return timing;
}

}  // namespace ssn::bench
