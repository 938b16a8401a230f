// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/random.h>

#include <cstdint>
#include <cstdlib>
#include <span>

namespace ssn::dataplane {

/// From the system's generator, which cannot fail once the system is up: nothing that must be fresh is ever
/// made of anything else.
inline void draw_random(std::span<std::uint8_t> out) noexcept {
  if (::getentropy(out.data(), out.size()) != 0) std::abort();
}

}  // namespace ssn::dataplane
