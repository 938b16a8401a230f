// SPDX-License-Identifier: BSD-3-Clause
// A worker of a shareholder: its channels lead to SSAs, which are the Holder's, and to other shareholders,
// which are the Resharer's. The share store is both's, behind a store thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "event_queue.h"
#include "ssn/dataplane/storage_worker.h"
#include "ssn/roles/holder.h"
#include "ssn/roles/resharer.h"
#include "ssn/roles/store_divider.h"
#include "worker_random.h"

namespace ssn::dataplane {

/// What came of an order of the controller.
struct RemovalDone {
  std::uint64_t token = 0;
  store::StoreResult result = store::StoreResult::none;
};

class HolderRole final : public StorageRole {
 public:
  struct Resharing {
    roles::ResharerOptions options;
    roles::ReshareFloor floor;
    bool random_stream = true;  ///< random blocks come from the key device
  };
  struct Setup {
    roles::HolderOptions options;
    store::StorePort* port = nullptr;
    std::vector<roles::PeerIdentity> identities;  ///< of peers, by their place in the configuration
    std::optional<Resharing> resharing;           ///< nothing: it makes no shares anew
    const kernels::Implementation* implementation = nullptr;
    const std::function<void()>* call_control = nullptr;  ///< may be null
  };
  /// Locks the memory of jobs. `worker` and the port outlive it.
  static Result<std::unique_ptr<HolderRole>> make(Setup setup, StorageWorker& worker);
  /// Requests that both can have in the store.
  static std::size_t requests(const Setup& setup) noexcept;

  bool join(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void leave(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                 std::uint64_t now_ns) noexcept override;
  bool step(std::uint64_t now_ns) noexcept override;
  std::uint64_t next_due() const noexcept override;

  // ---- On the worker.
  roles::Holder& holder() noexcept { return *holder_; }
  /// Null: it makes no shares anew.
  roles::Resharer* resharer() noexcept { return resharer_ ? &*resharer_ : nullptr; }
  roles::ReshareAnswer order(const roles::ReshareOrder& order, std::uint64_t now_ns);
  bool cancel(std::uint64_t job) noexcept;
  /// Nothing of it is in the store.
  bool idle() const noexcept;

  // ---- Any thread.
  /// Jobs that Resharer::list() gives at most. Only where it makes shares anew.
  std::size_t jobs_limit() const noexcept {
    return std::size_t{setup_.resharing->options.jobs} + setup_.resharing->options.kept;
  }

  // ---- A control thread; one at a time.
  bool take_removal(RemovalDone& removal) noexcept { return removals_.pop(removal); }
  /// Jobs that came to their end, of all times.
  std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  // Knows when the store gave something back.
  class Access final : public roles::StoreAccess {
   public:
    explicit Access(store::StorePort& port) noexcept : port_(port) {}
    bool submit(store::StoreRequest& request) noexcept override { return port_.submit(request); }
    std::size_t collect(std::span<store::StoreRequest*> requests) noexcept override {
      const std::size_t count = port_.collect(requests);
      collected += count;
      return count;
    }
    std::size_t credit() const noexcept override { return port_.credit(); }
    std::uint64_t collected = 0;

   private:
    roles::PortAccess port_;
  };

  HolderRole(Setup setup, StorageWorker& worker);
  Outcome make_resharer();
  bool is_resharers(const StorageChannel& channel) const noexcept {
    return resharer_ && identities_[channel.number].shareholder;
  }
  void note_ended() noexcept;
  void call_control() const;

  Setup setup_;
  StorageWorker& worker_;
  const std::vector<roles::PeerIdentity>& identities_;
  roles::SsaAccess rule_;
  Access access_;
  std::optional<roles::StoreDivider> divider_;
  std::optional<roles::Holder> holder_;
  EventQueue<RemovalDone, 64> removals_;

  std::optional<roles::FloorRule> floor_;
  std::unique_ptr<WorkerRandom> random_;
  hw::SecretBuffer reshare_memory_;
  std::optional<roles::Resharer> resharer_;
  std::atomic<std::uint64_t> ended_{0};
};

}  // namespace ssn::dataplane
