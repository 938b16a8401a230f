// SPDX-License-Identifier: BSD-3-Clause
// pipeline_bench: what the pipeline of wire mode costs, node by node, beside the kernel alone. One case per
// process; prints one JSON object. Run by scripts/bench pipeline.
#include <fmt/core.h>
#include <rte_cycles.h>
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

#include "../keys/device.h"
#include "kernel.h"
#include "probe.h"
#include "tools.h"
#include "traffic.h"
#include "watch.h"
#include "world.h"

namespace ssn::bench {
namespace {

using std::chrono::milliseconds;

struct Options {
  WorldOptions world;
  std::string keys = "memory";
  bool cold = false;
  unsigned cut = 0;
  unsigned burst = 32;
  unsigned window = 64;
  unsigned rounds = 5;
  unsigned milliseconds = 100;
  std::uint64_t verify = 3000;  ///< frames
};

constexpr const char* usage =
    "pipeline_bench [--scheme=systematic|classic|ramp|rs] [--k=3] [--n=5] [--cell=1344] "
    "[--random=stream|drbg]\n"
    "  [--keys=memory|kmnic] [--offload=cpu|none] [--cold] [--cut=LINKS] [--burst=32] [--window=64]\n"
    "  [--rounds=5] [--milliseconds=100] [--verify=FRAMES] [--pad-ring=KIB] [--core=1] [--main-core=0]\n";

bool read_option(std::string_view argument, Options& options) {
  const std::size_t equals = argument.find('=');
  const std::string_view name = argument.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
  std::uint64_t number = 0;
  if (name == "--cold") return options.cold = true;
  if (name == "--scheme") return options.world.scheme = value, true;
  if (name == "--random") return options.world.random = value, true;
  if (name == "--offload") return options.world.offload = value, true;
  if (name == "--keys") return options.keys = value, true;
  if (!read_number(value, number) || number > 10'000'000) return false;
  const auto small = static_cast<unsigned>(number);
  const std::pair<std::string_view, unsigned*> numbers[] = {
      {"--k", &options.world.k},       {"--n", &options.world.n},
      {"--cell", &options.world.cell}, {"--core", &options.world.core},
      {"--cut", &options.cut},         {"--main-core", &options.world.main_core},
      {"--burst", &options.burst},     {"--window", &options.window},
      {"--rounds", &options.rounds},   {"--milliseconds", &options.milliseconds},
  };
  for (const auto& [of, to] : numbers) {
    if (name == of) return *to = small, true;
  }
  if (name == "--pad-ring") return options.world.pad_ring_bytes = number << 10, true;
  return name == "--verify" ? (options.verify = number, true) : false;
}

class Run {
 public:
  Run(const Options& options, World& world, Traffic& traffic, Probe& probe)
      : options_(options),
        world_(world),
        traffic_(traffic),
        probe_(probe),
        kernel_(world.stream(), options.cut + 1, options.cold, world.offload(), world.kernels()) {
    if (!kernel_.error().empty()) fail("cannot measure the kernel alone", kernel_.error());
  }

  void verify();
  void measure();
  void print() const;

 private:
  [[noreturn]] void fail(const std::string& what, const std::string& why) const {
    std::string drops;
    for (const auto& each : world_.drops()) {
      if (each.value != 0) drops += fmt::format(" {} {}", each.name, each.value);
    }
    stop({Exit::failed, what, why, fmt::format("drops:{}", drops), "run it again with --verify=1000"});
  }
  void check_traffic() const {
    if (traffic_.wrong() != 0) fail("frames came out wrong", fmt::format("{} of them", traffic_.wrong()));
  }
  void record(Traffic::Mode mode, bool go_on);
  void kernel_alone();
  /// But for shares that were not needed any more.
  std::uint64_t dropped() const {
    std::uint64_t sum = 0;
    for (const auto& each : world_.drops()) sum += each.name == "drop.late_share" ? 0 : each.value;
    return sum;
  }

  const Options& options_;
  World& world_;
  Traffic& traffic_;
  Probe& probe_;
  KernelBench kernel_;
  Probe::Result loop_, sends_;
  double p50_ = 0, p99_ = 0, p999_ = 0;
  std::uint64_t missing_before_ = 0, missing_ = 0, drops_before_ = 0, drops_ = 0;
};

void Run::verify() {
  traffic_.set_mode(Traffic::Mode::loop);
  const auto all_there = [&] { return traffic_.checked() >= options_.verify || traffic_.wrong() != 0; };
  if (!eventually(all_there, milliseconds(30000))) {
    fail("frames do not come through",
         fmt::format("{} in, {} out", traffic_.generated(), traffic_.delivered()));
  }
  check_traffic();
  traffic_.check_all(false);
  missing_before_ = traffic_.missing();
  drops_before_ = dropped();
}

void Run::kernel_alone() {
  // Some milliseconds at a time.
  on_worker(world_.worker(), [&] { kernel_.measure(50); });
  if (kernel_.failed()) fail("the kernel failed", "while it was timed");
}

void Run::record(Traffic::Mode mode, bool go_on) {
  traffic_.set_mode(mode);
  std::this_thread::sleep_for(milliseconds(5));
  probe_.start(go_on);
  std::this_thread::sleep_for(milliseconds(options_.milliseconds));
  probe_.stop();
}

void Run::measure() {
  for (unsigned round = 0; round < options_.rounds; ++round) {
    kernel_alone();
    if (round == 0) traffic_.forget_latency();
    record(Traffic::Mode::loop, round != 0);
  }
  loop_ = probe_.result();
  traffic_.set_mode(Traffic::Mode::stop);
  std::this_thread::sleep_for(milliseconds(20));
  p50_ = traffic_.latency(0.5);
  p99_ = traffic_.latency(0.99);
  p999_ = traffic_.latency(0.999);
  missing_ = traffic_.missing() - missing_before_;
  drops_ = dropped() - drops_before_;
  for (unsigned round = 0; round < options_.rounds; ++round) {
    kernel_alone();
    record(Traffic::Mode::sends, round != 0);
  }
  sends_ = probe_.result();
  traffic_.set_mode(Traffic::Mode::stop);
  check_traffic();
}

void Run::print() const {
  const auto hertz = static_cast<double>(rte_get_tsc_hz());
  fmt::print(
      "{{\"scheme\": \"{}\", \"k\": {}, \"n\": {}, \"cell\": {}, \"random\": \"{}\", \"keys\": \"{}\", ",
      options_.world.scheme, options_.world.k, options_.world.n, options_.world.cell, options_.world.random,
      options_.keys);
  fmt::print(
      "\"offload\": \"{}\", \"cold\": {}, \"cut\": {}, \"burst\": {}, \"huge_pages\": {}, \"hertz\": "
      "{:.0f}, ",
      options_.world.offload, options_.cold, options_.cut, options_.burst, world_.huge_pages(), hertz);
  fmt::print("\"block_bytes\": {}, ", options_.world.data_blocks() * options_.world.cell);
  using K = KernelBench;
  fmt::print("\"split_kernel\": {:.1f}, \"split_driver\": {:.1f}, \"split_driver_ratio\": {:.4f}, ",
             kernel_.cycles(K::split_kernel), kernel_.cycles(K::split_driver),
             kernel_.ratio(K::split_kernel, K::split_driver));
  fmt::print("\"recover_kernel\": {:.1f}, \"recover_driver\": {:.1f}, \"recover_driver_ratio\": {:.4f}, ",
             kernel_.cycles(K::recover_kernel), kernel_.cycles(K::recover_driver),
             kernel_.ratio(K::recover_kernel, K::recover_driver));
  fmt::print("\"latency_us\": [{:.1f}, {:.1f}, {:.1f}], ", p50_ / hertz * 1e6, p99_ / hertz * 1e6,
             p999_ / hertz * 1e6);
  fmt::print("\"frame_bytes\": {}, \"checked\": {}, \"missing\": {}, \"drops\": {}, ",
             options_.world.frame_bytes(), traffic_.checked(), missing_, drops_);
  fmt::print("\"allocations\": {}, \"reallocations\": {}, \"system_calls\": {}, \"last_system_call\": {}, ",
             probe_.allocations(), probe_.reallocations(),
             probe_.catches_system_calls() ? static_cast<long>(system_calls_caught()) : -1L,
             last_system_call());
  print_side("loop", loop_);
  fmt::print(", ");
  print_side("sends", sends_);
  fmt::print("}}\n");
}

int run(Options options) {
  const Folder folder;
  options.world.folder = folder.path();
  hw::KeyDevice memory;
  hw::KeyDevice* keys = &memory;
  if (options.keys == "kmnic") {
    cores = {static_cast<int>(options.world.main_core), static_cast<int>(options.world.main_core)};
    cpu_set_t allowed;
    const bool known = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    keys = &RunningDevice::get().device();
    if (known) ::sched_setaffinity(0, sizeof allowed, &allowed);
  } else {
    Result<hw::KeyDevice> opened = hw::KeyDevice::open(
        {.driver = "memory", .local_name = World::peer_name, .settings = {{"seed", "bench"}}});
    if (!opened.ok()) stop(opened.error());
    memory = std::move(opened.value());
  }
  Traffic::Options traffic_options;
  traffic_options.frame_bytes = options.world.frame_bytes();
  traffic_options.burst = options.burst;
  traffic_options.window = options.window;
  traffic_options.frames_per_block = options.world.data_blocks();
  traffic_options.cut = options.cut;
  traffic_options.cold = options.cold;
  Traffic traffic(traffic_options);
  constexpr unsigned walks = 8;
  const auto probe = std::make_shared<Probe>([&traffic] { return traffic.blocks(); }, walks);
  Result<std::unique_ptr<World>> world = World::make(options.world, *keys, traffic, probe);
  if (!world.ok()) stop(world.error());
  {
    Run measurement(options, *world.value(), traffic, *probe);
    measurement.verify();
    measurement.measure();
    measurement.print();
  }
  world.value().reset();
  return 0;
}

}  // namespace
}  // namespace ssn::bench

int main(int count, char** arguments) {
  ssn::bench::Options options;
  for (int i = 1; i < count; ++i) {
    if (!ssn::bench::read_option(arguments[i], options)) {
      std::fprintf(stderr, "pipeline_bench: unknown option %s\n%s", arguments[i], ssn::bench::usage);
      return 2;
    }
  }
  return ssn::bench::run(options);
}
