// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/catch_up.h"

#include <algorithm>

namespace ssn::protocol {

void CatchUp::advance(PadReceiver& own_pads, TagReceiver& own_tags, std::uint64_t pads,
                      std::uint64_t tag_keys, std::uint64_t now_ns) noexcept {
  const std::uint64_t opened = own_pads.seen() + own_tags.seen();
  if (opened != opened_ || opened_ns_ == 0) {
    opened_ = opened;
    opened_ns_ = now_ns;
  }
  const bool pads_beyond = pads > own_pads.released() + own_pads.ring_bytes();
  const bool tag_keys_beyond = tag_keys > own_tags.released() + own_tags.ring_bytes();
  if ((pads_beyond || tag_keys_beyond) && now_ns - opened_ns_ >= after_ns) {
    // To the middle of the rings: what comes next lies there.
    if (pads_beyond) skip_pads_to_ = std::max(skip_pads_to_, pads - own_pads.ring_bytes() / 2);
    if (tag_keys_beyond) own_tags.discard_below(packet_at(tag_keys - own_tags.ring_bytes() / 2));
    opened_ns_ = now_ns;
    ++skips_;
  }
  // The device delivers what lies between, in its order, and it is given up as it comes.
  if (skip_pads_to_ > own_pads.released()) static_cast<void>(own_pads.discard_below(skip_pads_to_));
}

}  // namespace ssn::protocol
