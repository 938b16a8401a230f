// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_transforms.h"

#include <algorithm>
#include <cassert>

namespace ssn::roles {

const kernels::Transform& TransformCache::get(std::span<const std::uint8_t> shares) noexcept {
  protocol::ShareSet set;
  for (const std::uint8_t share : shares) set.add(share);
  ++clock_;
  Place* oldest = places_->data();
  for (Place& place : *places_) {
    if (place.used != 0 && place.shares == set) {
      place.used = clock_;
      return place.transform;
    }
    if (place.used < oldest->used) oldest = &place;
  }
  const kernels::Status status = kind_ == Kind::recover ? oldest->transform.make_recover(code_, shares)
                                                        : oldest->transform.make_syndromes(code_, shares);
  assert(status == kernels::Status::ok && "different shares of this code, enough of them");
  static_cast<void>(status);
  oldest->shares = set;
  oldest->used = clock_;
  return oldest->transform;
}

}  // namespace ssn::roles
