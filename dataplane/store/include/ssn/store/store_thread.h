// SPDX-License-Identifier: BSD-3-Clause
// The thread that a share store's blocking work runs on, and the rings that workers reach it through. No
// DPDK: a worker's graph nodes turn mbufs into Cells, and completions into packets.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/store/scrubber.h"
#include "ssn/store/share_store.h"
#include "ssn/store/spsc_ring.h"
#include "ssn/store/store_request.h"

namespace ssn::store {

/// One worker's end. Its worker's thread only, but for the descriptor.
class StorePort {
 public:
  /// `requests`: how many may be on their way at once, a power of two.
  static Result<std::unique_ptr<StorePort>> make(std::size_t requests);
  StorePort(const StorePort&) = delete;
  StorePort& operator=(const StorePort&) = delete;
  ~StorePort();

  /// False: credit() is 0, nothing happened. No system call unless the store thread sleeps.
  bool submit(StoreRequest& request) noexcept;
  /// Fills in what came back; how many.
  std::size_t collect(std::span<StoreRequest*> requests) noexcept;
  /// How many requests may be submitted now: what a receiver may offer its peers as credit.
  std::size_t credit() const noexcept { return requests_.capacity() - outstanding_; }
  /// Readable (poll) once something came back; read 8 bytes from it before collect().
  int descriptor() const noexcept { return event_; }

 private:
  friend class StoreThread;
  explicit StorePort(std::size_t requests) : requests_(requests), completions_(requests) {}

  SpscRing<StoreRequest> requests_;
  SpscRing<StoreRequest> completions_;
  std::size_t outstanding_ = 0;
  bool answered_ = false;                  // the store thread's: since it last said so
  int event_ = -1;                         // for the worker
  std::atomic<bool>* sleeping_ = nullptr;  // the store thread's
  int wake_ = -1;                          // the store thread's
};

struct StoreThreadOptions {
  std::size_t workers = 1;
  std::size_t requests = 1024;  ///< on their way of each worker, a power of two
  ScrubOptions scrub;
};

class StoreThread {
 public:
  static Result<std::unique_ptr<StoreThread>> start(ShareStore store, const StoreThreadOptions& options);
  /// Stops.
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  StorePort& port(std::size_t worker) noexcept;
  /// Takes what was submitted, makes it durable, gives it back, and ends. Ports can be collected afterwards.
  void stop();

  /// Any thread: as the store thread last left it, at most a second old.
  StoreStatus status();
  ScrubStatus scrub_status();
  /// Any thread.
  std::vector<StoreEvent> take_events();
  /// Any thread; waits for the store thread.
  Result<std::vector<ShareSummary>> list(const GenerationId& from, std::size_t limit);
  void set_scrub_rate(std::uint64_t bytes_per_second);

 private:
  class Implementation;
  explicit StoreThread(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ssn::store
