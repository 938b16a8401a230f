// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "network_settings.h"

namespace ssn::controller {

/// After those of the policy.
void reshare_settings(SettingTable& table, Policy& policy);

}  // namespace ssn::controller
