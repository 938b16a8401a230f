// SPDX-License-Identifier: BSD-3-Clause
// A worker of an SSA: its channels lead to shareholders and to data owners.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "event_queue.h"
#include "ssn/dataplane/storage_worker.h"
#include "ssn/roles/ssa.h"
#include "worker_random.h"

namespace ssn::dataplane {

/// One session of a data owner: made by a control thread, carried to its worker by a command, and back.
class OwnerSession {
 public:
  StorageChannel channel;
  HostGuest guest;
  roles::SsaWritePointer write;  ///< not while the worker has it
  roles::SsaReadPointer read;
  bool writes = false;

  // The worker's, between open and close.
  roles::SsaSession session = 0;
  std::uint64_t blocks = 0;  ///< for finish

  // Set by the worker's commands.
  bool opened = false;
  /// Room for all that it can hold was reserved.
  roles::WriteResult result;
  std::atomic<bool> dropped{false};  ///< its owner broke the rules, or the session is over
};

class SsaRole final : public StorageRole {
 public:
  struct Setup {
    roles::SsaOptions options;
    const kernels::Implementation* implementation = nullptr;
    bool random_stream = true;  ///< random blocks come from the key device
    const std::function<void()>* call_control = nullptr;
  };
  /// Seeds a generator where random blocks are not the key device's. `worker` outlives it.
  static Result<std::unique_ptr<SsaRole>> make(const Setup& setup, StorageWorker& worker);

  bool join(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void leave(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                 std::uint64_t now_ns) noexcept override;
  bool step(std::uint64_t now_ns) noexcept override;
  std::uint64_t next_due() const noexcept override { return ssa_.next_due(); }

  // ---- Commands, on the worker.
  void open(OwnerSession& session, std::uint64_t now_ns) noexcept;
  void finish(OwnerSession& session, std::uint64_t now_ns) noexcept;
  /// Copies what came of a write by now.
  void report(OwnerSession& session) noexcept;
  void close(OwnerSession& session, std::uint64_t now_ns) noexcept;

  const roles::SsaCounters& counters() const noexcept { return ssa_.counters(); }
  /// A control thread; one at a time.
  bool take_event(roles::SsaEvent& event) noexcept { return events_.pop(event); }

 private:
  SsaRole(const Setup& setup, StorageWorker& worker, std::unique_ptr<WorkerRandom> random);

  StorageWorker& worker_;
  const std::unique_ptr<WorkerRandom> random_;
  roles::Ssa ssa_;
  EventQueue<roles::SsaEvent, 256> events_;
  const std::function<void()>* call_control_;
};

}  // namespace ssn::dataplane
