// SPDX-License-Identifier: BSD-3-Clause
// pipeline_storage_bench: what the storage graph of an SSA costs, node by node, beside the kernel alone:
// first writing, then reading. One case per process; prints one JSON object. Run by scripts/bench pipeline.
#include <fmt/core.h>
#include <rte_cycles.h>

#include <cstdio>
#include <cstring>

#include "kernel.h"
#include "ssn/hw/offload_device.h"
#include "storage_world.h"
#include "tools.h"
#include "watch.h"

namespace ssn::bench {
namespace {

using std::chrono::milliseconds;

struct Options {
  StorageOptions world;
  unsigned rounds = 5;
  unsigned milliseconds = 100;
  unsigned walks = 8;
};

constexpr const char* usage =
    "pipeline_storage_bench [--k=3] [--n=5] [--cell=1344] [--pad-ring=KIB] [--random-ring=KIB]\n"
    "  [--blocks=2048] [--surplus=1] [--walks=8] [--rounds=5] [--milliseconds=100] [--core=1]\n"
    "  [--main-core=0]\n";

bool read_option(std::string_view argument, Options& options) {
  const std::size_t equals = argument.find('=');
  const std::string_view name = argument.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
  std::uint64_t number = 0;
  if (!read_number(value, number) || number > 1'000'000) return false;
  const auto small = static_cast<unsigned>(number);
  const std::pair<std::string_view, unsigned*> numbers[] = {
      {"--k", &options.world.k},       {"--n", &options.world.n},
      {"--cell", &options.world.cell}, {"--surplus", &options.world.surplus},
      {"--core", &options.world.core}, {"--main-core", &options.world.main_core},
      {"--rounds", &options.rounds},   {"--milliseconds", &options.milliseconds},
      {"--walks", &options.walks},
  };
  for (const auto& [of, to] : numbers) {
    if (name == of) return *to = small, true;
  }
  if (name == "--blocks") return options.world.blocks = small, small % 64 == 0 && small != 0;
  if (name == "--pad-ring") return options.world.pad_ring_bytes = number << 10, true;
  return name == "--random-ring" ? (options.world.random_ring_bytes = number << 10, true) : false;
}

// One side: what was recorded of it, in turns with the kernel.
struct Side {
  Probe::Result result;
  std::uint64_t drops = 0;
};

class Run {
 public:
  Run(const Options& options, StorageWorld& world, hw::OffloadDevice& cpu, Probe& probe)
      : options_(options),
        world_(world),
        probe_(probe),
        kernel_(world.stream(), 1, false, cpu, world.kernels()) {
    if (!kernel_.error().empty()) fail("cannot measure the kernel alone", kernel_.error());
  }

  void write();
  void read();
  void print() const;

 private:
  [[noreturn]] void fail(const std::string& what, const std::string& why) const;
  void check() const {
    if (world_.wrong() != 0) fail("packets or blocks came out wrong", world_.trouble());
  }
  void open(bool writes) {
    if (Outcome outcome = world_.open_session(writes); !outcome.ok()) stop(outcome.error());
    world_.owner().check_all(true);
    world_.owner().set_mode(writes ? OwnerEnd::Mode::writes : OwnerEnd::Mode::reads);
  }
  void verify_shares() const;
  void verify_cell(std::uint32_t number, const kernels::Transform& recover, unsigned first) const;
  std::uint64_t dropped() const;
  Side record();

  const Options& options_;
  StorageWorld& world_;
  Probe& probe_;
  KernelBench kernel_;
  Side put_, get_;
};

void Run::fail(const std::string& what, const std::string& why) const {
  std::string drops;
  for (const auto& each : world_.drops()) {
    if (each.value != 0) drops += fmt::format(" {} {}", each.name, each.value);
  }
  stop({Exit::failed, what, why, fmt::format("drops:{}", drops),
        "run it again; see bench/pipeline/README.md"});
}

// Of the neighbours that an SSA asks for, and others that are nobody's.
std::uint64_t Run::dropped() const {
  std::uint64_t sum = 0;
  for (const auto& each : world_.drops()) sum += each.value;
  return sum;
}

// Each k successive shares give each cell's data.
void Run::verify_shares() const {
  kernels::Code code;
  if (kernels::Code::make(kernels::Scheme::systematic, options_.world.k, options_.world.n, 1, code) !=
      kernels::Status::ok) {
    fail("there is no such code", "k and n");
  }
  for (unsigned first = 1; first + options_.world.k <= options_.world.n + 1; ++first) {
    std::vector<std::uint8_t> shares;
    for (unsigned i = 0; i < options_.world.k; ++i) shares.push_back(static_cast<std::uint8_t>(first + i));
    kernels::Transform recover;
    if (recover.make_recover(code, shares) != kernels::Status::ok) fail("cannot recover", "from k shares");
    for (std::uint32_t i = 0; i < options_.world.blocks; ++i) verify_cell(i, recover, first);
  }
}

void Run::verify_cell(std::uint32_t number, const kernels::Transform& recover, unsigned first) const {
  std::vector<const std::uint8_t*> shares;
  for (unsigned i = 0; i < options_.world.k; ++i) shares.push_back(world_.holder(first + i).cell(number));
  std::vector<std::uint8_t> data(options_.world.cell), expected(options_.world.cell);
  std::uint8_t* const out = data.data();
  kernels::RecoverJob job;
  job.transform = &recover;
  job.shares = shares.data();
  job.data = &out;
  job.length = data.size();
  OwnerEnd::fill(expected.data(), expected.size(), number);
  if (kernels::recover(world_.kernels(), job) != kernels::Status::ok || data != expected) {
    fail("the shares do not give the data back", fmt::format("cell {}", number));
  }
}

Side Run::record() {
  world_.owner().check_all(false);
  std::this_thread::sleep_for(milliseconds(20));
  Side side;
  const std::uint64_t before = dropped();
  for (unsigned round = 0; round < options_.rounds; ++round) {
    on_worker(world_.worker(), [this] { kernel_.measure(50); });  // some milliseconds at a time
    if (kernel_.failed()) fail("the kernel failed", "while it was timed");
    std::this_thread::sleep_for(milliseconds(5));
    probe_.start(round != 0);
    std::this_thread::sleep_for(milliseconds(options_.milliseconds));
    probe_.stop();
  }
  side.result = probe_.result();
  side.drops = dropped() - before;
  check();
  return side;
}

void Run::write() {
  open(true);
  const auto kept = [this] {
    for (unsigned i = 1; i <= options_.world.n; ++i) {
      if (world_.holder(i).kept_cells() != options_.world.blocks) return world_.wrong() != 0;
    }
    return true;
  };
  if (!eventually(kept, milliseconds(30000))) {
    fail("blocks do not come through", fmt::format("{} were told as received", world_.owner().finished()));
  }
  check();
  verify_shares();
  put_ = record();
}

void Run::read() {
  open(false);
  const auto twice = [this] {
    return world_.owner().finished() >= 2 * std::uint64_t{options_.world.blocks} || world_.wrong() != 0;
  };
  if (!eventually(twice, milliseconds(30000))) {
    fail("blocks do not come back", fmt::format("{} came", world_.owner().finished()));
  }
  check();
  get_ = record();
}

void Run::print() const {
  using K = KernelBench;
  fmt::print("{{\"k\": {}, \"n\": {}, \"cell\": {}, \"surplus\": {}, \"huge_pages\": {}, \"hertz\": {}, ",
             options_.world.k, options_.world.n, options_.world.cell, options_.world.surplus,
             world_.huge_pages(), rte_get_tsc_hz());
  fmt::print("\"put_kernel\": {:.1f}, \"get_kernel\": {:.1f}, \"put_drops\": {}, \"get_drops\": {}, ",
             kernel_.cycles(K::split_kernel), kernel_.cycles(K::recover_kernel), put_.drops, get_.drops);
  fmt::print(
      "\"verified\": {}, \"allocations\": {}, \"reallocations\": {}, \"system_calls\": {}, "
      "\"last_system_call\": {}, ",
      options_.world.blocks, probe_.allocations(), probe_.reallocations(),
      probe_.catches_system_calls() ? static_cast<long>(system_calls_caught()) : -1L, last_system_call());
  print_side("put", put_.result);
  fmt::print(", ");
  print_side("get", get_.result);
  fmt::print("}}\n");
}

int run(Options options) {
  const Folder folder;
  options.world.folder = folder.path();
  Result<hw::OffloadDevice> cpu = hw::OffloadDevice::open({.driver = "cpu"});
  if (!cpu.ok()) stop(cpu.error());
  Result<std::unique_ptr<StorageWorld>> world = StorageWorld::make(options.world);
  if (!world.ok()) stop(world.error());
  const roles::SsaCounters& counters = world.value()->counters();
  // One of them grows.
  const auto probe =
      std::make_shared<Probe>([&counters] { return counters.cells_split + counters.blocks_out; },
                              options.walks, [its = world.value().get()] { its->fill_rings(); });
  if (Outcome outcome = world.value()->build(probe); !outcome.ok()) stop(outcome.error());
  {
    Run measurement(options, *world.value(), cpu.value(), *probe);
    measurement.write();
    measurement.read();
    world.value()->close_session();
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
      std::fprintf(stderr, "pipeline_storage_bench: unknown option %s\n%s", arguments[i], ssn::bench::usage);
      return 2;
    }
  }
  return ssn::bench::run(options);
}
