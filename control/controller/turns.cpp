// SPDX-License-Identifier: BSD-3-Clause
#include "turns.h"

#include <fmt/core.h>

#include <cstdlib>

namespace ssn::controller {

void Turns::unlock() {
  const std::uint64_t seen = database_.commits();
  mutex_.unlock();
  const Outcome durable = database_.sync(seen);
  if (durable.ok()) {
    return;
  }
  const Error& error = durable.error();
  fmt::print(stderr, "ssn-controller: error: {}: {}\n  where: {}\n  fix:   {}\n", error.what, error.why,
             error.where, error.fix);
  std::_Exit(static_cast<int>(error.code));
}

}  // namespace ssn::controller
