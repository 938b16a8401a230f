// SPDX-License-Identifier: BSD-3-Clause
// What a queue counts: one thread writes, any reads.
#pragma once

#include "ssn/hw/counter.h"

namespace ssn::dataplane {

struct ReceiveStatistics {
  hw::Counter packets, bytes;
  hw::Counter runs;       ///< frames that were several datagrams
  hw::Counter errors;     ///< frames that the kernel could not give
  hw::Counter no_memory;  ///< packets that there was no room for
};

struct SendStatistics {
  hw::Counter packets, bytes;
  hw::Counter runs;
  hw::Counter errors;  ///< packets that the kernel did not want, for good
};

}  // namespace ssn::dataplane
