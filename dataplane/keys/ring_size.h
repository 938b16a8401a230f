// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "ssn/key_device.h"

namespace ssn::dataplane {

/// The power of two next to what is wanted that the device takes.
inline std::uint64_t ring_size(std::uint64_t wanted, const ssn_key_device_info& info) noexcept {
  const std::uint64_t least = std::bit_ceil(std::max<std::uint64_t>(info.ring_bytes_min, 4096));
  return std::bit_floor(std::clamp(wanted, least, std::max(least, info.ring_bytes_max)));
}

}  // namespace ssn::dataplane
