// SPDX-License-Identifier: BSD-3-Clause
// Ends streams whose reader does not read: a write waits for it without end otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace ssn::agent {

/// Any thread.
class StreamWatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// `stalled` counts the streams that were ended.
  StreamWatch(std::chrono::milliseconds patience, std::atomic<std::uint64_t>& stalled)
      : patience_(patience), stalled_(stalled), thread_([this] { run(); }) {}
  ~StreamWatch() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  StreamWatch(const StreamWatch&) = delete;
  StreamWatch& operator=(const StreamWatch&) = delete;

  /// Stands around a write. `end` ends the stream; it is called while the write is under way only, and must
  /// not block.
  class Write {
   public:
    Write(StreamWatch& watch, std::function<void()> end) : watch_(watch), id_(watch.enter(std::move(end))) {}
    ~Write() { watch_.leave(id_); }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;

   private:
    StreamWatch& watch_;
    std::uint64_t id_;
  };

 private:
  struct Entry {
    Clock::time_point until;
    std::function<void()> end;
  };

  std::uint64_t enter(std::function<void()> end) {
    const std::lock_guard lock(mutex_);
    writes_[++last_] = {Clock::now() + patience_, std::move(end)};
    return last_;
  }
  void leave(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    writes_.erase(id);
  }
  void run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, patience_ / 4, [this] { return stopping_; })) {
      const Clock::time_point now = Clock::now();
      for (auto& [id, entry] : writes_) {
        if (entry.end && entry.until <= now) {
          entry.end();
          entry.end = nullptr;
          stalled_.fetch_add(1, std::memory_order_relaxed);
        }
      }
    }
  }

  const std::chrono::milliseconds patience_;
  std::atomic<std::uint64_t>& stalled_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Entry> writes_;
  std::thread thread_;
};

}  // namespace ssn::agent
