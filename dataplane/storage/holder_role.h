// SPDX-License-Identifier: BSD-3-Clause
// A worker of a shareholder: its channels lead to SSAs, its store is behind a store thread.
#pragma once

#include "event_queue.h"
#include "ssn/dataplane/storage_worker.h"
#include "ssn/roles/holder.h"

namespace ssn::dataplane {

/// What came of an order of the controller.
struct RemovalDone {
  std::uint64_t token = 0;
  store::StoreResult result = store::StoreResult::none;
};

class HolderRole final : public StorageRole {
 public:
  struct Setup {
    roles::HolderOptions options;
    store::StorePort* port = nullptr;
    std::vector<roles::PeerIdentity> identities;  ///< of peers, by their place in the configuration
  };
  /// `worker` and the port outlive it.
  HolderRole(Setup setup, StorageWorker& worker);

  bool join(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void leave(StorageChannel& channel, std::uint64_t now_ns) noexcept override;
  void delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                 std::uint64_t now_ns) noexcept override;
  bool step(std::uint64_t now_ns) noexcept override;
  std::uint64_t next_due() const noexcept override { return holder_.next_due(); }

  /// On the worker.
  roles::Holder& holder() noexcept { return holder_; }
  /// A control thread; one at a time.
  bool take_removal(RemovalDone& removal) noexcept { return removals_.pop(removal); }

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

  std::vector<roles::PeerIdentity> identities_;
  roles::SsaAccess rule_;
  Access access_;
  roles::Holder holder_;
  EventQueue<RemovalDone, 64> removals_;
};

}  // namespace ssn::dataplane
