// SPDX-License-Identifier: BSD-3-Clause
// What the drivers of key devices and offload devices report, as our errors.
#pragma once

#include <string_view>

#include "ssn/device.h"
#include "ssn/hw/result.h"

namespace ssn::hw {

/// An Error from what a driver's call on its control path returned.
Error driver_error(ssn_status status, const ssn_error& error);

/// "ok", "again", "invalid", ...
std::string_view name(ssn_status status) noexcept;

}  // namespace ssn::hw
