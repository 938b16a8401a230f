// SPDX-License-Identifier: BSD-3-Clause
// Pads as the protocol takes them: cursor, window, account and erasing, from a kmnic stream, without and with
// the ledger on disk. As in the data plane, a thread of its own keeps the ledger; the processor time that it
// takes is measured in the same run.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>

#include "device.h"
#include "groups.h"
#include "ssn/ledger/file_ledger.h"
#include "ssn/protocol/pad_stream.h"

namespace ssn::bench {
namespace {

using protocol::PadRange;
using protocol::PadSender;
using protocol::StreamMarks;
using protocol::Take;

constexpr std::uint32_t range_bytes = 1344;
constexpr std::uint64_t ranges = 6'000;  // of one iteration
constexpr std::size_t burst = 32;

// Takes, reads and erases `ranges` ranges; false when the stream has ended.
bool take_round(PadSender& pads, std::uint64_t& sum) {
  for (std::uint64_t taken = 0; taken < ranges;) {
    PadRange held[burst];
    Take why = Take::ok;
    const std::size_t wanted = std::min<std::uint64_t>(burst, ranges - taken);
    const std::size_t count = pads.reserve_burst(range_bytes, std::span(held, wanted), why);
    for (std::size_t i = 0; i < count; ++i) {
      sum ^= read_range(held[i].pad, range_bytes);
      pads.use(held[i]);
    }
    taken += count;
    if (count > 0) pads.give_back();
    if (why == Take::ended) return false;
    if (count < wanted) (void)pads.poll();
  }
  return true;
}

void pads_take_and_erase(benchmark::State& state) {
  hw::KeyStream stream = RunningDevice::get().open_stream(static_cast<std::size_t>(state.range(0)) << 10);
  StreamMarks marks;
  marks.grant(UINT64_MAX / 2);
  PadSender pads(*stream.get(), marks);
  std::uint64_t sum = 0;
  SliceClock clock(RunningDevice::get().model_thread());
  for (auto _ : state) {
    clock.begin();
    if (!take_round(pads, sum)) {
      state.SkipWithError("the stream ended");
      break;
    }
    clock.end(ranges * range_bytes);
  }
  benchmark::DoNotOptimize(sum);
  if (!pads.audit()) state.SkipWithError("the account does not balance");
  clock.report(state);
}

// Keeps the ledger, as the data plane's control thread does.
class Keeper {
 public:
  explicit Keeper(ledger::FileLedger& file) : thread_([this, &file] { run(file); }) {}
  ~Keeper() { (void)stop(); }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Processor time that it took, in seconds.
  double stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return seconds_;
  }

 private:
  void run(ledger::FileLedger& file) {
    while (!stop_ && file.step().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(4));
    timespec used{};
    (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    seconds_ = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  }

  std::atomic<bool> stop_{false};
  double seconds_ = 0;
  std::thread thread_;
};

void pads_written_ahead(benchmark::State& state) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("ssn-bench-ledger." + std::to_string(::getpid()))).string();
  std::filesystem::remove(path);
  Result<ledger::FileLedger> file =
      ledger::FileLedger::open(path, "bench", ledger::FileLedger::Create::if_missing);
  protocol::PeerRecord record;
  record.epoch = 1;
  record.streams.resize(1);
  record.streams[0].sender = true;
  if (!file.ok() || !file.value().ledger().enter_epoch("peer", record).ok() || !file.value().step().ok()) {
    state.SkipWithError("no ledger can be written there");
    return;
  }
  hw::KeyStream stream = RunningDevice::get().open_stream(static_cast<std::size_t>(state.range(0)) << 10);
  StreamMarks marks;
  file.value().ledger().attach("peer", 0, marks);
  PadSender pads(*stream.get(), marks);
  std::uint64_t sum = 0;
  Keeper keeper(file.value());
  SliceClock clock(RunningDevice::get().model_thread());
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) {
    clock.begin();
    if (!take_round(pads, sum)) {
      state.SkipWithError("the stream ended");
      break;
    }
    clock.end(ranges * range_bytes);
  }
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
  benchmark::DoNotOptimize(sum);
  clock.report(state);
  state.counters["ledger_share"] = keeper.stop() / all.count();
  if (file.value().ledger().failed()) state.SkipWithError("the ledger cannot be written");
  std::filesystem::remove(path);
}

}  // namespace

void register_pads() {
  benchmark::RegisterBenchmark("pads_take_and_erase/ring_kib", pads_take_and_erase)->Arg(1024)->UseRealTime();
  benchmark::RegisterBenchmark("pads_written_ahead/ring_kib", pads_written_ahead)->Arg(1024)->UseRealTime();
}

}  // namespace ssn::bench
