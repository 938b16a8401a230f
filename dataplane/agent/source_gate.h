// SPDX-License-Identifier: BSD-3-Clause
// Lets calls through to what answers them while there is one, and tells when the last of them has left.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

#include "ssn/dataplane/agent_source.h"

namespace ssn::agent {

/// Any thread.
template <typename Source>
class Gate {
 public:
  /// Holds the gate open for one call.
  class Pass {
   public:
    Pass() = default;
    Pass(Gate& gate, Source& source) : gate_(&gate), source_(&source) {}
    Pass(Pass&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), source_(std::exchange(other.source_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_ != nullptr) {
        gate_->leave();
      }
    }
    explicit operator bool() const noexcept { return source_ != nullptr; }
    Source* operator->() const noexcept { return source_; }
    Source* get() const noexcept { return source_; }

   private:
    Gate* gate_ = nullptr;
    Source* source_ = nullptr;
  };

  void open(Source& source) {
    const std::lock_guard lock(mutex_);
    source_ = &source;
  }

  /// Nobody gets in any more; returns when everybody has left.
  void close() {
    std::unique_lock lock(mutex_);
    source_ = nullptr;
    changed_.notify_all();
    changed_.wait(lock, [this] { return inside_ == 0; });
  }

  /// False where there is no source.
  Pass enter() {
    const std::lock_guard lock(mutex_);
    if (source_ == nullptr) {
      return {};
    }
    ++inside_;
    return {*this, *source_};
  }

  /// Sleeps; less when the gate closes. Whether it is open.
  bool sleep_until(std::chrono::steady_clock::time_point time) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_until(lock, time, [this] { return source_ == nullptr; });
  }

 private:
  void leave() {
    const std::lock_guard lock(mutex_);
    --inside_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Source* source_ = nullptr;
  std::size_t inside_ = 0;
};

using SourceGate = Gate<AgentSource>;

}  // namespace ssn::agent
