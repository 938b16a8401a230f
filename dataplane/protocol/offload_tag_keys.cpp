// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/offload_tag_keys.h"

#include <span>

namespace ssn::protocol {

Result<OffloadTagKeys> OffloadTagKeys::make(hw::OffloadDevice& device) {
  OffloadTagKeys made;
  for (Place& place : made.places_) {
    constexpr std::array<std::uint8_t, 16> none{};
    Result<hw::OffloadTagKey> key = device.prepare_tag_key(none);
    if (!key.ok()) return key.error();
    place.key = std::move(key.value());
  }
  return made;
}

const ssn_offload_tag_key* OffloadTagKeys::load(Place& place, hw::OffloadQueue& queue, std::uint64_t block,
                                                const std::uint8_t* r) noexcept {
  if (place.jobs != 0) return nullptr;
  queue.set_tag_key(place.key, std::span<const std::uint8_t, 16>(r, 16));
  place.block = block;
  return place.key.get();
}

}  // namespace ssn::protocol
