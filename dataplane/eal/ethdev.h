// SPDX-License-Identifier: BSD-3-Clause
// Ports whose device is one of DPDK's.
#pragma once

#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

/// Opens the device, makes its queues and starts it. After an error, too, Port::io is what there is to close.
Outcome open_ethdev(const PortConfiguration& configuration, unsigned workers, rte_mempool& pool, Port& port);

}  // namespace ssn::dataplane
