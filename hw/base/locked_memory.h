// SPDX-License-Identifier: BSD-3-Clause
// What to say when memory cannot be locked.
#pragma once

#include <cstddef>

#include "ssn/hw/result.h"

namespace ssn::hw {

/// For errno after mlock() of `bytes` bytes.
Error locking_error(int error_number, std::size_t bytes);

}  // namespace ssn::hw
