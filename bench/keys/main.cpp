// SPDX-License-Identifier: BSD-3-Clause
// keys_bench: speed of key devices. Google Benchmark's options, and --cores=CONSUMER,PRODUCER.
#include <benchmark/benchmark.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "device.h"
#include "groups.h"

namespace {

// The last two cores that this process may use: interrupts and other programs tend to sit on the first.
bool choose_cores() {
  cpu_set_t set;
  if (ssn::bench::cores.consumer >= 0 || ::sched_getaffinity(0, sizeof set, &set) != 0) {
    return ssn::bench::cores.consumer >= 0;
  }
  std::vector<int> allowed;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<unsigned>(core), &set)) {
      allowed.push_back(core);
    }
  }
  if (allowed.size() < 2) {
    std::fputs("keys_bench: needs two cores, one for the device and one for its user\n", stderr);
    return false;
  }
  ssn::bench::cores = {allowed[allowed.size() - 1], allowed[allowed.size() - 2]};
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const auto ours = [](const char* argument) {
    return std::sscanf(argument, "--cores=%d,%d", &ssn::bench::cores.consumer, &ssn::bench::cores.producer) ==
               2 ||
           std::string_view(argument).starts_with("--rotate=");  // scripts/bench gives it to every suite
  };
  argc = static_cast<int>(std::remove_if(argv + 1, argv + argc, ours) - argv);
  ssn::bench::register_kmnic();
  ssn::bench::register_pads();
  ssn::bench::register_packets();
  ssn::bench::register_etsi014();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  if (!choose_cores()) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
