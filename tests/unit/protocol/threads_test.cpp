// SPDX-License-Identifier: BSD-3-Clause
// Workers that use pads while the thread of the ledger writes ahead of them. What the ledger thread has "on
// the disk" is plain memory here: reading it is a race unless grant() and granted() order it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "crash_disk.h"
#include "ssn/protocol/ledger.h"
#include "ssn/protocol/pad_stream.h"
#include "test_key_stream.h"

namespace ssn::protocol {
namespace {

constexpr std::size_t workers = 2;
constexpr std::uint64_t extents = 200;
constexpr std::uint64_t stream_bytes = extents * least_extent;
constexpr std::uint32_t cell_bytes = 1344;
constexpr std::uint64_t range_bytes = (cell_bytes + pad_granule - 1) / pad_granule * pad_granule;

test::Ksid ksid(std::size_t worker) {
  test::Ksid out{};
  out.fill(static_cast<std::uint8_t>(worker + 1));
  return out;
}

struct Worker {
  explicit Worker(std::size_t number)
      : keys(ksid(number), SSN_KEY_SENDER, 64 * 1024), pads(keys.stream(), marks), on_disk(extents + 2) {}

  Take reserve(PadRange& range) {
    keys.deliver(range_bytes);
    (void)pads.poll();
    return pads.reserve(cell_bytes, range);
  }

  // Takes pads until all were taken; counts what was taken before it was written ahead.
  void run(const std::atomic<bool>& give_up) {
    while (!give_up && pads.account().used < stream_bytes - range_bytes) {
      PadRange range;
      const Take take = reserve(range);
      if (take != Take::ok) {
        ASSERT_EQ(take, Take::not_written_ahead);
        ++waits;
        std::this_thread::yield();
        continue;
      }
      too_early += on_disk[(range.offset + range_bytes - 1) / least_extent] == 0 ? 1 : 0;
      pads.use(range);
      pads.give_back();
    }
    // Until the ledger says that the epoch has ended.
    while (!give_up && marks.granted() != 0) {
      PadRange range;
      if (reserve(range) == Take::ok) pads.discard(range);
      pads.give_back();
    }
    finished = true;
  }

  test::TestKeyStream keys;
  StreamMarks marks;
  PadSender pads;
  std::vector<std::uint8_t> on_disk;  // the ledger's: 1 for each extent of the stream
  std::uint64_t too_early = 0;
  std::uint64_t waits = 0;
  std::atomic<bool> finished{false};
};

class LedgerThread {
 public:
  explicit LedgerThread(std::array<std::unique_ptr<Worker>, workers>& served)
      : served_(served), disk_(Ledger::initial_image("alice")), ledger_(open(disk_)) {
    PeerRecord record;
    record.epoch = 1;
    for (std::size_t i = 0; i < workers; ++i) {
      record.streams.push_back({.ksid = ksid(i), .kind = StreamKind::pads, .sender = true});
      record.streams.back().worker = static_cast<std::uint16_t>(i);
    }
    EXPECT_TRUE(ledger_.enter_epoch("bob", record).ok());
    write();
    for (std::size_t i = 0; i < workers; ++i) ledger_.attach("bob", i, served_[i]->marks);
  }

  bool step() {
    const bool more = ledger_.collect();
    write();
    return more;
  }
  void end() {
    ledger_.end_epoch("bob");
    write();
  }

 private:
  static Ledger open(const test::CrashDisk& disk) {
    Result<Ledger> opened = Ledger::open("alice", disk.image(), least_extent);
    EXPECT_TRUE(opened.ok());
    return std::move(opened.value());
  }
  void write() {
    while (const LedgerBatch* batch = ledger_.next_batch()) {
      disk_.write(batch->offset, batch->bytes);
      disk_.sync();
      const PeerRecord* const peer = ledger_.peer("bob");
      for (std::size_t i = 0; i < workers && peer != nullptr; ++i) {
        std::uint64_t& written = written_[i];
        for (; written * least_extent < peer->streams[i].sent; ++written) {
          if (written < served_[i]->on_disk.size()) served_[i]->on_disk[written] = 1;
        }
      }
      ledger_.committed();
    }
  }

  std::array<std::unique_ptr<Worker>, workers>& served_;
  test::CrashDisk disk_;
  Ledger ledger_;
  std::array<std::uint64_t, workers> written_{};  // extents
};

TEST(ProtocolThreads, NoPadIsTakenBeforeTheLedgerHasItOnDisk) {
  std::array<std::unique_ptr<Worker>, workers> served;
  for (std::size_t i = 0; i < workers; ++i) served[i] = std::make_unique<Worker>(i);
  LedgerThread ledger(served);
  std::atomic<bool> give_up{false};
  std::vector<std::thread> threads;
  for (const auto& worker : served) threads.emplace_back([&] { worker->run(give_up); });

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto all_used = [&] {
    for (const auto& worker : served) {
      if (worker->marks.progress() < stream_bytes - range_bytes) return false;
    }
    return true;
  };
  const auto late = [&] { return std::chrono::steady_clock::now() > deadline; };
  while (!all_used() && !late()) {
    if (!ledger.step()) std::this_thread::yield();
  }
  EXPECT_TRUE(all_used());
  ledger.end();  // revokes while the workers go on
  while (!(served[0]->finished && served[1]->finished) && !late()) std::this_thread::yield();
  give_up = late();
  for (std::thread& thread : threads) thread.join();
  for (const auto& worker : served) {
    EXPECT_TRUE(worker->finished);
    EXPECT_EQ(worker->too_early, 0U);
    EXPECT_GT(worker->waits, 0U) << "the ledger was never waited for: this proves nothing";
    EXPECT_EQ(worker->marks.granted(), 0U);
    PadRange range;
    EXPECT_EQ(worker->reserve(range), Take::not_written_ahead);
    worker->pads.end();
    EXPECT_TRUE(worker->pads.account().balanced());
  }
}

}  // namespace
}  // namespace ssn::protocol
