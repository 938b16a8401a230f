// SPDX-License-Identifier: BSD-3-Clause
// What an owner checks of a controller's answer before anything is sent: docs/controller.md says what a
// controller is trusted for.
#pragma once

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::client {

/// Whether object and SSA are what was asked for, and it keeps something secret unless the owner asked for a
/// code that does not. integrity: it is another one. refused: nobody asked for that.
Outcome check_ticket(const controller::WriteTicket& ticket, const controller::WriteRequest& asked);

}  // namespace ssn::client
