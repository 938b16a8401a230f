// SPDX-License-Identifier: BSD-3-Clause
// Where the bytes of a key stream went.
#pragma once

#include <cstdint>

namespace ssn::protocol {

/// One end of one key stream. fetched = used + kept + discarded + left, always: asserted by the streams after
/// every operation, in release builds too. `fetched` and `left` follow deliveries and the window's bits, the
/// other three the lengths that callers named, so that the sum is a check and not a definition.
struct KeyAccount {
  std::uint64_t fetched = 0;  ///< delivered by the device
  std::uint64_t used = 0;     ///< protected or opened a message, or served as hash key or mask
  std::uint64_t kept = 0;     ///< became share bytes by a keep order
  std::uint64_t discarded =
      0;                   ///< erased without use: abandoned ranges, holes, rounding, the end of a stream
  std::uint64_t left = 0;  ///< not yet taken, or taken and not yet done with

  bool balanced() const noexcept { return fetched == used + kept + discarded + left; }
};

}  // namespace ssn::protocol
