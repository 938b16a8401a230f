// SPDX-License-Identifier: BSD-3-Clause
// Whose pads may become shares, as the SSA itself sees it. The controller's word is not enough: what key
// managers and relays learn follows from this node's own configuration ([[peer]] key_path), as far as that
// knows it. Only whether keys are delivered once was told to the controller alone.
#pragma once

#include "ssn/dataplane/configuration.h"
#include "types.h"

namespace ssn::dataplane {

/// Rows 1 to this of the object may be kept: at most as many as the controller said.
unsigned allowed_rows(const controller::Layout& layout, const Configuration& configuration);

}  // namespace ssn::dataplane
