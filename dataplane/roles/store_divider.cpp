// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/store_divider.h"

#include <cassert>

namespace ssn::roles {

StoreDivider::StoreDivider(StoreAccess& store, std::size_t first) : store_(&store) {
  assert(first <= store.credit());
  sides_[0].most = first;
  sides_[1].most = store.credit() - first;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    sides_[i].divider = this;
    sides_[i].number = static_cast<std::uint8_t>(i);
    sides_[i].waiting.resize(sides_[i].most);
  }
}

bool StoreDivider::Side::submit(store::StoreRequest& request) noexcept {
  if (out == most) return false;
  request.side = number;
  if (!divider->store_->submit(request)) return false;
  ++out;
  return true;
}

std::size_t StoreDivider::Side::collect(std::span<store::StoreRequest*> requests) noexcept {
  divider->collect();
  std::size_t taken = 0;
  for (; taken < requests.size() && count != 0; ++taken, --count) {
    requests[taken] = waiting[head];
    head = (head + 1) % waiting.size();
  }
  out -= taken;
  return taken;
}

// No side has more out than it has room for here.
void StoreDivider::collect() noexcept {
  std::array<store::StoreRequest*, 64> back{};
  while (const std::size_t got = store_->collect(back)) {
    for (std::size_t i = 0; i < got; ++i) {
      Side& side = sides_[back[i]->side];
      assert(side.count < side.waiting.size());
      side.waiting[(side.head + side.count++) % side.waiting.size()] = back[i];
    }
    if (got < back.size()) return;
  }
}

}  // namespace ssn::roles
