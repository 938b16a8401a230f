// SPDX-License-Identifier: BSD-3-Clause
// kernels_bench: speed of the kernels beside what the libraries give.
//
// Names are OP/SCHEME/k:K/n:N/bytes:B/IMPL. bytes_per_second is user data, the median over the slices of time
// in which the core was undisturbed (clock.h). Everything else about running and reporting is Google
// Benchmark's; scripts/bench kernels runs it in interleaved rounds and prints a table.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clock.h"
#include "contender.h"
#include "ssn/kernels/kernels.h"
#include "throughput.h"

namespace ssn::bench {
namespace {

struct Options {
  bool cold = false;
  unsigned rotate = 0;
};

/// The case being measured. Google Benchmark calls a benchmark several times in a row to find the number of
/// iterations; buffers and checks are made once. Only one exists at a time, so memory stays bounded.
struct Bench {
  std::string name;
  std::unique_ptr<Fixture> fixture;
  std::unique_ptr<Contender> contender;
  std::string error;
};

std::unique_ptr<Contender> make_named(const std::string& implementation, Fixture& fixture) {
  if (implementation == "baseline") return make_baseline(fixture, Level::best);
  if (implementation == "baseline_avx2") return make_baseline(fixture, Level::avx2);
  if (implementation == "composed") return make_composed(fixture);
  return make_ours(implementation, fixture);
}

Bench& prepared(const std::string& name, const Case& what, const std::string& implementation, bool cold) {
  static Arena arena;
  static Bench bench;
  if (bench.name == name) return bench;
  bench.contender.reset();
  bench.fixture.reset();
  bench.error.clear();
  bench.name = name;
  try {
    bench.fixture = std::make_unique<Fixture>(what, cold, arena);
    bench.contender = make_named(implementation, *bench.fixture);
    bench.error = verify(*bench.contender, *bench.fixture);
    if (!bench.error.empty()) bench.error = "wrong result, not timed: " + bench.error;
  } catch (const std::exception& exception) {
    bench.error = exception.what();
  }
  return bench;
}

/// Multiplications, streams and so on per column of bytes, for the comparison with the machine's limits.
void count_work(benchmark::State& state, const Fixture& fixture, const Contender& contender) {
  for (const auto& [name, value] : work_of(fixture, contender.form())) state.counters[name] = value;
}

/// bytes_per_second as SetBytesProcessed names it, but from the clean slices: the Time columns are of all.
void report(benchmark::State& state, const Timing& timing, double bytes) {
  if (timing.nanoseconds <= 0) return;
  state.counters["bytes_per_second"] = benchmark::Counter(
      bytes / timing.nanoseconds * 1e9, benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
  state.counters["cycles_per_byte"] = timing.nanoseconds * timing.gigahertz / bytes;
  state.counters["clean"] = timing.clean;
  state.counters["GHz"] = timing.gigahertz;
}

void measure(benchmark::State& state, const std::string& name, const Case& what,
             const std::string& implementation, bool cold) {
  Bench& bench = prepared(name, what, implementation, cold);
  if (!bench.error.empty()) {
    state.SkipWithError(bench.error.c_str());
    return;
  }
  bool good = true;
  const Timing timing = time_in_slices(state, [&](std::size_t times) {
    good &= bench.contender->run(times);
    benchmark::ClobberMemory();
  });
  if (!good) state.SkipWithError("an operation failed while it was timed");
  report(state, timing, static_cast<double>(what.user_bytes()));
  count_work(state, *bench.fixture, *bench.contender);
}

std::vector<std::string> contenders(const Case& what) {
  std::vector<std::string> names;
  for (const kernels::Implementation* implementation : kernels::implementations()) {
    if (kernels::supported(*implementation)) names.emplace_back(kernels::name(*implementation));
  }
  names.emplace_back("baseline");
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) names.emplace_back("baseline_avx2");
#endif
  if (what.operation->kind == Kind::split || what.operation->kind == Kind::recover) {
    if (what.parameters.scheme == kernels::Scheme::systematic) names.emplace_back("composed");
  }
  return names;
}

void register_case(const Case& what, const Options& options) {
  std::vector<std::string> names = contenders(what);
  const auto first = static_cast<std::ptrdiff_t>(options.rotate % names.size());
  std::rotate(names.begin(), names.begin() + first, names.end());
  for (const std::string& implementation : names) {
    const std::string name = (options.cold ? "cold/" : "") + what.name() + "/" + implementation;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [name, what, implementation, cold = options.cold](auto& state) {
                                   measure(state, name, what, implementation, cold);
                                 });
  }
}

void register_all(const Options& options) {
  for (const Operation& operation : operations()) {
    for (const std::size_t bytes : sizes()) {
      if (operation.codes == no_code) {
        register_case({&operation, {kernels::Scheme::systematic, 2, 2, 1}, bytes}, options);
        continue;
      }
      for (const CodeParameters& code : codes()) {
        const unsigned family = code.scheme == kernels::Scheme::rs ? erasure : sharing;
        if ((operation.codes & family) != 0) register_case({&operation, code, bytes}, options);
      }
    }
  }
}

/// Takes our own options off the command line. False when one of them makes no sense.
bool take_options(int& count, char** arguments, Options& options) {
  int kept = 1;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    constexpr std::string_view rotate = "--rotate=";
    if (argument == "--cold") {
      options.cold = true;
    } else if (argument.substr(0, rotate.size()) == rotate) {
      const std::string_view number = argument.substr(rotate.size());
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), options.rotate);
      if (error != std::errc{} || end != number.data() + number.size()) {
        std::fprintf(stderr, "kernels_bench: %s is not --rotate=NUMBER\n", arguments[i]);
        return false;
      }
    } else {
      arguments[kept++] = arguments[i];
    }
  }
  count = kept;
  return true;
}

}  // namespace
}  // namespace ssn::bench

int main(int count, char** arguments) {
  ssn::bench::Options options;
  if (!ssn::bench::take_options(count, arguments, options)) return 2;
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) {
    std::fputs(
        "kernels_bench: its own options are --cold (inputs beyond the last-level cache) and --rotate=N "
        "(order of contenders)\n",
        stderr);
    return 2;
  }
  ssn::bench::register_all(options);
  ssn::bench::register_limits();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
