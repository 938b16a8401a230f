// SPDX-License-Identifier: BSD-3-Clause
// Pads from a kmnic stream, as users take them, beside a plain loop behind the same device.
#include <benchmark/benchmark.h>

#include "device.h"
#include "groups.h"
#include "stream.h"

namespace ssn::bench {
namespace {

constexpr std::size_t range_bytes = 1344;
// Of one iteration.
constexpr std::uint64_t round_bytes = std::uint64_t{6'000} * range_bytes;

void kmnic_take_and_erase(benchmark::State& state) {
  hw::KeyStream stream = RunningDevice::get().open_stream(static_cast<std::size_t>(state.range(0)) << 10);
  if (!delivers_right_keys(stream)) {
    state.SkipWithError("the device delivers wrong keys");
    return;
  }
  std::uint64_t sum = 0;
  SliceClock clock(RunningDevice::get().model_thread());
  for (auto _ : state) {
    clock.begin();
    const std::uint64_t end = stream.next() + round_bytes;
    while (stream.next() != end) {
      std::uint64_t offset = 0;
      std::uint8_t* const pad = stream.take(range_bytes, offset);
      if (pad == nullptr) {
        (void)stream.poll();
        continue;
      }
      sum ^= read_range(pad, range_bytes);
      zero_range(pad, range_bytes);
      stream.release(offset + range_bytes);
    }
    clock.end(round_bytes);
  }
  benchmark::DoNotOptimize(sum);
  if (stream.health() != SSN_KEY_HEALTH_OK || stream.statistics().redelivered_blocks != 0) {
    state.SkipWithError("the stream did not stay well");
  }
  clock.report(state);
}

// Everything that the driver does beyond waiting, reading and zeroing is left out. It looks into the driver's
// stream for where the memory is.
void plain_read_and_zero(benchmark::State& state) {
  hw::KeyStream stream = RunningDevice::get().open_stream(static_cast<std::size_t>(state.range(0)) << 10);
  if (!delivers_right_keys(stream)) {
    state.SkipWithError("the device delivers wrong keys");
    return;
  }
  const auto& inside = *reinterpret_cast<kmnic::Stream*>(stream.get());
  std::uint8_t* const ring = inside.head.ring;
  const std::uint64_t mask = inside.head.ring_bytes - 1;
  std::uint64_t sequence = inside.expected.sequence;
  std::uint64_t delivered = inside.head.end;
  std::uint64_t used = 0;
  std::uint64_t sum = 0;
  SliceClock clock(RunningDevice::get().model_thread());
  for (auto _ : state) {
    clock.begin();
    const std::uint64_t end = used + round_bytes;
    while (used != end) {
      if (delivered - used < range_bytes) {
        const kmnic::Descriptor& slot = inside.slots[sequence & (inside.expected.entries - 1)];
        if (__atomic_load_n(&slot.turn, __ATOMIC_ACQUIRE) ==
            kmnic::turn_of(sequence, inside.expected.entries)) {
          delivered += slot.length;
          ++sequence;
          inside.registers.write64(kmnic::stream::descriptor_credit, sequence);
          inside.registers.write64(kmnic::stream::key_credit, used);
        } else if (delivered - used < range_bytes) {
          inside.registers.write64(kmnic::stream::key_credit, used);
        }
        continue;
      }
      std::uint8_t* const pad = ring + (used & mask);
      sum ^= read_range(pad, range_bytes);
      zero_range(pad, range_bytes);
      used += range_bytes;
    }
    clock.end(round_bytes);
  }
  benchmark::DoNotOptimize(sum);
  clock.report(state);
}

}  // namespace

void register_kmnic() {
  for (const int kibibytes : {1024, 16384}) {
    benchmark::RegisterBenchmark("plain_read_and_zero/ring_kib", plain_read_and_zero)
        ->Arg(kibibytes)
        ->UseRealTime();
    benchmark::RegisterBenchmark("kmnic_take_and_erase/ring_kib", kmnic_take_and_erase)
        ->Arg(kibibytes)
        ->UseRealTime();
  }
}

}  // namespace ssn::bench
