// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "request.h"
#include "ssn/hw/config.h"

namespace ssn::controller {

/// After the rest of the policy.
void read_reshare(const hw::ConfigTable& table, Policy& policy);

}  // namespace ssn::controller
