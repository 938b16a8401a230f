// SPDX-License-Identifier: BSD-3-Clause
#include "throughput.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "arena.h"
#include "clock.h"
#if defined(__x86_64__)
#include "throughput_x86.h"
#endif

namespace ssn::bench {
namespace {

struct Work {
  double mul = 0;
  double add = 0;
  double in = 0;
  double out = 0;
  double aes = 0;
  double hash = 0;

  void row(const std::uint8_t* coefficients, unsigned count) {
    unsigned terms = 0;
    for (unsigned i = 0; i < count; ++i) {
      mul += coefficients[i] > 1 ? 1 : 0;
      terms += coefficients[i] > 0 ? 1 : 0;
    }
    add += terms > 0 ? terms - 1 : 0;
  }
};

void add_split(Work& work, const Fixture& fixture, const Form& form) {
  const Operation& operation = *fixture.what().operation;
  const unsigned outputs = fixture.n() - form.first_share;
  const unsigned random_blocks = fixture.random_blocks();
  for (unsigned share = form.first_share; share < fixture.n(); ++share) {
    work.row(&form.generator.entries[std::size_t{share} * fixture.k()], fixture.k());
  }
  work.in = fixture.data_blocks();
  work.out = outputs;
  (operation.has(generated) ? work.aes : work.in) += random_blocks;
  if (operation.has(with_pads)) {
    work.add += outputs;
    work.in += outputs;
  }
  if (!operation.has(with_tags)) return;
  work.hash = fixture.n();
  work.in += form.first_share;  // the kept blocks are read once more
}

void add_recover(Work& work, const Fixture& fixture) {
  const Operation& operation = *fixture.what().operation;
  const std::vector<std::uint8_t>& sources = fixture.sources();
  std::vector<std::uint8_t> row(fixture.k());
  work.in = fixture.k();
  if (operation.kind == Kind::repair) {
    fixture.code().share_from_shares(sources.data(), fixture.repaired_share(), row.data());
    work.row(row.data(), fixture.k());
    work.out = 1;
  } else if (operation.kind == Kind::check) {
    for (unsigned i = fixture.k(); i < fixture.n(); ++i) {
      fixture.code().share_from_shares(sources.data(), sources[i], row.data());
      work.row(row.data(), fixture.k());
      work.add += 1;
    }
    work.in = fixture.n();
  } else {
    for (unsigned block = 0; block < fixture.data_blocks(); ++block) {
      fixture.code().data_from_shares(sources.data(), block, row.data());
      work.row(row.data(), fixture.k());
    }
    work.out = fixture.data_blocks();
  }
  if (operation.has(with_pads)) {
    work.add += fixture.k();
    work.in += fixture.k();
  }
  if (operation.has(with_tags)) work.hash = fixture.k();
}

}  // namespace

std::vector<std::pair<std::string, double>> work_of(const Fixture& fixture, const Form& form) {
  Work work;
  switch (fixture.what().operation->kind) {
    case Kind::split:
      add_split(work, fixture, form);
      break;
    case Kind::recover:
    case Kind::repair:
    case Kind::check:
      add_recover(work, fixture);
      break;
    case Kind::pad:
      work = {0, 1, 2, 1, 0, 0};
      break;
    case Kind::tag:
      work = {0, 0, 1, 0, 0, 1};
      break;
    case Kind::random:
      work = {0, 0, 0, 1, 1, 0};
      break;
  }
  return {{"mul", work.mul}, {"add", work.add}, {"in", work.in},
          {"out", work.out}, {"aes", work.aes}, {"hash", work.hash}};
}

#if defined(__x86_64__)
namespace {

void report(benchmark::State& state, const Timing& timing, double amount) {
  if (timing.nanoseconds <= 0) return;
  state.counters["per_cycle"] = amount / (timing.nanoseconds * timing.gigahertz);
  state.counters["clean"] = timing.clean;
  state.counters["GHz"] = timing.gigahertz;
}

void measure_instructions(benchmark::State& state, const InstructionLoop& loop) {
  Arena arena;
  arena.reset(Arena::worst_case(instruction_buffer_bytes));
  std::uint8_t* const buffer = arena.buffer(instruction_buffer_bytes);
  constexpr std::size_t turns = 200;
  const Timing timing = time_in_slices(state, [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) loop.run(turns, buffer);
  });
  report(state, timing, static_cast<double>(turns) * loop.per_turn);
}

void measure_region(benchmark::State& state, const RegionLoop& loop, std::size_t bytes) {
  Arena arena;
  arena.reset(Arena::worst_case(bytes));
  std::uint8_t* const region = arena.buffer(bytes);
  std::fill_n(region, bytes, std::uint8_t{1});
  const Timing timing = time_in_slices(state, [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) loop.run(region, bytes);
  });
  report(state, timing, static_cast<double>(bytes));
}

}  // namespace

void register_limits() {
  for (std::size_t i = 0; i < instruction_loop_count; ++i) {
    const InstructionLoop& loop = instruction_loops[i];
    if (!loop.supported()) continue;
    benchmark::RegisterBenchmark((std::string("limit/") + loop.name).c_str(),
                                 [&loop](benchmark::State& state) { measure_instructions(state, loop); });
  }
  // Inside the first, second and third level of usual caches, and outside of all.
  constexpr std::array<std::size_t, 4> regions{16384, 524288, 8388608, 268435456};
  for (std::size_t i = 0; i < region_loop_count; ++i) {
    const RegionLoop& loop = region_loops[i];
    if (!loop.supported()) continue;
    for (const std::size_t bytes : regions) {
      const std::string name = std::string("limit/") + loop.name + "/bytes:" + std::to_string(bytes);
      benchmark::RegisterBenchmark(
          name.c_str(), [&loop, bytes](benchmark::State& state) { measure_region(state, loop, bytes); });
    }
  }
}
#else
void register_limits() {}  // another architecture brings its own loops
#endif

}  // namespace ssn::bench
