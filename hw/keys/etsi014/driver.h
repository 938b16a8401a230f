// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "ssn/key_device.h"

namespace ssn::hw::etsi014 {

extern const ssn_key_driver driver;

}  // namespace ssn::hw::etsi014
