// SPDX-License-Identifier: BSD-3-Clause
// pipeline_load: frames in by one port of a network of data planes, out by another. Started by scripts/bench
// pipeline. It checks every byte of some thousand frames, prints one line of JSON, and then goes on: a line
// "count" on standard input makes it print what happened since the start; the end of input ends it.
#include <fmt/core.h>
#include <rte_cycles.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>

#include "load.h"
#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/ports.h"

namespace ssn::bench {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Options {
  Load::Options load;
  std::string out, in, folder;
  unsigned core = 0;
  unsigned main_core = 0;
  std::uint64_t verify = 3000;  ///< frames
};

constexpr const char* usage =
    "pipeline_load --out=DEVICE --in=DEVICE --folder=DIRECTORY [--frame=1316] [--window=256] "
    "[--verify=3000]\n"
    "  [--core=0] [--main-core=0]\n";
constexpr milliseconds patience{60000};

bool read_option(std::string_view argument, Options& options) {
  const std::size_t equals = argument.find('=');
  const std::string_view name = argument.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
  if (name == "--out") return options.out = value, true;
  if (name == "--in") return options.in = value, true;
  if (name == "--folder") return options.folder = value, true;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number > 10'000'000) return false;
  if (name == "--verify") return options.verify = number, true;
  const std::pair<std::string_view, unsigned*> numbers[] = {{"--frame", &options.load.frame_bytes},
                                                            {"--window", &options.load.window},
                                                            {"--core", &options.core},
                                                            {"--main-core", &options.main_core}};
  for (const auto& [of, to] : numbers) {
    if (name == of) return *to = number, true;
  }
  return false;
}

[[noreturn]] void stop(const Error& error) {
  fmt::print(stderr, "pipeline_load: {}: {} ({})\n  {}\n", error.what, error.why, error.where, error.fix);
  std::_Exit(1);
}

// Quoted as TOML wants it; paths of temporary folders need no more.
std::string text_of(const Options& options) {
  return fmt::format(
      "[node]\nname = \"bench-load\"\n[eal]\nmemory = \"96 MiB\"\nmain_core = {}\n[workers]\ncores = \"{}\"\n"
      "[[port]]\nname = \"out\"\ndevice = '{}'\nmtu = {}\n[[port]]\nname = \"in\"\ndevice = '{}'\nmtu = {}\n",
      options.main_core, options.core, options.out, std::max(1500U, options.load.frame_bytes), options.in,
      std::max(1500U, options.load.frame_bytes));
}

int run_load(void* load) {
  static_cast<Load*>(load)->run();
  return 0;
}

void print(const Load& load, const Load::Counts& counts, Clock::time_point begun) {
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  const double microseconds = static_cast<double>(rte_get_tsc_hz()) / 1e6;
  fmt::print(
      "{{\"seconds\": {:.6f}, \"sent\": {}, \"delivered\": {}, \"missing\": {}, \"late\": {}, \"wrong\": {}, "
      "\"checked\": {}, \"processor_seconds\": {:.6f}, \"latency_us\": [{:.1f}, {:.1f}, {:.1f}]}}\n",
      seconds, counts.sent, counts.delivered, counts.missing, counts.late, counts.wrong, counts.checked,
      static_cast<double>(counts.processor_ns) / 1e9, load.latency(0.5) / microseconds,
      load.latency(0.99) / microseconds, load.latency(0.999) / microseconds);
  std::fflush(stdout);
}

// Whether every byte of enough frames came out right.
Outcome verify(Load& load, const Options& options) {
  const Clock::time_point until = Clock::now() + patience;
  while (load.checked() < options.verify && load.wrong() == 0 && Clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  if (load.wrong() != 0) {
    return Error{Exit::failed, "frames came out wrong", fmt::format("{} of them", load.wrong()), options.in,
                 "look at the counters of the data planes"};
  }
  if (load.checked() < options.verify) {
    return Error{Exit::failed, "frames do not come through",
                 fmt::format("{} of {} in {} s", load.checked(), options.verify, patience.count() / 1000),
                 options.in, "look at the counters of the data planes"};
  }
  load.check_all(false);
  return done;
}

Outcome serve(Load& load, const Options& options) {
  const Clock::time_point begun = Clock::now();
  if (Outcome outcome = verify(load, options); !outcome.ok()) return outcome;
  print(load, load.take_counts(), begun);
  for (std::string line; std::getline(std::cin, line) && line == "count";) {
    print(load, load.take_counts(), begun);
  }
  return load.wrong() == 0
             ? Outcome(done)
             : Outcome(Error{Exit::failed, "frames came out wrong", fmt::format("{} of them", load.wrong()),
                             options.in, "look at the counters of the data planes"});
}

Outcome run(const Options& options) {
  using namespace dataplane;
  Result<Configuration> configuration = Configuration::parse(text_of(options), options.folder + "/load.toml");
  if (!configuration.ok()) return configuration.error();
  Result<MachineState> machine = machine_state();
  if (!machine.ok()) return machine.error();
  machine.value().runtime_folder = options.folder;
  machine.value().runtime_folder_is_given = true;
  Result<EalPlan> plan = make_eal_plan(configuration.value(), machine.value());
  if (!plan.ok()) return plan.error();
  Result<std::unique_ptr<Eal>> eal = Eal::start(
      plan.value(), [](std::string_view line) { fmt::print(stderr, "pipeline_load: DPDK: {}\n", line); });
  if (!eal.ok()) return eal.error();
  Result<std::unique_ptr<Ports>> ports = Ports::open(configuration.value(), 1, eal.value()->packets());
  if (!ports.ok()) return ports.error();
  Load load(options.load, *ports.value()->find("out"), *ports.value()->find("in"));
  if (Outcome outcome = eal.value()->launch(0, run_load, &load); !outcome.ok()) return outcome;
  const Outcome outcome = serve(load, options);
  load.stop();
  eal.value()->join(0);
  ports.value().reset();
  return outcome;
}

}  // namespace
}  // namespace ssn::bench

int main(int count, char** arguments) {
  ssn::bench::Options options;
  for (int i = 1; i < count; ++i) {
    if (!ssn::bench::read_option(arguments[i], options)) {
      std::fprintf(stderr, "pipeline_load: unknown option %s\n%s", arguments[i], ssn::bench::usage);
      return 2;
    }
  }
  if (options.out.empty() || options.in.empty() || options.folder.empty()) {
    std::fprintf(stderr, "pipeline_load: something is missing\n%s", ssn::bench::usage);
    return 2;
  }
  const ssn::Outcome outcome = ssn::bench::run(options);
  if (!outcome.ok()) ssn::bench::stop(outcome.error());
  return 0;
}
