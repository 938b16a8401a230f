// SPDX-License-Identifier: BSD-3-Clause
// What this machine can do per cycle, and what an operation asks of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "contender.h"

namespace ssn::bench {

/// Registers the throughput measurements as limit/NAME, with the counter per_cycle: instructions, or bytes of
/// a region.
void register_limits();

/// What the operation needs per column of bytes: mul (multiplications by constants other than 0 and 1), add
/// (XORs), in and out (streams read and written), aes (keystream streams), hash (streams tagged).
std::vector<std::pair<std::string, double>> work_of(const Fixture& fixture, const Form& form);

}  // namespace ssn::bench
