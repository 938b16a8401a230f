// SPDX-License-Identifier: BSD-3-Clause
// How a role reaches a share store: requests there, the same requests back. In a data plane it is a ring to a
// store thread, in tests and in the simulator a ShareStore in virtual time.
#pragma once

#include <cstddef>
#include <span>

#include "ssn/store/store_thread.h"

namespace ssn::roles {

/// One worker's. Nothing blocks, nothing allocates.
class StoreAccess {
 public:
  StoreAccess() = default;
  StoreAccess(const StoreAccess&) = delete;
  StoreAccess& operator=(const StoreAccess&) = delete;
  virtual ~StoreAccess() = default;

  /// From here until collect() gives it back the request and all that it names belong to the store. False:
  /// credit() is 0, and nothing happened.
  virtual bool submit(store::StoreRequest& request) noexcept = 0;
  /// What came back, whatever came of it; how many.
  virtual std::size_t collect(std::span<store::StoreRequest*> requests) noexcept = 0;
  /// Requests that may be submitted now.
  virtual std::size_t credit() const noexcept = 0;
};

/// A store thread's.
class PortAccess final : public StoreAccess {
 public:
  /// `port` is used by nobody else.
  explicit PortAccess(store::StorePort& port) noexcept : port_(&port) {}
  bool submit(store::StoreRequest& request) noexcept override { return port_->submit(request); }
  std::size_t collect(std::span<store::StoreRequest*> requests) noexcept override {
    return port_->collect(requests);
  }
  std::size_t credit() const noexcept override { return port_->credit(); }

 private:
  store::StorePort* port_;
};

}  // namespace ssn::roles
