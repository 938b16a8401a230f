// SPDX-License-Identifier: BSD-3-Clause
// One StoreAccess for two roles of one worker: what each submits comes back to it alone.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "ssn/roles/store_access.h"

namespace ssn::roles {

/// One thread. Nothing allocates after construction.
class StoreDivider {
 public:
  /// `first` requests of the store's credit are for the first side, the rest is for the second. `store`
  /// outlives it and is used by nobody else.
  StoreDivider(StoreAccess& store, std::size_t first);

  StoreAccess& first() noexcept { return sides_[0]; }
  StoreAccess& second() noexcept { return sides_[1]; }

 private:
  class Side final : public StoreAccess {
   public:
    bool submit(store::StoreRequest& request) noexcept override;
    std::size_t collect(std::span<store::StoreRequest*> requests) noexcept override;
    std::size_t credit() const noexcept override { return most - out; }

    StoreDivider* divider = nullptr;
    std::uint8_t number = 0;
    std::size_t most = 0;
    std::size_t out = 0;                        ///< submitted and not yet collected
    std::vector<store::StoreRequest*> waiting;  ///< that came back while the other side collected; a ring
    std::size_t head = 0, count = 0;
  };
  void collect() noexcept;

  StoreAccess* store_;
  std::array<Side, 2> sides_;
};

}  // namespace ssn::roles
