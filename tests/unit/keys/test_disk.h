// SPDX-License-Identifier: BSD-3-Clause
// The disk of a node's ledger: keeps the file's image, so that a test can start a node again with it, or with
// an older one; fails or becomes slow when it is told to.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "ssn/ledger/file_ledger.h"
#include "test_random.h"

namespace ssn::dataplane_test {

class TestDisk {
 public:
  explicit TestDisk(const std::string& node)
      : state_(std::make_shared<State>(protocol::Ledger::initial_image(node))), node_(node) {}

  /// A process of the node begins with what is on the disk.
  ledger::FileLedger open(std::uint64_t extent = protocol::default_extent) {
    Result<ledger::FileLedger> opened =
        ledger::FileLedger::open(std::make_unique<File>(state_), image(), node_, extent);
    if (!opened.ok()) std::abort();
    return std::move(opened.value());
  }
  test::Bytes image() const {
    const std::lock_guard guard(state_->lock);
    return state_->image;
  }
  /// Puts an image on the disk; what processes before this still write is lost.
  void restore(test::Bytes image) { state_ = std::make_shared<State>(std::move(image)); }
  void fail() { state_->failing = true; }
  void set_delay(std::chrono::milliseconds delay) { state_->delay_ms = delay.count(); }
  std::uint64_t syncs() const { return state_->syncs; }

 private:
  struct State {
    explicit State(test::Bytes bytes) : image(std::move(bytes)) {}
    mutable std::mutex lock;
    test::Bytes image;
    std::atomic<bool> failing{false};
    std::atomic<std::int64_t> delay_ms{0};
    std::atomic<std::uint64_t> syncs{0};
  };
  class File final : public ledger::LedgerFile {
   public:
    explicit File(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Outcome write(std::uint64_t offset, std::span<const std::uint8_t> bytes) override {
      if (state_->failing) return broken();
      const std::lock_guard guard(state_->lock);
      std::copy(bytes.begin(), bytes.end(), state_->image.begin() + static_cast<std::ptrdiff_t>(offset));
      return done;
    }
    Outcome sync() override {
      std::this_thread::sleep_for(std::chrono::milliseconds(state_->delay_ms));
      if (state_->failing) return broken();
      ++state_->syncs;
      return done;
    }

   private:
    static Error broken() {
      return {Exit::failed, "cannot sync the ledger", "input/output error", "disk", ""};
    }
    std::shared_ptr<State> state_;
  };

  std::shared_ptr<State> state_;
  std::string node_;
};

}  // namespace ssn::dataplane_test
