// SPDX-License-Identifier: BSD-3-Clause
#include "device.h"

#include <sched.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <set>
#include <vector>

#include "ssn/kernels/kernels.h"

namespace ssn::bench {
namespace {

constexpr std::uint64_t rekey_bytes = std::uint64_t{1} << 36;

[[noreturn]] void stop(const Error& error) {
  std::fprintf(stderr, "keys_bench: %s: %s\n  %s\n", error.what.c_str(), error.why.c_str(),
               error.fix.c_str());
  std::exit(1);
}

const kernels::Implementation& chosen_kernels() {
  static const kernels::Implementation* const chosen = [] {
    const kernels::Implementation* found = nullptr;
    if (const kernels::Status status = kernels::select(found); status != kernels::Status::ok) {
      stop({Exit::kernels_refused, "cannot choose kernels", std::string(kernels::describe(status)), "", ""});
    }
    return found;
  }();
  return *chosen;
}

// What a link with keys in plenty gives: AES-256-CTR, seeded with the KSID.
class AesSource final : public kme::StreamSource {
 public:
  explicit AesSource(const kme::Ksid& ksid) {
    std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed{};
    std::copy(ksid.begin(), ksid.end(), seed.begin());
    generator_.seed(seed);
  }
  std::size_t next(std::span<std::uint8_t> out) noexcept override {
    const std::size_t length = out.size() / 16 * 16;
    if (length == 0 || given_ + length > rekey_bytes ||
        kernels::random(chosen_kernels(), generator_, out.data(), length) != kernels::Status::ok) {
      return 0;
    }
    given_ += length;
    return length;
  }
  std::uint64_t level() noexcept override { return rekey_bytes - given_; }
  bool alive() noexcept override { return given_ < rekey_bytes; }

 private:
  kernels::RandomGenerator generator_;
  std::uint64_t given_ = 0;
};

class AesProvider final : public kme::StreamProvider {
 public:
  Result<std::unique_ptr<kme::StreamSource>> open(const Request& request) override {
    return std::unique_ptr<kme::StreamSource>(new AesSource(request.ksid));
  }
};

std::set<int> threads() {
  std::set<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    found.insert(std::atoi(entry.path().filename().c_str()));
  }
  return found;
}

}  // namespace

Cores cores;

SliceClock::SliceClock(int producer_thread) noexcept
    // The clock of one thread, as the kernel numbers it: pthread_getcpuclockid() needs a pthread_t.
    : producer_(static_cast<clockid_t>(~static_cast<unsigned>(producer_thread) << 3 | 6U)) {}

SliceClock::Instant SliceClock::now() const noexcept {
  const auto seconds = [](clockid_t clock) {
    timespec time{};
    (void)::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  return {seconds(CLOCK_MONOTONIC), seconds(CLOCK_THREAD_CPUTIME_ID), seconds(producer_)};
}

void SliceClock::begin() noexcept { begin_ = now(); }

void SliceClock::end(std::uint64_t bytes) {
  constexpr double undisturbed = 0.97;
  const Instant end = now();
  const double wall = end.wall - begin_.wall;
  const bool clean = end.consumer - begin_.consumer >= undisturbed * wall &&
                     end.producer - begin_.producer >= undisturbed * wall;
  (clean ? clean_ : disturbed_).push_back(static_cast<double>(bytes) / wall);
}

void SliceClock::report(benchmark::State& state) {
  std::vector<double>& slices = clean_.empty() ? disturbed_ : clean_;
  if (slices.empty()) {
    return;
  }
  std::nth_element(slices.begin(), slices.begin() + static_cast<std::ptrdiff_t>(slices.size() / 2),
                   slices.end());
  state.counters["bytes_per_second"] = slices[slices.size() / 2];
  state.counters["clean"] =
      static_cast<double>(clean_.size()) / static_cast<double>(clean_.size() + disturbed_.size());
}

void run_on(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    stop({Exit::usage, "cannot run on core " + std::to_string(core), "it is not available here", "",
          "choose others with --cores=CONSUMER,PRODUCER"});
  }
}

RunningDevice& RunningDevice::get() {
  static RunningDevice device;
  return device;
}

RunningDevice::RunningDevice()
    : folder_((std::filesystem::temp_directory_path() / "ssn-bench-XXXXXX").string()) {
  if (::mkdtemp(folder_.data()) == nullptr) {
    stop({Exit::failed, "cannot make a folder for the socket", folder_, "", "set TMPDIR"});
  }
  kme::DeviceModel::Options options;
  options.socket_path = folder_ + "/kmnic.sock";
  options.provider = std::make_shared<AesProvider>();
  options.poll = true;
  const std::set<int> before = threads();
  run_on(cores.producer);
  Result<kme::DeviceModel> model = kme::DeviceModel::start(options);
  run_on(cores.consumer);
  if (!model.ok()) {
    stop(model.error());
  }
  for (const int thread : threads()) {
    model_thread_ = before.contains(thread) ? model_thread_ : thread;
  }
  model_ = std::move(model.value());
  Result<hw::KeyDevice> device = hw::KeyDevice::open(
      {.driver = "kmnic", .local_name = "bench", .settings = {{"socket", options.socket_path}}});
  if (!device.ok()) {
    stop(device.error());
  }
  device_ = std::move(device.value());
}

RunningDevice::~RunningDevice() {
  device_ = hw::KeyDevice();
  model_.stop();
  std::filesystem::remove_all(folder_);
}

hw::KeyStream RunningDevice::open_stream(std::size_t ring_bytes) {
  hw::Ksid ksid{};
  ++ksids_;
  std::memcpy(ksid.data(), &ksids_, sizeof ksids_);
  Result<hw::KeyStream> stream = device_.open_stream(SSN_KEY_SENDER, ksid, "peer", ring_bytes);
  if (!stream.ok()) {
    stop(stream.error());
  }
  return std::move(stream.value());
}

bool delivers_right_keys(hw::KeyStream& stream) {
  constexpr std::size_t length = 64 << 10;
  std::vector<std::uint8_t> expected(length);
  AesSource source(stream.ksid());
  while (stream.end() < length && stream.poll() != SSN_FAILED) {
  }
  return source.next(expected) == length && stream.end() >= length &&
         std::equal(expected.begin(), expected.end(), stream.at(0, length));
}

}  // namespace ssn::bench
