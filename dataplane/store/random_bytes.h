// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <span>

#include "ssn/hw/result.h"

namespace ssn::store {

/// From the kernel.
inline Outcome random_bytes(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error(got == 0 ? EIO : errno, "cannot draw random numbers", "getrandom");
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return done;
}

}  // namespace ssn::store
