// SPDX-License-Identifier: BSD-3-Clause
// What DPDK logs: kept for errors, passed on where it matters.
#pragma once

#include <string_view>

#include "ssn/dataplane/eal.h"

namespace ssn::dataplane {

/// From now on DPDK's log comes here. Warnings and errors go to `log`, which may be called by any thread.
Outcome capture_eal_log(Eal::Log log);
/// Nothing is passed on any more.
void release_eal_log();

}  // namespace ssn::dataplane
