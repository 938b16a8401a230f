// SPDX-License-Identifier: BSD-3-Clause
// What makes a shared object of the driver.
#include "driver.h"
#include "driver_support.h"

SSN_EXPORT_KEY_DRIVER(ssn::hw::etsi014::driver)
