// SPDX-License-Identifier: BSD-3-Clause
// A receiver that missed more than its rings hold (a link was cut, a worker stood still) never finds its
// place again by itself: every packet lies beyond what its device can deliver, so none can be checked, and
// what cannot be checked proves nothing. So where nothing was opened for after_ns, and the peer says over its
// control channel that it has sent from beyond the rings, what lies between is given up.
#pragma once

#include <cstdint>

#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/tag_stream.h"

namespace ssn::protocol {

/// Of one direction of one connection. One thread; time is any clock that only grows.
class CatchUp {
 public:
  static constexpr std::uint64_t after_ns = 20'000'000;

  /// Once a round. `pads`, `tag_keys`: offsets in D and A up to which the peer has sent, as it said last.
  void advance(PadReceiver& own_pads, TagReceiver& own_tags, std::uint64_t pads, std::uint64_t tag_keys,
               std::uint64_t now_ns) noexcept;
  /// How often it went ahead.
  std::uint64_t skips() const noexcept { return skips_; }

 private:
  std::uint64_t opened_ = 0;  // a number that grows with what is opened
  std::uint64_t opened_ns_ = 0;
  std::uint64_t skip_pads_to_ = 0;
  std::uint64_t skips_ = 0;
};

}  // namespace ssn::protocol
