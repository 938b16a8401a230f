// SPDX-License-Identifier: BSD-3-Clause
// Time on a core that may not be ours alone. The clock changes with load, and where the machine is virtual
// the other thread of the physical core may belong to a stranger, who takes half of the execution units for
// milliseconds at a time. Neither is seen in any counter, but both can be measured beside the benchmark.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace ssn::bench {

/// The clock in GHz at which this core runs now, from a chain of dependent operations of known latency. The
/// time-stamp counter does not tell: it ticks at a fixed rate whatever the core does.
double core_gigahertz() noexcept;

/// What was found over many slices of about 100 microseconds.
struct Timing {
  double nanoseconds = 0;  ///< per operation: the median over clean slices
  double clean = 0;        ///< share of slices that were clean
  double gigahertz = 0;
};

/// Runs Google Benchmark's loop in slices. Between slices independent additions are timed; a slice is clean
/// when the core did them at full speed right before and right after, and no other program ran in between.
/// Where no slice was clean (long operations beside a busy neighbour), the median is over all.
Timing time_in_slices(benchmark::State& state, const std::function<void(std::size_t times)>& run);

}  // namespace ssn::bench
